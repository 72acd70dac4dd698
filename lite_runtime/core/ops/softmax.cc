// Softmax and LogSoftmax along one axis.
#include <algorithm>

#include "ops/channelwise.h"
#include "ops/workspace.h"

namespace lr {

namespace {

// Elements worth a thread.
constexpr int64_t kGrain = 8192;
// Along another than the last axis, this many neighbouring columns are computed together.
constexpr int64_t kColumns = 256;

// The operators differ in their kernel for a row and in the last step for a column.
class SoftmaxAlongAxis : public Op {
 public:
  explicit SoftmaxAlongAxis(bool log) : log_(log) {}

  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    const Shape& x = node.in[0]->shape;
    if (x.rank() == 0) node.invalid("the input is a scalar; it needs a dimension");
    const int axis = normalize_axis(this->axis(node), x.rank());
    view_ = ChannelView(x, axis, axis + 1);
    node.set_out(0, DType::kFloat32, x);
  }

  void prepare(Node& node) override {
    node.need_scratch(view_.inner == 1 ? 0 : static_cast<size_t>(node.pool->threads()) * sizeof(Columns));
  }

  void run(Node& node) override {
    if (node.out[0]->count() == 0) return;
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    const int64_t length = view_.channels, blocks = div_up(view_.inner, kColumns);
    const int64_t grain = std::max<int64_t>(1, kGrain / (length * std::min(view_.inner, kColumns)));
    node.pool->run(view_.outer * blocks, grain, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % blocks * kColumns, at = i / blocks * length * view_.inner + first;
        if (view_.inner == 1) {
          (log_ ? kernels().log_softmax_f32 : kernels().softmax_f32)(x + at, y + at, static_cast<size_t>(length));
        } else {
          const auto n = static_cast<size_t>(std::min(kColumns, view_.inner - first));
          columns(x + at, y + at, n, static_cast<Columns*>(node.scratch)[thread]);
        }
      }
    });
  }

  int overwrites() const override { return 0; }

 protected:
  virtual int64_t axis(const Node& node) const = 0;

 private:
  struct Columns {
    float max[kColumns], sum[kColumns], value[kColumns];
  };

  // n columns of length view_.channels, whose elements lie view_.inner apart; y may equal x.
  void columns(const float* x, float* y, size_t n, Columns& c) const {
    const Kernels& k = kernels();
    const int64_t step = view_.inner, end = view_.channels * step;
    std::copy(x, x + n, c.max);
    for (int64_t at = step; at < end; at += step) k.binary.max.vv(c.max, x + at, c.max, n);
    std::fill(c.sum, c.sum + n, 0.f);
    for (int64_t at = 0; at < end; at += step) {
      float* value = log_ ? c.value : y + at;
      k.binary.sub.vv(x + at, c.max, value, n);
      k.unary.exp(value, value, n, 0.f, 0.f);
      k.binary.add.vv(c.sum, value, c.sum, n);
    }
    if (log_) k.unary.log(c.sum, c.sum, n, 0.f, 0.f);
    for (int64_t at = 0; at < end; at += step) {
      if (log_) {
        k.binary.sub.vv(x + at, c.max, y + at, n);
        k.binary.sub.vv(y + at, c.sum, y + at, n);
      } else {
        k.binary.div.vv(y + at, c.sum, y + at, n);
      }
    }
  }

  bool log_;
  ChannelView view_;
};

class Softmax : public SoftmaxAlongAxis {
 public:
  Softmax() : SoftmaxAlongAxis(false) {}

 private:
  int64_t axis(const Node& node) const override {
    const auto* axes = node.attr<schema::Softmax>()->axis();
    const unsigned count = axes == nullptr ? 0 : axes->size();
    if (count != 1) node.invalid("axis has %u values; it needs one", count);
    return axes->Get(0);
  }
};

class LogSoftmax : public SoftmaxAlongAxis {
 public:
  LogSoftmax() : SoftmaxAlongAxis(true) {}

 private:
  int64_t axis(const Node& node) const override { return node.attr<schema::LogSoftmax>()->axis(); }
};

LR_REGISTER_OP(Softmax, Softmax)
LR_REGISTER_OP(LogSoftmax, LogSoftmax)

}  // namespace
}  // namespace lr
