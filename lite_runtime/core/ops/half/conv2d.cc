// Conv2DFusion in float16: as ops/conv2d.cc. What Winograd's transforms make faster stays in float32, which they need.
#include "ops/convolution.h"
#include "ops/half/product.h"
#include "ops/winograd.h"

#if defined(LR_HALF)

namespace lr {

namespace {

class HalfConv2D : public HalfStep {
 public:
  explicit HalfConv2D(std::unique_ptr<Op> op) : HalfStep(std::move(op), true) {}

 private:
  bool accepts(const Node& node) override;
  void prepare_half(Node& node) override;
  void run_half(Node& node) override { conv_.depthwise() ? run_depthwise(node) : run_gemm(node); }
  void pack_depthwise(const Node& node, half* packed) const;
  void run_gemm(Node& node) const;
  void run_depthwise(Node& node) const;

  Convolution conv_;
  Packed<half> weights_;
  size_t pointers_ = 0, padded_ = 0;
  std::vector<half> zeros_;  // what taps in the padding read
  HalfProduct product_;
  RowWalk rows_;
};

bool HalfConv2D::accepts(const Node& node) {
  if (!weights_fit_half(node)) return false;
  conv_ = fit_convolution(node);
  activation_ = FusedActivation(node, node.attr<schema::Conv2DFusion>()->activation_type());
  return conv_.group > 1 || !Winograd::pays(conv_.window, conv_.out_channels);
}

void HalfConv2D::prepare_half(Node& node) {
  const Window& window = conv_.window;
  const int threads = node.pool->threads();
  zeros_.assign(static_cast<size_t>(window.channels * window.kernel.w), 0);
  if (conv_.depthwise()) {
    rows_ = RowWalk(window, threads);
    pointers_ = workspace_.add<const half*>(rows_.pointer_count(threads));
    const size_t bytes =
        packed_depthwise_f16_bytes(static_cast<size_t>(window.taps()), static_cast<size_t>(window.channels));
    weights_.prepare(node, {1, 2}, "depthwise16", bytes, workspace_,
                     [&](half* packed) { pack_depthwise(node, packed); });
    return;
  }
  const GemmShape shape = conv_.gemm();
  if (conv_.merges_taps()) padded_ = workspace_.add<half>(conv_.padded_count());
  product_ = HalfProduct(shape, threads);
  pointers_ = workspace_.add(product_.pointer_bytes(threads));
  weights_.prepare(
      node, {1, 2}, "gemm16", product_.packed_bytes() * static_cast<size_t>(conv_.group), workspace_,
      [&](half* packed) {
        const int64_t k = shape.taps * shape.k;
        for (int64_t g = 0; g < conv_.group; ++g) {
          product_.pack(node, g * shape.n * k, {shape.k, 1, k}, g * shape.n, packed + g * product_.packed_count());
        }
      });
}

void HalfConv2D::run_gemm(Node& node) const {
  const half* x = input(node);
  const half* weights = weights_.get(node, [](half*) {});
  half* y = node.out[0]->as<half>();
  const GemmShape shape = conv_.gemm();
  const auto run = [&](const auto& fill) {
    product_.run(
        node, HalfEpilogue(activation_, node), static_cast<size_t>(conv_.out_channels),
        Workspace::at<const half*>(node, pointers_),
        [&](int64_t g) { return std::pair(weights + g * product_.packed_count(), y + g * shape.n); }, fill);
  };
  if (conv_.pointwise()) {
    const int64_t channels = conv_.window.channels;
    return run([&](int64_t g, int64_t row, size_t rows, const half** a) {
      const half* from = x + row * channels + g * shape.k;
      for (size_t r = 0; r < rows; ++r, from += channels) a[r] = from;
    });
  }
  if (conv_.merges_taps()) {
    half* padded = Workspace::at<half>(node, padded_);
    conv_.pad_rows(node, x, half{0}, padded);
    return run([&](int64_t, int64_t row, size_t rows, const half** a) {
      conv_.fill_runs(static_cast<const half*>(padded), row, rows, zeros_.data(), a);
    });
  }
  run([&](int64_t g, int64_t row, size_t rows, const half** a) {
    conv_.fill_pointers(x + g * shape.k, row, rows, zeros_.data(), a);
  });
}

void HalfConv2D::pack_depthwise(const Node& node, half* packed) const {
  const float* w = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto channels = static_cast<size_t>(conv_.window.channels), taps = static_cast<size_t>(conv_.window.taps());
  pack_depthwise_f16(conv_.taps_by_column(w).data(), channels, 1, bias, taps, channels, packed);
}

void HalfConv2D::run_depthwise(Node& node) const {
  half* y = node.out[0]->as<half>();
  const half* weights = weights_.get(node, [](half*) {});
  const HalfEpilogue epilogue(activation_, node);
  rows_.run(node, input(node), zeros_.data(), Workspace::at<const half*>(node, pointers_),
            [&](const half* const* taps, int64_t pixel, int64_t pixels, int64_t, int64_t) {
              Depthwise<half> d;
              d.x = taps;
              d.step = rows_.step();
              d.taps = static_cast<size_t>(conv_.window.taps());
              d.channels = static_cast<size_t>(conv_.window.channels);
              d.count = static_cast<size_t>(pixels);
              d.packed = weights;
              d.y = y + pixel * conv_.window.channels;
              d.y_stride = d.channels;
              d.lo = epilogue.low();
              d.hi = epilogue.high();
              half_kernels()->depthwise(d);
              epilogue.finish(d.y, 1, d.count * d.channels, d.count * d.channels);
            });
}

}  // namespace

std::unique_ptr<Op> make_half_conv2d(std::unique_ptr<Op> op) { return std::make_unique<HalfConv2D>(std::move(op)); }

}  // namespace lr

#endif
