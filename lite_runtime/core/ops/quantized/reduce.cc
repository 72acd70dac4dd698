// ReduceFusion on int8 for the mean over neighbouring dimensions, the last not among them, as for the mean of all
// pixels: rows are added up in integers. Everything else goes through floats.
#include <algorithm>

#include "ops/quantized/through_float.h"
#include "ops/strided.h"

namespace lr {
namespace {

constexpr int64_t kColumns = 256;               // sums at a time
constexpr int64_t kMaxRows = int64_t{1} << 22;  // the sums are int32

class MeanInt8 : public ThroughFloat {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    const auto* attr = node.attributes->value_as<schema::ReduceFusion>();
    return attr->mode() == schema::ReduceMode_ReduceMean && !attr->reduce_to_end() && node.inputs.size() == 2 &&
           is_int8(input_of(node, 0, model)) && input_of(node, 1, model).is_const() &&
           is_int8(output_of(node, 0, model));
  }

  void infer(Node& node) override {
    ThroughFloat::infer(node);
    sums_ = node.out[0]->dtype == DType::kInt8 && fits(node);
  }

  void prepare(Node& node) override {
    if (!sums_) return ThroughFloat::prepare(node);
    pointers_.resize(static_cast<size_t>(outer_ * rows_));
    const Affine x = affine_of(node, *node.in[0], DType::kInt8), y = affine_of(node, *node.out[0], DType::kInt8);
    zeros_ = static_cast<int32_t>(rows_) * x.zero;
    zero_ = y.zero;
    scale_ =
        static_cast<float>(static_cast<double>(x.scale) / (static_cast<double>(rows_) * static_cast<double>(y.scale)));
  }

  void run(Node& node) override {
    if (!sums_) return ThroughFloat::run(node);
    const int8_t* x = node.in[0]->as<int8_t>();
    int8_t* y = node.out[0]->as<int8_t>();
    for (int64_t i = 0; i < outer_ * rows_; ++i) pointers_[static_cast<size_t>(i)] = x + i * columns_;
    const int64_t blocks = div_up(columns_, kColumns);
    parallel(node.pool, outer_ * blocks, std::max<int64_t>(1, kColumns / rows_), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t matrix = i / blocks, first = i % blocks * kColumns;
        const auto n = static_cast<size_t>(std::min(kColumns, columns_ - first));
        int32_t sums[kColumns];
        float means[kColumns];
        kernels().sum_pool_i8(
            {pointers_.data() + matrix * rows_, static_cast<size_t>(rows_), static_cast<size_t>(first), n}, sums);
        for (size_t c = 0; c < n; ++c) means[c] = static_cast<float>(sums[c] - zeros_) * scale_;
        kernels().quantize_i8(means, y + matrix * columns_ + first, n, 1.f, zero_);
      }
    });
  }

 private:
  bool fits(const Node& node) {
    const Shape& shape = node.in[0]->shape;
    bool reduced[LR_MAX_RANK] = {};
    for (const int64_t axis : node.ints(1)) reduced[normalize_axis(axis, shape.rank())] = true;
    bool* end = reduced + shape.rank();
    bool* first = std::find(reduced, end, true);
    bool* last = std::find(first, end, false);
    if (last == end || std::find(last, end, true) != end) return false;
    const int begin = static_cast<int>(first - reduced), after = static_cast<int>(last - reduced);
    outer_ = shape.count(0, begin);
    rows_ = shape.count(begin, after);
    columns_ = shape.count(after, shape.rank());
    return columns_ > 1 && rows_ > 0 && rows_ <= kMaxRows;
  }

  bool sums_ = false;
  int64_t outer_ = 0, rows_ = 0, columns_ = 0;
  int32_t zeros_ = 0, zero_ = 0;
  float scale_ = 0.f;
  std::vector<const int8_t*> pointers_;
};

LR_REGISTER_QUANTIZED_OP(ReduceFusion, MeanInt8)

}  // namespace
}  // namespace lr
