// Operators that work on the values along neighbouring axes: those of every other position on their own.
#pragma once

#include <algorithm>

#include "ops/channelwise.h"
#include "ops/workspace.h"

namespace lr {

// The output has the input's shape and may take its place. infer sets view_, whose channels are the axes.
class AlongAxes : public Op {
 public:
  void prepare(Node& node) override {
    node.need_scratch(view_.inner == 1 ? 0 : static_cast<size_t>(node.pool->threads()) * sizeof(Columns));
  }

  void run(Node& node) override {
    if (node.out[0]->count() == 0) return;
    constexpr int64_t kGrain = 4096;  // elements worth a thread
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    const int64_t length = view_.channels, blocks = div_up(view_.inner, kColumns);
    const int64_t grain = std::max<int64_t>(1, kGrain / (length * std::min(view_.inner, kColumns)));
    node.pool->run(view_.outer * blocks, grain, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % blocks * kColumns, at = i / blocks * length * view_.inner + first;
        if (view_.inner == 1) {
          row(x + at, y + at, static_cast<size_t>(length));
        } else {
          const auto n = static_cast<size_t>(std::min(kColumns, view_.inner - first));
          columns(x + at, y + at, n, static_cast<Columns*>(node.scratch)[thread]);
        }
      }
    });
  }

  OpTraits traits() const override { return OpTraits::overwriting(0); }

 protected:
  // Along other than trailing axes, this many neighbouring columns are computed together.
  static constexpr int64_t kColumns = 256;
  struct Columns {
    float most[kColumns], sum[kColumns], value[kColumns];
  };

  // The n values of one position along trailing axes; y may equal x.
  virtual void row(const float* x, float* y, size_t n) const = 0;
  // n columns of view_.channels values, which lie view_.inner apart; y may equal x.
  virtual void columns(const float* x, float* y, size_t n, Columns& c) const = 0;

  ChannelView view_;
};

}  // namespace lr
