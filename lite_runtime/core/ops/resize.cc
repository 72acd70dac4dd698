// Resize of the two spatial dimensions of NHWC input: nearest, linear and cubic.
#include <algorithm>
#include <cmath>

#include "ops/workspace.h"

namespace lr {

namespace {

// Values worth a thread.
constexpr int64_t kGrain = 1 << 14;
// Largest height and width; coordinates are exact in single precision.
constexpr int64_t kMaxSize = 1 << 22;
// From this many channels on a kernel call per pixel pays.
constexpr int64_t kManyChannels = 16;

// For every position of the result along one dimension, the input positions it blends and their weights.
struct Taps {
  int count = 1;  // per position
  std::vector<int64_t> index;
  std::vector<float> weight;
};

// What the attributes say, for one dimension.
class Sampler {
 public:
  explicit Sampler(const Node& node) : attr_(*node.attr<schema::Resize>()) {}

  Taps taps(int64_t in, int64_t out) const {
    Taps taps;
    taps.count = attr_.method() == schema::ResizeMethod_NEAREST  ? 1
                 : attr_.method() == schema::ResizeMethod_LINEAR ? 2
                                                                 : 4;
    for (int64_t position = 0; position < out; ++position) {
      const float at = source(position, in, out);
      switch (taps.count) {
        case 1:
          add(taps, nearest(at), in, 1.f);
          break;
        case 2:
          add_linear(taps, std::min(std::max(at, 0.f), static_cast<float>(in - 1)), in);
          break;
        default:
          add_cubic(taps, at, in);
      }
    }
    return taps;
  }

 private:
  // The input coordinate of a position, in the single precision that other runtimes compute it in.
  float source(int64_t position, int64_t in, int64_t out) const {
    const auto p = static_cast<float>(position);
    const float scale = static_cast<float>(out) / static_cast<float>(in);
    switch (attr_.coordinate_transform_mode()) {
      case schema::CoordinateTransformMode_ALIGN_CORNERS:
        return out > 1 ? p * static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0.f;
      case schema::CoordinateTransformMode_HALF_PIXEL:
        return (p + 0.5f) / scale - 0.5f;
      default:
        return p / scale;
    }
  }

  float nearest(float at) const {
    switch (attr_.nearest_mode()) {
      case schema::NearestMode_ROUND_HALF_DOWN:
        return std::ceil(at - 0.5f);
      case schema::NearestMode_ROUND_HALF_UP:
        return std::floor(at + 0.5f);
      case schema::NearestMode_FLOOR:
        return std::floor(at);
      case schema::NearestMode_CEIL:
        return std::ceil(at);
      default:
        return attr_.coordinate_transform_mode() == schema::CoordinateTransformMode_ALIGN_CORNERS ? std::round(at)
                                                                                                  : std::floor(at);
    }
  }

  static void add(Taps& taps, float index, int64_t in, float weight) {
    taps.index.push_back(std::min(std::max<int64_t>(0, static_cast<int64_t>(index)), in - 1));
    taps.weight.push_back(weight);
  }

  static void add_linear(Taps& taps, float at, int64_t in) {
    const float base = std::floor(at);
    add(taps, base, in, 1.f - (at - base));
    add(taps, base + 1.f, in, at - base);
  }

  void add_cubic(Taps& taps, float at, int64_t in) const {
    const float base = std::floor(at);
    float weight[4], total = 0;
    for (int t = 0; t < 4; ++t) {
      const float index = base + static_cast<float>(t - 1);
      const bool outside = index < 0 || index > static_cast<float>(in - 1);
      weight[t] = outside && attr_.exclude_outside() != 0 ? 0.f : cubic(std::fabs(at - index));
      total += weight[t];
    }
    for (int t = 0; t < 4; ++t) {
      add(taps, base + static_cast<float>(t - 1), in, attr_.exclude_outside() != 0 ? weight[t] / total : weight[t]);
    }
  }

  // The cubic convolution kernel at distance d.
  float cubic(float d) const {
    const float a = attr_.cubic_coeff();
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    return 0;
  }

  const schema::Resize& attr_;
};

class Resize : public Op {
 public:
  void infer(Node& node) override;
  void prepare(Node& node) override;
  void run(Node& node) override;

 private:
  void read_size(const Node& node, int64_t& height, int64_t& width) const;
  void copy_row(const char* from, char* to) const;
  void blend_row(const float* image, int64_t oy, float* line, float* to) const;

  int64_t in_h_ = 0, in_w_ = 0, channels_ = 0, out_h_ = 0, out_w_ = 0;
  size_t pixel_bytes_ = 0;
  Taps rows_, columns_;
};

// The second input is the size (integers), the scale (floats), or one zoom factor (an integer).
void Resize::read_size(const Node& node, int64_t& height, int64_t& width) const {
  const auto* attr = node.attr<schema::Resize>();
  height = attr->new_height();
  width = attr->new_width();
  if (!node.has(1)) return;
  const Tensor& given = node.value(1);
  const int64_t count = given.count();
  const size_t first = count == 4 ? 1 : 0;
  if (given.dtype == DType::kFloat32 && (count == 2 || count == 4)) {
    const std::vector<float> scale = node.floats(1);
    const auto scaled = [&](float factor, int64_t in) {
      const double size = std::round(static_cast<double>(factor) * static_cast<double>(in));
      return size >= 0 && size < static_cast<double>(kMaxSize) ? static_cast<int64_t>(size) : -1;
    };
    height = scaled(scale[first], in_h_);
    width = scaled(scale[first + 1], in_w_);
    return;
  }
  const std::vector<int64_t> size = node.ints(1);
  if (count == 1) {
    const int64_t zoom = std::min(std::max<int64_t>(size[0], 0), kMaxSize);
    height = in_h_ + (in_h_ - 1) * (zoom - 1);
    width = in_w_ + (in_w_ - 1) * (zoom - 1);
  } else if (count == 2 || count == 4) {
    height = size[first];
    width = size[first + 1];
  } else {
    node.invalid("input 1 has %lld values; it needs 1 (zoom), 2 (height, width) or 4 (NHWC)",
                 static_cast<long long>(count));
  }
}

void Resize::infer(Node& node) {
  const auto* attr = node.attr<schema::Resize>();
  node.expect_inputs(1, 2);
  const Shape& x = node.in[0]->shape;
  const DType dtype = node.in[0]->dtype;
  if (x.rank() != 4) node.invalid("input 0 has shape %s; it needs 4 dimensions (NHWC)", x.str().c_str());
  const schema::ResizeMethod method = attr->method();
  if (method < schema::ResizeMethod_LINEAR || method > schema::ResizeMethod_CUBIC) {
    node.unsupported("method=%d is not offered", method);
  }
  if (method != schema::ResizeMethod_NEAREST) node.expect_dtype(0, DType::kFloat32);
  if (dtype != DType::kFloat32 && !node.in[0]->def->quant.empty()) {
    node.unsupported("a quantised input (%s) is not offered", dtype_name(dtype));
  }
  if (attr->preserve_aspect_ratio()) node.unsupported("preserve_aspect_ratio=true is not offered");
  if (attr->coordinate_transform_mode() < schema::CoordinateTransformMode_MIN ||
      attr->coordinate_transform_mode() > schema::CoordinateTransformMode_MAX) {
    node.unsupported("coordinate_transform_mode=%d is not offered", attr->coordinate_transform_mode());
  }
  in_h_ = x[1];
  in_w_ = x[2];
  channels_ = x[3];
  pixel_bytes_ = static_cast<size_t>(channels_) * dtype_size(dtype);
  if (in_h_ < 1 || in_w_ < 1 || in_h_ > kMaxSize || in_w_ > kMaxSize) {
    node.invalid("input 0 has shape %s: height or width is out of range", x.str().c_str());
  }
  read_size(node, out_h_, out_w_);
  if (out_h_ < 1 || out_w_ < 1 || out_h_ > kMaxSize || out_w_ > kMaxSize) {
    node.invalid("the new size %lld x %lld is out of range", static_cast<long long>(out_h_),
                 static_cast<long long>(out_w_));
  }
  node.set_out(0, dtype, {x[0], out_h_, out_w_, channels_});
}

void Resize::prepare(Node& node) {
  const Sampler sampler(node);
  rows_ = sampler.taps(in_h_, out_h_);
  columns_ = sampler.taps(in_w_, out_w_);
  Workspace workspace;
  if (rows_.count > 1) workspace.add<float>(Shape{node.pool->threads(), in_w_, channels_}.count());
  workspace.reserve(node);
}

void Resize::run(Node& node) {
  if (node.out[0]->count() == 0) return;
  const char* x = node.in[0]->as<char>();
  char* y = node.out[0]->as<char>();
  const size_t in_row = static_cast<size_t>(in_w_) * pixel_bytes_, out_row = static_cast<size_t>(out_w_) * pixel_bytes_;
  const int64_t cost = std::max(in_w_, out_w_) * channels_ * rows_.count;
  node.pool->run(node.out[0]->shape[0] * out_h_, std::max<int64_t>(1, kGrain / cost),
                 [&](int64_t begin, int64_t end, int thread) {
                   for (int64_t i = begin; i < end; ++i) {
                     const char* image = x + static_cast<size_t>(i / out_h_ * in_h_) * in_row;
                     char* to = y + static_cast<size_t>(i) * out_row;
                     if (rows_.count == 1) {
                       copy_row(image + static_cast<size_t>(rows_.index[static_cast<size_t>(i % out_h_)]) * in_row, to);
                     } else {
                       float* line = Workspace::at<float>(node, 0) + thread * in_w_ * channels_;
                       blend_row(reinterpret_cast<const float*>(image), i % out_h_, line, reinterpret_cast<float*>(to));
                     }
                   }
                 });
}

void Resize::copy_row(const char* from, char* to) const {
  if (pixel_bytes_ == sizeof(uint32_t)) {
    const auto* source = reinterpret_cast<const uint32_t*>(from);
    auto* target = reinterpret_cast<uint32_t*>(to);
    for (size_t i = 0; i < columns_.index.size(); ++i) target[i] = source[columns_.index[i]];
    return;
  }
  for (int64_t index : columns_.index) {
    std::memcpy(to, from + static_cast<size_t>(index) * pixel_bytes_, pixel_bytes_);
    to += pixel_bytes_;
  }
}

// Blends rows into `line`, then its pixels.
void Resize::blend_row(const float* image, int64_t oy, float* line, float* to) const {
  const Kernels& k = kernels();
  const int64_t row = in_w_ * channels_;
  const auto blend = [&](const Taps& taps, int64_t position, const float* from, int64_t step, float* sum, int64_t n) {
    const int64_t* index = taps.index.data() + position * taps.count;
    const float* weight = taps.weight.data() + position * taps.count;
    if (n < kManyChannels) {
      for (int64_t i = 0; i < n; ++i) {
        float value = 0;
        for (int t = 0; t < taps.count; ++t) value += weight[t] * from[index[t] * step + i];
        sum[i] = value;
      }
      return;
    }
    k.unary.affine(from + index[0] * step, sum, static_cast<size_t>(n), weight[0], 0.f);
    for (int t = 1; t < taps.count; ++t) {
      if (weight[t] != 0) k.axpy_f32(weight[t], from + index[t] * step, sum, static_cast<size_t>(n));
    }
  };
  blend(rows_, oy, image, row, line, row);
  for (int64_t ox = 0; ox < out_w_; ++ox) blend(columns_, ox, line, channels_, to + ox * channels_, channels_);
}

LR_REGISTER_OP(Resize, Resize)

}  // namespace
}  // namespace lr
