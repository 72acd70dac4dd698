// Conv2DFusion: NHWC input, weights [out, kh, kw, in / group], optional bias.
//
// Ordinary and grouped convolution is a matrix product whose rows are read through pointers, one per
// output pixel and filter tap, so the input is never copied. Depthwise convolution has its own kernel.
#include <algorithm>

#include "ops/convolution.h"
#include "ops/winograd.h"

namespace lr {

namespace {

// Few rows are convolved pixel by pixel with their channels shared out among the threads (GemmTiles), which then go on
// with those they have written. 0: not so.
int64_t depthwise_slice(const Window& window, int threads) {
  const auto lanes = static_cast<int64_t>(kernels().lanes);
  if (GemmTiles::shares_rows(window.batch * window.in_pixels(), threads)) return 0;
  const int64_t slice = round_up(div_up(window.channels, threads), 4 * lanes), rest = window.channels % slice;
  return rest == 0 || rest >= lanes ? slice : 0;  // the kernel overlaps groups of channels
}

class Conv2D : public Op, public ByRows {
 public:
  void infer(Node& node) override;
  void prepare(Node& node) override;
  void run(Node& node) override;
  OpTraits traits() const override {
    return OpTraits::scaling(GemmTiles::kScales && conv_.pointwise() && conv_.group == 1 &&
                             GemmTiles::pays_to_scale(conv_.gemm()));
  }
  bool absorb(const Elementwise& next) override { return activation_.absorb(next); }
  RowWork row_work(const Node& node) override {
    const bool is_whole = use_winograd_ || !weights_.ready() || conv_.window.batch != 1;
    // An addend lies row by row.
    return {false, node.addend == nullptr, is_whole ? nullptr : this};
  }
  int64_t row_count() const override { return conv_.window.out_h; }
  int64_t rows_read(int64_t rows) const override { return conv_.window.rows_read(rows); }
  int64_t first_read(int64_t row) const override { return conv_.window.first_read(row); }
  bool copies_input() const override { return !conv_.depthwise() && !use_winograd_ && conv_.merges_taps(); }
  void before_rows(Node& node) override;
  void run_rows(Node& node, const void* in, void* out, int64_t begin, int64_t end) override;

 private:
  void prepare_gemm(Node& node);
  void prepare_depthwise(Node& node);
  void pack_gemm(const Node& node, float* packed) const;
  void pack_depthwise(const Node& node, float* packed) const;
  // Output rows [begin, end) of all images.
  void run_gemm(Node& node, const float* x, float* y, int64_t begin, int64_t end) const;
  void run_depthwise(Node& node, const float* x, float* y, int64_t begin, int64_t end) const;

  Convolution conv_;
  FusedActivation activation_;
  PackedWeights weights_;
  Workspace workspace_;
  size_t pointers_ = 0, padded_ = 0;
  Buffer zeros_;  // what taps in the padding read
  GemmShape gemm_;
  GemmTiles tiles_;
  RowWalk rows_;
  bool use_winograd_ = false;
  Winograd winograd_;
};

void Conv2D::infer(Node& node) {
  for (size_t i = 0; i < node.inputs(); ++i) node.expect_dtype(i, DType::kFloat32);
  conv_ = fit_convolution(node);
  activation_ = FusedActivation(node, node.attr<schema::Conv2DFusion>()->activation_type());
  const Window& w = conv_.window;
  node.set_out(0, DType::kFloat32, {w.batch, w.out_h, w.out_w, conv_.out_channels});
}

void Conv2D::prepare(Node& node) {
  workspace_.clear();
  const size_t zeros = static_cast<size_t>(conv_.window.channels * conv_.window.kernel.w) * sizeof(float);
  zeros_ = allocate_buffer(zeros);
  std::memset(zeros_.get(), 0, zeros);
  use_winograd_ = has_form(Part::kWinograd) && conv_.group == 1 && node.in[1]->known &&
                  Winograd::pays(conv_.window, conv_.out_channels);
  if (conv_.depthwise()) {
    prepare_depthwise(node);
  } else if (has_form(Part::kWinograd) && use_winograd_) {
    winograd_.prepare(node, conv_.window, conv_.out_channels, zeros_.get(), workspace_);
  } else {
    prepare_gemm(node);
  }
  workspace_.reserve(node);
}

void Conv2D::run(Node& node) {
  if (node.out[0]->count() == 0) return;
  if (has_form(Part::kWinograd) && use_winograd_) return winograd_.run(node, Epilogue(activation_, node));
  before_rows(node);
  run_rows(node, node.in[0]->data, node.out[0]->data, 0, conv_.window.batch * conv_.window.out_h);
}

void Conv2D::before_rows(Node& node) {
  if (copies_input()) conv_.pad_rows(node, node.in[0]->as<float>(), 0.f, Workspace::at<float>(node, padded_));
}

void Conv2D::run_rows(Node& node, const void* in, void* out, int64_t begin, int64_t end) {
  const auto* x = static_cast<const float*>(in);
  auto* y = static_cast<float*>(out);
  conv_.depthwise() ? run_depthwise(node, x, y, begin, end) : run_gemm(node, x, y, begin, end);
}

void Conv2D::prepare_gemm(Node& node) {
  gemm_ = conv_.gemm();
  gemm_.scaled = node.scale != nullptr;
  if (conv_.merges_taps()) {
    padded_ = workspace_.add<float>(conv_.padded_count());
  }
  const int threads = node.pool->threads();
  tiles_ = GemmTiles(gemm_, threads);
  pointers_ = workspace_.add(tiles_.pointer_bytes(threads));
  const size_t bytes = static_cast<size_t>(conv_.group * gemm_.packed_floats()) * sizeof(float);
  weights_.prepare(node, {1, 2}, "gemm", bytes, workspace_, [&](float* packed) { pack_gemm(node, packed); });
}

void Conv2D::pack_gemm(const Node& node, float* packed) const {
  const float* w = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto taps = static_cast<size_t>(gemm_.taps), k = static_cast<size_t>(gemm_.k), n = static_cast<size_t>(gemm_.n);
  for (int64_t g = 0; g < conv_.group; ++g) {
    pack_gemm_f32(w + static_cast<size_t>(g) * n * taps * k, k, 1, taps * k,
                  bias == nullptr ? nullptr : bias + g * gemm_.n, taps, k, n, packed + g * gemm_.packed_floats());
  }
}

void Conv2D::run_gemm(Node& node, const float* x, float* y, int64_t begin, int64_t end) const {
  const float* weights = weights_.get(node, [&](float* packed) { pack_gemm(node, packed); });
  const int64_t first = begin * conv_.window.out_w;  // pixel
  const int64_t stride = node.out[0]->stride();
  const Epilogue epilogue(activation_, node, y);
  const int64_t packed_floats = gemm_.packed_floats();
  const auto run = [&](const auto& fill) {
    GemmShape shape = gemm_;
    shape.rows = (end - begin) * conv_.window.out_w;
    const GemmTiles some(shape, node.pool->threads());
    const GemmTiles& tiles = shape.rows == gemm_.rows ? tiles_ : some;
    tiles.run(
        node, epilogue, static_cast<size_t>(stride), Workspace::at<const float*>(node, pointers_),
        [&](int64_t g) { return std::pair(weights + g * packed_floats, y + first * stride + g * gemm_.n); }, fill);
  };
  if (conv_.pointwise()) {
    const int64_t channels = conv_.window.channels;
    return run([&](int64_t g, int64_t row, size_t rows, const float** a) {
      const float* from = x + (first + row) * channels + g * gemm_.k;
      for (size_t r = 0; r < rows; ++r, from += channels) a[r] = from;
      if (GemmTiles::kScales && node.scale != nullptr) tiles_.scale(a, rows, node.scale->as<float>());
    });
  }
  const auto* zeros = static_cast<const float*>(zeros_.get());
  if (conv_.merges_taps()) {
    const float* padded = Workspace::at<float>(node, padded_);
    return run([&](int64_t, int64_t row, size_t rows, const float** a) {
      conv_.fill_runs(padded, first + row, rows, zeros, a);
    });
  }
  run([&](int64_t g, int64_t row, size_t rows, const float** a) {
    conv_.fill_pointers(x + g * gemm_.k, first + row, rows, zeros, a);
  });
}

void Conv2D::prepare_depthwise(Node& node) {
  const int threads = node.pool->threads();
  rows_ = RowWalk(conv_.window, threads, depthwise_slice(conv_.window, threads));
  pointers_ = workspace_.add<const float*>(rows_.pointer_count(threads));
  const size_t bytes =
      packed_depthwise_f32_bytes(static_cast<size_t>(conv_.window.taps()), static_cast<size_t>(conv_.window.channels));
  weights_.prepare(node, {1, 2}, "depthwise", bytes, workspace_, [&](float* packed) { pack_depthwise(node, packed); });
}

void Conv2D::pack_depthwise(const Node& node, float* packed) const {
  const float* w = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto channels = static_cast<size_t>(conv_.window.channels), taps = static_cast<size_t>(conv_.window.taps());
  pack_depthwise_f32(conv_.taps_by_column(w).data(), channels, 1, bias, taps, channels, packed);
}

void Conv2D::run_depthwise(Node& node, const float* x, float* y, int64_t begin, int64_t end) const {
  const float* weights = weights_.get(node, [&](float* packed) { pack_depthwise(node, packed); });
  const auto* zeros = static_cast<const float*>(zeros_.get());
  const Epilogue epilogue(activation_, node, y);
  const int64_t stride = node.out[0]->stride();
  rows_.run(node, begin, end, x, zeros, Workspace::at<const float*>(node, pointers_),
            [&](const float* const* taps, int64_t pixel, int64_t pixels, int64_t channel, int64_t channels) {
              DepthwiseF32 d;
              d.x = taps;
              d.step = rows_.step();
              d.taps = static_cast<size_t>(conv_.window.taps());
              d.channels = static_cast<size_t>(channels);
              d.count = static_cast<size_t>(pixels);
              d.packed = weights + channel * (1 + conv_.window.taps());
              d.y = y + pixel * stride + channel;
              d.y_stride = static_cast<size_t>(stride);
              d.lo = epilogue.low();
              d.hi = epilogue.high();
              if (has_form(Part::kDepthwise5x5) && d.taps == 25) {
                kernels().depthwise_5x5_f32(d);
              } else {
                kernels().depthwise_f32(d);
              }
              epilogue.finish_rows(d.y, d.count, d.y_stride, d.channels);
            });
}

LR_REGISTER_OP(Conv2DFusion, Conv2D)

}  // namespace
}  // namespace lr
