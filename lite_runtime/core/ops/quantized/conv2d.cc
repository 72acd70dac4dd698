// Conv2DFusion on int8: activations with one scale and zero point, symmetric weights with a scale per output
// channel, int32 bias. Padding is the input's zero point, which stands for 0.
#include <algorithm>

#include "ops/convolution.h"
#include "ops/quantized/quantized.h"

namespace lr {
namespace {

// Taps of fewer channels are merged (see Convolution): integers are multiplied so quickly that longer runs gain more
// than the copy takes.
constexpr int64_t kMergedBelow = 1024;

class Conv2DInt8 : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    return node.inputs.size() >= 2 && is_int8(input_of(node, 0, model)) &&
           is_symmetric_weight(input_of(node, 1, model)) && is_bias(node, 2, model) &&
           is_int8(output_of(node, 0, model)) &&
           is_clamp(node.attributes->value_as<schema::Conv2DFusion>()->activation_type());
  }

  void infer(Node& node) override {
    conv_ = fit_convolution(node);
    conv_.merged_below = kMergedBelow;
    node.expect_dtype(0, DType::kInt8);
    const Window& w = conv_.window;
    node.set_out(0, DType::kInt8, {w.batch, w.out_h, w.out_w, conv_.out_channels});
    x_ = affine_of(node, *node.in[0], DType::kInt8);
    y_ = affine_of(node, *node.out[0], DType::kInt8);
    range_ = clamped_range(node.attr<schema::Conv2DFusion>()->activation_type(), y_);
  }

  void prepare(Node& node) override {
    workspace_.clear();
    gemm_ = conv_.gemm();
    // Runs are read in whole groups of the kernel: what follows a run in the padded copy meets weights of 0.
    read_k_ = gemm_.k;
    if (conv_.merges_taps()) read_k_ = round_up(read_k_, static_cast<int64_t>(kernels().gemm_i8_depth));
    outside_.assign(static_cast<size_t>(std::max(read_k_, conv_.window.channels)), static_cast<int8_t>(x_.zero));
    const Quantization weights = quantization_of(node, *node.in[1], DType::kInt8, 0);
    const int64_t per_channel = gemm_.taps * gemm_.k;
    if (!weights.per_tensor() && weights.inner != per_channel) {
      node.invalid("the %zu scales of the weights do not belong to the %lld output channels", weights.channels.size(),
                   static_cast<long long>(conv_.out_channels));
    }
    const int32_t* bias = node.has(2) ? node.in[2]->as<int32_t>() : nullptr;
    const auto slack = static_cast<int64_t>(std::max(kernels().gemm_i8_nr, kernels().depthwise_i8_lanes));
    constants_ = product_constants(node.in[1]->as<int8_t>(), conv_.out_channels, per_channel, per_channel, 1, bias, x_,
                                   weights, y_, conv_.out_channels + slack);
    conv_.depthwise() ? prepare_depthwise(node) : prepare_gemm(node);
    workspace_.reserve(node);
  }

  void run(Node& node) override {
    if (node.out[0]->count() == 0) return;
    conv_.depthwise() ? run_depthwise(node) : run_gemm(node);
  }

  RowWork row_work(const Node&) override { return {false, true, nullptr}; }

 private:
  size_t group_bytes() const {
    return packed_gemm_i8_bytes(static_cast<size_t>(gemm_.taps), static_cast<size_t>(gemm_.k),
                                static_cast<size_t>(gemm_.n));
  }

  void prepare_gemm(Node& node) {
    const int threads = node.pool->threads();
    tiles_ = GemmTiles(gemm_, threads, i8_tile());
    pointers_ = workspace_.add(tiles_.pointer_bytes(threads));
    if (conv_.merges_taps()) padded_ = workspace_.add<int8_t>(conv_.padded_count() + slack());
    const auto groups = static_cast<size_t>(gemm_.batches);
    weights_.prepare(node, {1}, "gemm_i8", groups * group_bytes(), workspace_,
                     [&](int8_t* packed) { pack_gemm(node, packed); });
  }

  int64_t slack() const { return read_k_ - gemm_.k; }  // read behind the last run

  void pack_gemm(const Node& node, int8_t* packed) const {
    const auto taps = static_cast<size_t>(gemm_.taps), k = static_cast<size_t>(gemm_.k);
    const auto n = static_cast<size_t>(gemm_.n), groups = static_cast<size_t>(gemm_.batches);
    for (size_t g = 0; g < groups; ++g) {
      const int8_t* w = node.in[1]->as<int8_t>() + g * n * taps * k;
      pack_gemm_i8(w, k, 1, taps * k, taps, k, n, packed + g * group_bytes());
    }
  }

  void run_gemm(Node& node) const {
    const int8_t* x = node.in[0]->as<int8_t>();
    int8_t* y = node.out[0]->as<int8_t>();
    const int8_t* weights = weights_.get(node, [&](int8_t* packed) { pack_gemm(node, packed); });
    const bool pointwise = conv_.pointwise(), runs = conv_.merges_taps();
    int8_t* padded = Workspace::at<int8_t>(node, padded_);
    if (runs) {
      conv_.pad_rows(node, x, static_cast<int8_t>(x_.zero), padded);
      std::fill_n(padded + conv_.padded_count(), slack(), int8_t{0});
    }
    const int64_t channels = conv_.window.channels, stride = node.out[0]->stride();
    // Whatever is the same for all tiles is done here: small layers have many of them.
    const auto gemm_i8 = kernels().gemm_i8;
    const size_t panel_bytes = packed_gemm_i8_bytes(static_cast<size_t>(gemm_.taps), static_cast<size_t>(gemm_.k), 1);
    const size_t of_group = group_bytes(), panel = kernels().gemm_i8_nr;
    GemmI8 same;
    same.taps = static_cast<size_t>(gemm_.taps);
    same.k = static_cast<size_t>(read_k_);
    same.narrow = constants_.narrow;
    same.c_stride = static_cast<size_t>(stride);
    same.zero = y_.zero;
    same.lo = range_.lo;
    same.hi = range_.hi;
    tiles_.each(
        node, Workspace::at<const int8_t*>(node, pointers_),
        [&](int64_t g, int64_t row, size_t rows, const int8_t** a) {
          if (runs) return conv_.fill_runs<int8_t>(padded, row, rows, outside_.data(), a);
          if (!pointwise) return conv_.fill_pointers(x + g * gemm_.k, row, rows, outside_.data(), a);
          const int8_t* from = x + row * channels + g * gemm_.k;
          for (size_t r = 0; r < rows; ++r, from += channels) a[r] = from;
        },
        [&](int64_t g, int64_t row, size_t rows, int64_t column, size_t columns, const int8_t* const* a) {
          const auto channel = static_cast<size_t>(g * gemm_.n + column);
          GemmI8 p = same;
          p.a = a;
          p.step = p.rows = rows;
          p.n = columns;
          p.w = weights + static_cast<size_t>(g) * of_group + static_cast<size_t>(column) / panel * panel_bytes;
          p.bias = constants_.bias.data() + channel;
          p.scale = constants_.scale.data() + channel;
          p.c = y + row * stride + static_cast<int64_t>(channel);
          gemm_i8(p);
        });
  }

  void prepare_depthwise(Node& node) {
    const int threads = node.pool->threads();
    rows_ = RowWalk(conv_.window, threads);
    pointers_ = workspace_.add<const int8_t*>(rows_.pointer_count(threads));
    const size_t bytes =
        packed_depthwise_i8_bytes(static_cast<size_t>(conv_.window.taps()), static_cast<size_t>(conv_.out_channels));
    weights_.prepare(node, {1}, "depthwise_i8", bytes, workspace_,
                     [&](int8_t* packed) { pack_depthwise(node, packed); });
  }

  void pack_depthwise(const Node& node, int8_t* packed) const {
    const int8_t* w = node.in[1]->as<int8_t>();
    const auto channels = static_cast<size_t>(conv_.out_channels), taps = static_cast<size_t>(conv_.window.taps());
    pack_depthwise_i8(conv_.taps_by_column(w).data(), channels, 1, taps, channels, packed);
  }

  void run_depthwise(Node& node) const {
    int8_t* y = node.out[0]->as<int8_t>();
    const int8_t* weights = weights_.get(node, [&](int8_t* packed) { pack_depthwise(node, packed); });
    const int64_t stride = node.out[0]->stride();
    rows_.run(node, node.in[0]->as<int8_t>(), outside_.data(), Workspace::at<const int8_t*>(node, pointers_),
              [&](const int8_t* const* taps, int64_t pixel, int64_t pixels, int64_t, int64_t) {
                DepthwiseI8 d;
                d.packed = weights;
                d.bias = constants_.bias.data();
                d.scale = constants_.scale.data();
                d.x = taps;
                d.step = rows_.step();
                d.taps = static_cast<size_t>(conv_.window.taps());
                d.channels = static_cast<size_t>(conv_.out_channels);
                d.count = static_cast<size_t>(pixels);
                d.y = y + pixel * stride;
                d.y_stride = static_cast<size_t>(stride);
                d.zero = y_.zero;
                d.lo = range_.lo;
                d.hi = range_.hi;
                kernels().depthwise_i8(d);
              });
  }

  Convolution conv_;
  Affine x_, y_;
  Range range_ = {-128, 127};
  std::vector<int8_t> outside_;  // what taps in the padding read
  ProductConstants constants_;
  Packed<int8_t> weights_;
  Workspace workspace_;
  size_t pointers_ = 0, padded_ = 0;
  int64_t read_k_ = 0;
  GemmShape gemm_;
  GemmTiles tiles_;
  RowWalk rows_;
};

LR_REGISTER_QUANTIZED_OP(Conv2DFusion, Conv2DInt8)

}  // namespace
}  // namespace lr
