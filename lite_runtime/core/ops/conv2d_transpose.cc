// Conv2dTransposeFusion: NHWC input, weights [in, kh, kw, out / group], optional bias.
//
// Output pixels whose positions agree modulo the stride (a phase) read the same filter taps, so each phase
// is an ordinary stride-1 convolution over its own taps: nothing is scattered and every result is written
// once.
#include <algorithm>
#include <utility>

#include "ops/gemm.h"
#include "ops/geometry.h"

namespace lr {

namespace {

constexpr int64_t kMaxPhases = 1 << 16;

// A filter tap of a phase: output pixel (py + jy * stride.h, px + jx * stride.w) reads input (jy + dy, jx + dx).
struct Tap {
  int64_t ky, kx, dy, dx;
};

struct Phase {
  int64_t py, px;
  std::vector<Tap> taps;
  int64_t offset;  // of its packed weights, in floats
};

// The taps of the first phases along one dimension, as (kernel position, input offset).
using Taps = std::vector<std::pair<int64_t, int64_t>>;
std::vector<Taps> taps_along(int64_t phases, int64_t kernel, int64_t stride, int64_t dilation, int64_t before) {
  std::vector<Taps> taps(static_cast<size_t>(phases));
  for (int64_t k = 0; k < kernel; ++k) {
    const int64_t distance = k * dilation - before;
    const int64_t phase = ((distance % stride) + stride) % stride;
    if (phase < phases) taps[static_cast<size_t>(phase)].emplace_back(k, (phase - distance) / stride);
  }
  return taps;
}

class Conv2dTranspose : public Op {
 public:
  void infer(Node& node) override;
  void prepare(Node& node) override;
  void run(Node& node) override;

 private:
  bool depthwise() const { return group_ == in_c_ && group_ == out_c_; }
  // Depthwise convolution treats all its groups at once.
  int64_t products() const { return depthwise() ? 1 : group_; }
  GemmShape product(const Phase& phase) const {
    return {1, 0, static_cast<int64_t>(phase.taps.size()), in_c_ / group_, out_c_ / group_};
  }
  int64_t packed_floats(const Phase& phase) const;  // of one product
  void fit(const Node& node);
  void pack(const Node& node, float* packed) const;
  void pack_product(const Node& node, const Phase& phase, int64_t group, float* packed) const;
  void pack_depthwise(const Node& node, const Phase& phase, float* packed) const;
  void run_row(const Node& node, const Phase& phase, int64_t group, int64_t image, int64_t jy, const float* weights,
               const float** a) const;

  int64_t batch_ = 0, in_h_ = 0, in_w_ = 0, in_c_ = 0, out_h_ = 0, out_w_ = 0, out_c_ = 0;
  int64_t group_ = 1;
  Pair kernel_, stride_, dilation_;
  Padding padding_;
  FusedActivation activation_;
  std::vector<Phase> phases_;
  int64_t most_taps_ = 0;
  PackedWeights weights_;
  size_t pointers_ = 0;
  Buffer zeros_;  // what taps outside the input read
};

void Conv2dTranspose::infer(Node& node) {
  const auto* attr = node.attr<schema::Conv2dTransposeFusion>();
  node.expect_inputs(2, 3);
  for (size_t i = 0; i < node.inputs(); ++i) node.expect_dtype(i, DType::kFloat32);
  const Shape& x = node.in[0]->shape;
  const Shape& w = node.in[1]->shape;
  if (x.rank() != 4 || w.rank() != 4) {
    node.invalid("input %s and weights %s need 4 dimensions each", x.str().c_str(), w.str().c_str());
  }
  group_ = std::max<int64_t>(1, attr->group());
  if (w[0] != x[3] || x[3] % group_ != 0) {
    node.invalid("weights %s do not fit input %s with group=%lld", w.str().c_str(), x.str().c_str(),
                 static_cast<long long>(group_));
  }
  if (w.count() == 0) node.invalid("weights %s are empty", w.str().c_str());
  batch_ = x[0];
  in_h_ = x[1];
  in_w_ = x[2];
  in_c_ = x[3];
  out_c_ = Shape{w[3], group_}.count();
  if (node.has(2) && node.in[2]->count() != out_c_) {
    node.invalid("bias has %lld values for %lld output channels", static_cast<long long>(node.in[2]->count()),
                 static_cast<long long>(out_c_));
  }
  kernel_ = {w[1], w[2]};
  stride_ = pair_attribute(node, "stride", attr->stride(), {1, 1});
  dilation_ = pair_attribute(node, "dilation", attr->dilation(), {1, 1});
  fit(node);
  activation_ = FusedActivation(node, attr->activation_type());
  node.set_out(0, DType::kFloat32, {batch_, out_h_, out_w_, out_c_});
}

// Sets padding and output size.
void Conv2dTranspose::fit(const Node& node) {
  const auto* attr = node.attr<schema::Conv2dTransposeFusion>();
  const auto extent = [](int64_t kernel, int64_t dilation) { return (kernel - 1) * dilation + 1; };
  const int64_t full_h = (in_h_ - 1) * stride_.h + extent(kernel_.h, dilation_.h);
  const int64_t full_w = (in_w_ - 1) * stride_.w + extent(kernel_.w, dilation_.w);
  check_pad_mode(node, attr->pad_mode());
  if (attr->pad_mode() == schema::PadMode_SAME) {
    out_h_ = in_h_ * stride_.h;
    out_w_ = in_w_ * stride_.w;
    padding_.top = std::max<int64_t>(0, full_h - out_h_) / 2;
    padding_.left = std::max<int64_t>(0, full_w - out_w_) / 2;
  } else {
    const bool padded = attr->pad_mode() == schema::PadMode_PAD;
    padding_ = padded ? padding_attribute(node, "pad_list", attr->pad_list()) : Padding();
    const Pair extra = pair_attribute(node, "output_paddings", attr->output_paddings(), {0, 0}, 0);
    out_h_ = full_h - padding_.top - padding_.bottom + extra.h;
    out_w_ = full_w - padding_.left - padding_.right + extra.w;
  }
  if (in_h_ == 0) out_h_ = 0;
  if (in_w_ == 0) out_w_ = 0;
  if (out_h_ < 0 || out_w_ < 0) {
    node.invalid("padding (%lld, %lld, %lld, %lld) is larger than the %lld x %lld result",
                 static_cast<long long>(padding_.top), static_cast<long long>(padding_.bottom),
                 static_cast<long long>(padding_.left), static_cast<long long>(padding_.right),
                 static_cast<long long>(full_h), static_cast<long long>(full_w));
  }
  if (std::min(stride_.h, out_h_) * std::min(stride_.w, out_w_) > kMaxPhases || stride_.h > kMaxPhases ||
      stride_.w > kMaxPhases) {
    node.unsupported("stride (%lld, %lld) is too large", static_cast<long long>(stride_.h),
                     static_cast<long long>(stride_.w));
  }
}

int64_t Conv2dTranspose::packed_floats(const Phase& phase) const {
  if (depthwise()) {
    return static_cast<int64_t>(packed_depthwise_f32_bytes(phase.taps.size(), static_cast<size_t>(out_c_)) /
                                sizeof(float));
  }
  return product(phase).packed_floats();
}

void Conv2dTranspose::prepare(Node& node) {
  phases_.clear();
  most_taps_ = 0;
  int64_t total = 0;
  const auto rows = taps_along(std::min(stride_.h, out_h_), kernel_.h, stride_.h, dilation_.h, padding_.top);
  const auto columns = taps_along(std::min(stride_.w, out_w_), kernel_.w, stride_.w, dilation_.w, padding_.left);
  for (size_t py = 0; py < rows.size(); ++py) {
    for (size_t px = 0; px < columns.size(); ++px) {
      Phase& phase = phases_.emplace_back(Phase{static_cast<int64_t>(py), static_cast<int64_t>(px), {}, total});
      for (const auto& [kx, dx] : columns[px]) {
        for (const auto& [ky, dy] : rows[py]) phase.taps.push_back({ky, kx, dy, dx});
      }
      most_taps_ = std::max(most_taps_, static_cast<int64_t>(phase.taps.size()));
      total = Shape{total + packed_floats(phase) * products()}.count();
    }
  }
  Workspace workspace;
  // Which taps a phase has depends on the padding, which may depend on the shape of the input.
  const std::string layout = "phases " + std::to_string(padding_.top) + " " + std::to_string(padding_.left) + " " +
                             std::to_string(std::min(stride_.h, out_h_)) + " " +
                             std::to_string(std::min(stride_.w, out_w_));
  weights_.prepare(node, {1, 2}, layout, static_cast<size_t>(total) * sizeof(float), workspace,
                   [&](float* packed) { pack(node, packed); });
  const auto pixels = static_cast<int64_t>(kernels().gemm_mr);
  pointers_ = workspace.add<const float*>(Shape{node.pool->threads(), most_taps_, pixels}.count());
  workspace.reserve(node);
  const size_t zeros = static_cast<size_t>(in_c_) * sizeof(float);
  zeros_ = allocate_buffer(zeros);
  std::memset(zeros_.get(), 0, zeros);
}

void Conv2dTranspose::pack(const Node& node, float* packed) const {
  for (const Phase& phase : phases_) {
    float* to = packed + phase.offset;
    if (depthwise()) {
      pack_depthwise(node, phase, to);
      continue;
    }
    for (int64_t g = 0; g < group_; ++g) pack_product(node, phase, g, to + g * packed_floats(phase));
  }
}

void Conv2dTranspose::pack_product(const Node& node, const Phase& phase, int64_t group, float* packed) const {
  const float* w = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const GemmShape shape = product(phase);
  std::vector<float> taps;  // [tap][in][out]
  taps.reserve(static_cast<size_t>(shape.taps * shape.k * shape.n));
  for (const Tap& tap : phase.taps) {
    for (int64_t c = group * shape.k; c < (group + 1) * shape.k; ++c) {
      const float* from = w + ((c * kernel_.h + tap.ky) * kernel_.w + tap.kx) * shape.n;
      taps.insert(taps.end(), from, from + shape.n);
    }
  }
  const auto k = static_cast<size_t>(shape.k), n = static_cast<size_t>(shape.n);
  pack_gemm_f32(taps.data(), k * n, n, 1, bias == nullptr ? nullptr : bias + group * shape.n, phase.taps.size(), k, n,
                packed);
}

void Conv2dTranspose::pack_depthwise(const Node& node, const Phase& phase, float* packed) const {
  const float* w = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto channels = static_cast<size_t>(out_c_);
  std::vector<float> taps;  // [tap][channel]
  taps.reserve(phase.taps.size() * channels);
  for (const Tap& tap : phase.taps) {
    for (int64_t c = 0; c < out_c_; ++c) taps.push_back(w[(c * kernel_.h + tap.ky) * kernel_.w + tap.kx]);
  }
  pack_depthwise_f32(taps.data(), channels, 1, bias, phase.taps.size(), channels, packed);
}

void Conv2dTranspose::run(Node& node) {
  if (node.out[0]->count() == 0) return;
  const float* weights = weights_.get(node, [&](float* packed) { pack(node, packed); });
  const float** pointers = Workspace::at<const float*>(node, pointers_);
  const int64_t rows = div_up(out_h_, stride_.h);  // of a phase, at most
  const int64_t tasks = static_cast<int64_t>(phases_.size()) * products() * batch_ * rows;
  // Multiply-adds of a task, on average.
  const double work = static_cast<double>(node.in[0]->count()) * static_cast<double>(node.in[1]->count()) /
                      static_cast<double>(in_c_ * tasks);
  node.pool->run(tasks, std::max<int64_t>(1, static_cast<int64_t>(kGemmGrain / (work + 1))),
                 [&](int64_t begin, int64_t end, int thread) {
                   const float** a = pointers + thread * most_taps_ * static_cast<int64_t>(kernels().gemm_mr);
                   for (int64_t task = begin; task < end; ++task) {
                     const int64_t image = task / rows % batch_, group = task / rows / batch_ % products();
                     const Phase& phase = phases_[static_cast<size_t>(task / rows / batch_ / products())];
                     run_row(node, phase, group, image, task % rows,
                             weights + phase.offset + group * packed_floats(phase), a);
                   }
                 });
}

// The pixels of one phase in one output row, gemm_mr at a time.
void Conv2dTranspose::run_row(const Node& node, const Phase& phase, int64_t group, int64_t image, int64_t jy,
                              const float* weights, const float** a) const {
  const GemmShape shape = product(phase);
  const int64_t oy = phase.py + jy * stride_.h;
  if (oy >= out_h_) return;
  const float* x = node.in[0]->as<float>() + image * in_h_ * in_w_ * in_c_ + group * shape.k;
  float* y = node.out[0]->as<float>() + ((image * out_h_ + oy) * out_w_ + phase.px) * out_c_ + group * shape.n;
  const auto* zeros = static_cast<const float*>(zeros_.get());
  const auto mr = static_cast<int64_t>(kernels().gemm_mr), count = div_up(out_w_ - phase.px, stride_.w);
  const auto step = static_cast<size_t>(stride_.w * out_c_), taps = phase.taps.size();
  const Epilogue epilogue(activation_, node);
  for (int64_t jx = 0; jx < count; jx += mr) {
    const auto pixels = static_cast<size_t>(std::min(mr, count - jx));
    // The depthwise kernel wants the taps of a pixel together, the matrix kernel the pixels of a tap.
    const size_t pixel_step = depthwise() ? taps : 1, tap_step = depthwise() ? 1 : pixels;
    for (size_t t = 0; t < taps; ++t) {
      const int64_t iy = jy + phase.taps[t].dy;
      const bool inside = iy >= 0 && iy < in_h_;
      for (size_t r = 0; r < pixels; ++r) {
        const int64_t ix = jx + static_cast<int64_t>(r) + phase.taps[t].dx;
        a[t * tap_step + r * pixel_step] = inside && ix >= 0 && ix < in_w_ ? x + (iy * in_w_ + ix) * in_c_ : zeros;
      }
    }
    float* to = y + jx * static_cast<int64_t>(step);
    const auto n = static_cast<size_t>(depthwise() ? out_c_ : shape.n);
    if (depthwise()) {
      kernels().depthwise_f32({weights, a, taps, taps, n, pixels, to, step, epilogue.low(), epilogue.high()});
    } else {
      kernels().gemm_f32(
          {a, pixels, taps, static_cast<size_t>(shape.k), n, weights, to, step, epilogue.low(), epilogue.high()});
    }
    epilogue.finish_rows(to, pixels, step, n);
  }
}

LR_REGISTER_OP(Conv2dTransposeFusion, Conv2dTranspose)

}  // namespace
}  // namespace lr
