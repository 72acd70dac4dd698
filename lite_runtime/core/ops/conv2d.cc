// Conv2DFusion: NHWC input, weights [out, kh, kw, in / group], optional bias.
//
// Ordinary and grouped convolution is a matrix product whose rows are read through pointers, one per
// output pixel and filter tap, so the input is never copied. Depthwise convolution has its own kernel.
#include <algorithm>

#include "ops/gemm.h"
#include "ops/geometry.h"
#include "ops/winograd.h"

namespace lr {

namespace {

class Conv2D : public Op {
 public:
  void infer(Node& node) override;
  void prepare(Node& node) override;
  void run(Node& node) override;
  bool absorb(const Elementwise& next) override { return activation_.absorb(next); }

 private:
  bool depthwise() const { return group_ == window_.channels && group_ == out_channels_; }
  // Every output pixel reads just the input pixel at its own position.
  bool pointwise() const {
    return window_.taps() == 1 && window_.stride.h == 1 && window_.stride.w == 1 && window_.top == 0 &&
           window_.left == 0 && window_.out_h == window_.in_h && window_.out_w == window_.in_w;
  }
  // With few channels, the taps of a filter row are read as one run of kernel.w pixels from a copy of the
  // input that is padded on the left and right.
  bool merges_taps() const {
    return group_ == 1 && window_.kernel.w > 1 && window_.dilation.w == 1 && window_.channels < 8;
  }
  int64_t padded_width() const { return (window_.out_w - 1) * window_.stride.w + window_.kernel.w; }
  void pad_rows(const Node& node, float* padded) const;
  void fill_runs(const float* padded, int64_t row, size_t rows, const float** a) const;
  void prepare_gemm(Node& node);
  void prepare_depthwise(Node& node);
  void pack_gemm(const Node& node, float* packed) const;
  void pack_depthwise(const Node& node, float* packed) const;
  void run_gemm(Node& node) const;
  void run_depthwise(Node& node) const;
  void fill_pointers(const float* x, int64_t row, size_t rows, const float** a) const;

  Window window_;
  int64_t group_ = 1, out_channels_ = 0;
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
  const auto* attr = node.attr<schema::Conv2DFusion>();
  node.expect_inputs(2, 3);
  for (size_t i = 0; i < node.inputs(); ++i) node.expect_dtype(i, DType::kFloat32);
  const Shape& x = node.in[0]->shape;
  const Shape& w = node.in[1]->shape;
  if (x.rank() != 4 || w.rank() != 4) {
    node.invalid("input %s and weights %s need 4 dimensions each", x.str().c_str(), w.str().c_str());
  }
  group_ = std::max<int64_t>(1, attr->group());
  out_channels_ = w[0];
  if (x[3] % group_ != 0 || w[3] != x[3] / group_ || w[0] % group_ != 0) {
    node.invalid("weights %s do not fit input %s with group=%lld", w.str().c_str(), x.str().c_str(),
                 static_cast<long long>(group_));
  }
  if (w.count() == 0) node.invalid("weights %s are empty", w.str().c_str());
  if (node.has(2) && node.in[2]->count() != out_channels_) {
    node.invalid("bias has %lld values for %lld output channels", static_cast<long long>(node.in[2]->count()),
                 static_cast<long long>(out_channels_));
  }
  window_.kernel = {w[1], w[2]};
  window_.stride = pair_attribute(node, "stride", attr->stride(), {1, 1});
  window_.dilation = pair_attribute(node, "dilation", attr->dilation(), {1, 1});
  fit_window(node, attr->pad_mode(), padding_attribute(node, "pad_list", attr->pad_list()), false, window_);
  activation_ = FusedActivation(node, attr->activation_type());
  node.set_out(0, DType::kFloat32, {window_.batch, window_.out_h, window_.out_w, out_channels_});
}

void Conv2D::prepare(Node& node) {
  workspace_.clear();
  const size_t zeros = static_cast<size_t>(window_.channels * window_.kernel.w) * sizeof(float);
  zeros_ = allocate_buffer(zeros);
  std::memset(zeros_.get(), 0, zeros);
  use_winograd_ = group_ == 1 && node.in[1]->known && Winograd::pays(window_, out_channels_);
  if (depthwise()) {
    prepare_depthwise(node);
  } else if (use_winograd_) {
    winograd_.prepare(node, window_, out_channels_, zeros_.get(), workspace_);
  } else {
    prepare_gemm(node);
  }
  workspace_.reserve(node);
}

void Conv2D::run(Node& node) {
  if (node.out[0]->count() == 0) return;
  if (depthwise()) {
    run_depthwise(node);
  } else if (use_winograd_) {
    winograd_.run(node, Epilogue(activation_, node));
  } else {
    run_gemm(node);
  }
}

void Conv2D::prepare_gemm(Node& node) {
  gemm_.batches = group_;
  gemm_.rows = window_.batch * window_.out_pixels();
  gemm_.taps = merges_taps() ? window_.kernel.h : window_.taps();
  gemm_.k = window_.channels / group_ * (merges_taps() ? window_.kernel.w : 1);
  if (merges_taps()) {
    padded_ = workspace_.add<float>(window_.batch * window_.in_h * padded_width() * window_.channels);
  }
  gemm_.n = out_channels_ / group_;
  const int threads = node.pool->threads();
  tiles_ = GemmTiles(gemm_, threads);
  pointers_ = workspace_.add(tiles_.pointer_bytes(threads));
  const size_t bytes = static_cast<size_t>(group_ * gemm_.packed_floats()) * sizeof(float);
  weights_.prepare(node, {1, 2}, "gemm", bytes, workspace_, [&](float* packed) { pack_gemm(node, packed); });
}

void Conv2D::pack_gemm(const Node& node, float* packed) const {
  const float* w = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto taps = static_cast<size_t>(gemm_.taps), k = static_cast<size_t>(gemm_.k), n = static_cast<size_t>(gemm_.n);
  for (int64_t g = 0; g < group_; ++g) {
    pack_gemm_f32(w + static_cast<size_t>(g) * n * taps * k, k, 1, taps * k,
                  bias == nullptr ? nullptr : bias + g * gemm_.n, taps, k, n, packed + g * gemm_.packed_floats());
  }
}

void Conv2D::run_gemm(Node& node) const {
  const float* x = node.in[0]->as<float>();
  float* y = node.out[0]->as<float>();
  const float* weights = weights_.get(node, [&](float* packed) { pack_gemm(node, packed); });
  const float** pointers = Workspace::at<const float*>(node, pointers_);
  const auto operands = [&](int64_t g) { return std::pair(weights + g * gemm_.packed_floats(), y + g * gemm_.n); };
  const auto stride = static_cast<size_t>(out_channels_);
  if (pointwise()) {
    const int64_t channels = window_.channels;
    tiles_.run(node, Epilogue(activation_, node), stride, pointers, operands,
               [&](int64_t g, int64_t row, size_t rows, const float** a) {
                 const float* from = x + row * channels + g * gemm_.k;
                 for (size_t r = 0; r < rows; ++r, from += channels) a[r] = from;
               });
    return;
  }
  if (merges_taps()) {
    float* padded = Workspace::at<float>(node, padded_);
    pad_rows(node, padded);
    tiles_.run(node, Epilogue(activation_, node), stride, pointers, operands,
               [&](int64_t, int64_t row, size_t rows, const float** a) { fill_runs(padded, row, rows, a); });
    return;
  }
  tiles_.run(
      node, Epilogue(activation_, node), stride, pointers, operands,
      [&](int64_t g, int64_t row, size_t rows, const float** a) { fill_pointers(x + g * gemm_.k, row, rows, a); });
}

// Rows are output pixels of all images in order.
void Conv2D::fill_pointers(const float* x, int64_t row, size_t rows, const float** a) const {
  const Window& w = window_;
  const auto* zeros = static_cast<const float*>(zeros_.get());
  int64_t ox = row % w.out_w, oy = row / w.out_w % w.out_h;
  const float* image = x + row / w.out_pixels() * w.in_pixels() * w.channels;
  for (size_t r = 0; r < rows; ++r) {
    const float** to = a + r;
    int64_t iy = oy * w.stride.h - w.top;
    for (int64_t ky = 0; ky < w.kernel.h; ++ky, iy += w.dilation.h) {
      const bool inside = iy >= 0 && iy < w.in_h;
      int64_t ix = ox * w.stride.w - w.left;
      for (int64_t kx = 0; kx < w.kernel.w; ++kx, ix += w.dilation.w, to += rows) {
        *to = inside && ix >= 0 && ix < w.in_w ? image + (iy * w.in_w + ix) * w.channels : zeros;
      }
    }
    if (++ox < w.out_w) continue;
    ox = 0;
    if (++oy < w.out_h) continue;
    oy = 0;
    image += w.in_pixels() * w.channels;
  }
}

void Conv2D::pad_rows(const Node& node, float* padded) const {
  const float* x = node.in[0]->as<float>();
  const int64_t channels = window_.channels, width = padded_width();
  const int64_t left = std::min(window_.left, width), inside = std::min(window_.in_w, width - left);
  node.pool->run(window_.batch * window_.in_h, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      float* to = padded + row * width * channels;
      std::fill_n(to, left * channels, 0.f);
      std::copy_n(x + row * window_.in_w * channels, inside * channels, to + left * channels);
      std::fill_n(to + (left + inside) * channels, (width - left - inside) * channels, 0.f);
    }
  });
}

void Conv2D::fill_runs(const float* padded, int64_t row, size_t rows, const float** a) const {
  const Window& w = window_;
  const auto* zeros = static_cast<const float*>(zeros_.get());
  for (size_t r = 0; r < rows; ++r, ++row) {
    const int64_t ox = row % w.out_w, oy = row / w.out_w % w.out_h, image = row / w.out_pixels();
    const float** to = a + r;
    int64_t iy = oy * w.stride.h - w.top;
    for (int64_t ky = 0; ky < w.kernel.h; ++ky, iy += w.dilation.h, to += rows) {
      const bool inside = iy >= 0 && iy < w.in_h;
      *to = inside ? padded + ((image * w.in_h + iy) * padded_width() + ox * w.stride.w) * w.channels : zeros;
    }
  }
}

void Conv2D::prepare_depthwise(Node& node) {
  const int threads = node.pool->threads();
  rows_ = RowWalk(window_, threads);
  pointers_ = workspace_.add<const float*>(rows_.pointer_count(threads));
  const size_t bytes =
      packed_depthwise_f32_bytes(static_cast<size_t>(window_.taps()), static_cast<size_t>(window_.channels));
  weights_.prepare(node, {1, 2}, "depthwise", bytes, workspace_, [&](float* packed) { pack_depthwise(node, packed); });
}

// The taps column by column: then neighbouring pixels share pointers, which the kernel makes use of.
void Conv2D::pack_depthwise(const Node& node, float* packed) const {
  const float* w = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto channels = static_cast<size_t>(window_.channels), taps = static_cast<size_t>(window_.taps());
  const Pair& kernel = window_.kernel;
  std::vector<float> columns;  // [tap][channel]
  columns.reserve(taps * channels);
  for (int64_t kx = 0; kx < kernel.w; ++kx) {
    for (int64_t ky = 0; ky < kernel.h; ++ky) {
      const float* tap = w + ky * kernel.w + kx;
      for (size_t c = 0; c < channels; ++c) columns.push_back(tap[c * taps]);
    }
  }
  pack_depthwise_f32(columns.data(), channels, 1, bias, taps, channels, packed);
}

void Conv2D::run_depthwise(Node& node) const {
  float* y = node.out[0]->as<float>();
  const float* weights = weights_.get(node, [&](float* packed) { pack_depthwise(node, packed); });
  const auto* zeros = static_cast<const float*>(zeros_.get());
  const Epilogue epilogue(activation_, node);
  rows_.run(node, node.in[0]->as<float>(), zeros, Workspace::at<const float*>(node, pointers_),
            [&](const float* const* taps, int64_t pixel, int64_t pixels) {
              DepthwiseF32 d;
              d.x = taps;
              d.step = rows_.step();
              d.taps = static_cast<size_t>(window_.taps());
              d.channels = static_cast<size_t>(window_.channels);
              d.count = static_cast<size_t>(pixels);
              d.packed = weights;
              d.y = y + pixel * window_.channels;
              d.y_stride = d.channels;
              d.lo = epilogue.low();
              d.hi = epilogue.high();
              kernels().depthwise_f32(d);
              epilogue.finish(d.y, d.count * d.channels);
            });
}

LR_REGISTER_OP(Conv2DFusion, Conv2D)

}  // namespace
}  // namespace lr
