// QuantDTypeCast: between float32 and quantised integers, and between these. The parameters are those of the
// integer tensor in the file, per channel along `axis` when there are several; constants that are dequantised
// on the fly bring them as inputs (scales, zero points, mean and variance corrections).
// DynamicQuant: to int8, with parameters from the values of each run.
#include <cmath>
#include <limits>

#include "ops/elementwise.h"
#include "ops/quantized/quantized.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384, kChunk = 1024;

bool is_stored(DType dtype) {
  return dtype == DType::kInt8 || dtype == DType::kUInt8 || dtype == DType::kInt16 || dtype == DType::kInt32;
}

class QuantDTypeCast : public Op {
 public:
  void infer(Node& node) override {
    const auto* attr = node.attr<schema::QuantDTypeCast>();
    node.expect_inputs(1, 5);
    const DType from = node.in[0]->dtype, to = static_cast<DType>(attr->dst_t());
    for (const DType dtype : {from, to}) {
      if (dtype != DType::kFloat32 && !is_stored(dtype)) {
        node.unsupported("from %s to %s", dtype_name(from), dtype_name(to));
      }
    }
    const int axis = node.in[0]->shape.rank() == 0 ? 0 : normalize_axis(attr->axis(), node.in[0]->shape.rank());
    node.set_out(0, to, node.in[0]->shape);
    if (from != DType::kFloat32) {
      from_ = node.inputs() > 1 ? from_inputs(node, axis) : quantization_of(node, *node.in[0], from, axis);
    }
    if (to != DType::kFloat32) to_ = quantization_of(node, *node.out[0], to, axis);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const auto in_size = static_cast<int64_t>(dtype_size(in.dtype)),
               out_size = static_cast<int64_t>(dtype_size(out.dtype));
    parallel(node.pool, in.count(), kGrain, [&](int64_t begin, int64_t end, int) {
      float values[kChunk];
      for (int64_t i = begin; i < end; i += kChunk) {
        const int64_t n = std::min(kChunk, end - i);
        const void* q = in.as<char>() + i * in_size;
        void* y = out.as<char>() + i * out_size;
        const bool to_float = out.dtype == DType::kFloat32;
        const float* x = in.dtype == DType::kFloat32 ? static_cast<const float*>(q) : values;
        if (in.dtype != DType::kFloat32)
          dequantize(in.dtype, q, to_float ? static_cast<float*>(y) : values, n, from_, i);
        if (!to_float) {
          quantize(x, out.dtype, y, n, to_, i);
        } else if (in.dtype == DType::kFloat32) {
          copy_bytes(y, q, static_cast<size_t>(n * out_size));
        }
      }
    });
  }

 private:
  static Quantization from_inputs(const Node& node, int axis) {
    const Shape& shape = node.in[0]->shape;
    const std::vector<float> scales = node.floats(1);
    const auto optional = [&](size_t i) { return node.has(i) ? node.floats(i) : std::vector<float>(); };
    const std::vector<int64_t> zeros = node.has(2) ? node.ints(2) : std::vector<int64_t>(scales.size());
    const std::vector<float> means = optional(3), variances = optional(4);
    const size_t n = scales.size();
    if (n == 0 || (n > 1 && (shape.rank() == 0 || static_cast<int64_t>(n) != shape[axis])) || zeros.size() != n ||
        (!means.empty() && means.size() != n) || (!variances.empty() && variances.size() != n)) {
      node.invalid("%zu scales, %zu zero points, %zu mean and %zu variance corrections do not fit axis %d of %s", n,
                   zeros.size(), means.size(), variances.size(), axis, shape.str().c_str());
    }
    Quantization result;
    for (size_t i = 0; i < n; ++i) {
      const float scale = scales[i] * (variances.empty() ? 1.f : variances[i]);
      const float shift = means.empty() ? 0.f : means[i];
      if (!std::isfinite(scale) || !std::isfinite(shift)) node.invalid("scale %zu is not a finite number", i);
      if (zeros[i] != static_cast<int32_t>(zeros[i])) node.invalid("zero point %zu is out of range", i);
      result.channels.push_back({scale, static_cast<int32_t>(zeros[i]), shift});
    }
    if (n > 1) result.inner = shape.count(axis + 1, shape.rank());
    return result;
  }

  Quantization from_, to_;
};

// As MindSpore Lite does it: the least and greatest value become -128 and 127, so 0 need not be a value of
// its own and the zero point may lie outside int8; symmetric: the zero point is 0.
class DynamicQuant : public Op {
 public:
  void infer(Node& node) override {
    const auto* attr = node.attr<schema::DynamicQuant>();
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    if (attr->dst_type() != static_cast<int64_t>(DType::kInt8)) {
      node.unsupported("dst_type=%lld; only int8 (32) is offered", static_cast<long long>(attr->dst_type()));
    }
    if (attr->activation_channel()) node.unsupported("activation_channel=true is not offered");
    node.set_out(0, DType::kInt8, node.in[0]->shape);
  }

  void run(Node& node) override {
    const float* x = node.in[0]->as<float>();
    const auto count = static_cast<size_t>(node.in[0]->count());
    Tensor& out = *node.out[0];
    const Affine a = count == 0 ? Affine{1.f} : choose(node, x, count);
    out.run_time_quantization = a;
    parallel(node.pool, static_cast<int64_t>(count), kGrain, [&](int64_t begin, int64_t end, int) {
      kernels().quantize_i8(x + begin, out.as<int8_t>() + begin, static_cast<size_t>(end - begin), a.scale, a.zero);
    });
  }

 private:
  static Affine choose(const Node& node, const float* x, size_t count) {
    constexpr float kSpan = 0.01f;           // of a tensor of equal values, as in MindSpore Lite
    constexpr float kFarthest = 1 << 20;     // a zero point the kernels can take
    constexpr float kLeastScale = 1.2e-38f;  // a normal number
    const float low = kernels().reduce.min(x, count), high = kernels().reduce.max(x, count);
    const float most = std::max(std::fabs(low), std::fabs(high));
    if (!std::isfinite(most) || low != low || high != high) {
      fail(LR_ERROR_RUN, "the values to be quantised are not finite (%g to %g)", static_cast<double>(low),
           static_cast<double>(high));
    }
    if (node.attr<schema::DynamicQuant>()->symmetric()) return {std::max(kLeastScale, most / 127.f)};
    // In halves, which cannot overflow.
    const float half = high / 2 - low / 2;
    const float scale = half > 0 ? half / 127.5f : kSpan / 255.f;
    const float safe = std::max({scale, kLeastScale, most / kFarthest});
    return {safe, static_cast<int32_t>(std::nearbyint(-128.f - low / safe))};
  }
};

LR_REGISTER_OP(QuantDTypeCast, QuantDTypeCast)
LR_REGISTER_OP(DynamicQuant, DynamicQuant)

}  // namespace
}  // namespace lr
