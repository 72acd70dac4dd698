// MaxPoolFusion and AvgPoolFusion on int8. A maximum keeps its scale and zero point; an average is the sum of the
// values inside the input, times the scales and divided by their number, rounded like all results.
#include <algorithm>

#include "ops/geometry.h"
#include "ops/quantized/quantized.h"

namespace lr {
namespace {

constexpr size_t kChunk = 256;                  // channels at a time
constexpr int64_t kMaxTaps = int64_t{1} << 22;  // the sums of an average are int32

template <class Attr>
class PoolInt8 : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    const TensorDef &x = input_of(node, 0, model), &y = output_of(node, 0, model);
    if (!is_int8(x) || !is_int8(y) || !is_clamp(node.attributes->value_as<Attr>()->activation_type())) return false;
    const QuantParam &p = x.quant[0], &q = y.quant[0];
    return !kIsMax || (p.scale == q.scale && p.zero_point == q.zero_point && p.var_corr == q.var_corr);
  }

  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kInt8);
    window_ = pool_window(node, *node.attr<Attr>());
    if (window_.taps() > kMaxTaps)
      node.unsupported("a window of more than %lld positions", static_cast<long long>(kMaxTaps));
    node.set_out(0, DType::kInt8, {window_.batch, window_.out_h, window_.out_w, window_.channels});
    x_ = affine_of(node, *node.in[0], DType::kInt8);
    y_ = affine_of(node, *node.out[0], DType::kInt8);
    range_ = clamped_range(node.attr<Attr>()->activation_type(), y_);
  }

  void prepare(Node& node) override {
    const int threads = node.pool->threads();
    rows_ = RowWalk(window_, threads);
    Workspace workspace;
    pointers_ = workspace.add<const int8_t*>(rows_.pointer_count(threads));
    workspace.reserve(node);
    // Of a maximum the padding is no part, of an average it adds nothing.
    outside_.assign(static_cast<size_t>(window_.channels), static_cast<int8_t>(kIsMax ? -128 : x_.zero));
    if (!kIsMax) scale_ = average_scales(node, window_);
    for (float& scale : scale_) {
      scale = static_cast<float>(static_cast<double>(scale) * static_cast<double>(x_.scale) /
                                 static_cast<double>(y_.scale));
    }
  }

  void run(Node& node) override {
    int8_t* y = node.out[0]->as<int8_t>();
    if (node.out[0]->count() == 0) return;
    rows_.run(node, node.in[0]->as<int8_t>(), outside_.data(), Workspace::at<const int8_t*>(node, pointers_),
              [&](const int8_t* const* taps, int64_t pixel, int64_t pixels, int64_t, int64_t) {
                const float* scales = kIsMax ? nullptr : scale_.data() + pixel % window_.out_pixels();
                for (int64_t p = 0; p < pixels; ++p) {
                  const int8_t* const* x = taps + static_cast<size_t>(p) * rows_.step();
                  int8_t* to = y + (pixel + p) * window_.channels;
                  const PoolI8 pool{x, static_cast<size_t>(window_.taps()), 0, static_cast<size_t>(window_.channels)};
                  if (kIsMax) {
                    kernels().max_pool_i8(pool, to, range_.lo, range_.hi);
                  } else {
                    average(pool, to, scales[p]);
                  }
                }
              });
  }

 private:
  static constexpr bool kIsMax = std::is_same<Attr, schema::MaxPoolFusion>::value;

  void average(PoolI8 p, int8_t* y, float scale) const {
    const auto zeros = static_cast<int32_t>(window_.taps()) * x_.zero;
    const size_t channels = p.channels;
    for (size_t c = 0; c < channels; c += kChunk) {
      const size_t n = std::min(kChunk, channels - c);
      int32_t sums[kChunk];
      float product[kChunk];
      p.first = c;
      p.channels = n;
      kernels().sum_pool_i8(p, sums);
      for (size_t i = 0; i < n; ++i) product[i] = static_cast<float>(sums[i] - zeros) * scale;
      kernels().quantize_i8(product, y + c, n, 1.f, y_.zero);
    }
    const auto lo = static_cast<int8_t>(range_.lo), hi = static_cast<int8_t>(range_.hi);
    for (size_t c = 0; c < channels; ++c) y[c] = std::min(std::max(y[c], lo), hi);
  }

  Window window_;
  Affine x_, y_;
  Range range_ = {-128, 127};
  RowWalk rows_;
  size_t pointers_ = 0;
  std::vector<int8_t> outside_;  // what taps in the padding read
  std::vector<float> scale_;     // per output pixel of an image
};

using MaxPoolInt8 = PoolInt8<schema::MaxPoolFusion>;
using AvgPoolInt8 = PoolInt8<schema::AvgPoolFusion>;

LR_REGISTER_QUANTIZED_OP(MaxPoolFusion, MaxPoolInt8)
LR_REGISTER_QUANTIZED_OP(AvgPoolFusion, AvgPoolInt8)

}  // namespace
}  // namespace lr
