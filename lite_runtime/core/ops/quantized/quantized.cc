#include "ops/quantized/quantized.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/dispatch.h"
#include "storage.h"

namespace lr {
namespace {

constexpr int64_t kChunk = 256;

template <class T>
void dequantize_as(const T* q, float* x, int64_t n, const Quantization& quantization, int64_t first) {
  for (int64_t i = 0; i < n; ++i) {
    const Affine& a = quantization.of(first + i);
    const float value = static_cast<float>(int64_t{q[i]} - a.zero) * a.scale;
    x[i] = a.shift == 0.f ? value : value + a.shift;
  }
}

template <class T>
void quantize_as(const float* x, T* q, int64_t n, const Quantization& quantization, int64_t first) {
  using Limits = std::numeric_limits<T>;
  float rounded[kChunk];
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = std::min(kChunk, n - i);
    for (int64_t j = 0; j < count; ++j) rounded[j] = x[i + j] / quantization.of(first + i + j).scale;
    kernels().unary.round(rounded, rounded, static_cast<size_t>(count), 0.f, 0.f);
    for (int64_t j = 0; j < count; ++j) {
      const double value = rounded[j] == rounded[j] ? static_cast<double>(rounded[j]) : 0.0;
      const double y = value + quantization.of(first + i + j).zero;
      q[i + j] = static_cast<T>(std::min<double>(std::max<double>(y, Limits::min()), Limits::max()));
    }
  }
}

// Calls body(T{}) for the stored types.
template <class Body>
void for_stored(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kInt8:
      return body(int8_t{});
    case DType::kUInt8:
      return body(uint8_t{});
    case DType::kInt16:
      return body(int16_t{});
    default:
      return body(int32_t{});
  }
}

Affine checked(const Node& node, const Tensor& tensor, DType dtype, const QuantParam& p) {
  const Affine affine{static_cast<float>(p.scale * p.var_corr), p.zero_point, p.mean_corr};
  const char* name = tensor.def->name.c_str();
  if (!std::isnormal(affine.scale) || affine.scale < 0.f || !std::isfinite(affine.shift)) {
    node.invalid("tensor '%s' has the scale %g; it must be a positive number", name, p.scale);
  }
  const Range range = range_of(dtype);
  if (affine.zero < range.lo || affine.zero > range.hi) {
    node.invalid("tensor '%s' has the zero point %d, which is no %s", name, affine.zero, dtype_name(dtype));
  }
  return affine;
}

}  // namespace

Quantization quantization_of(const Node& node, const Tensor& tensor, DType dtype, int preferred_axis) {
  if (tensor.def == nullptr || tensor.def->quant.empty()) {
    node.invalid("tensor '%s' has no quantisation parameters", tensor.def == nullptr ? "" : tensor.def->name.c_str());
  }
  Quantization result;
  for (const QuantParam& p : tensor.def->quant) result.channels.push_back(checked(node, tensor, dtype, p));
  if (result.per_tensor()) return result;
  TensorDef shaped = *tensor.def;  // dimensions in the file are only hints
  shaped.shape = tensor.shape;
  const int axis = channel_axis(shaped, preferred_axis);
  result.inner = tensor.shape.count(axis + 1, tensor.shape.rank());
  return result;
}

Affine affine_of(const Node& node, const Tensor& tensor, DType dtype) {
  if (tensor.run_time_quantization.scale != 0.f) return tensor.run_time_quantization;
  const Quantization all = quantization_of(node, tensor, dtype, 0);
  if (!all.per_tensor()) node.unsupported("tensor '%s' is quantised per channel", tensor.def->name.c_str());
  return all.channels[0];
}

void dequantize(DType dtype, const void* q, float* x, int64_t n, const Quantization& quantization, int64_t first) {
  const Affine& a = quantization.channels[0];
  if (dtype == DType::kInt8 && quantization.per_tensor() && a.shift == 0.f) {
    return kernels().dequantize_i8(static_cast<const int8_t*>(q), x, static_cast<size_t>(n), a.scale, a.zero);
  }
  for_stored(dtype,
             [&](auto number) { dequantize_as(static_cast<const decltype(number)*>(q), x, n, quantization, first); });
}

void quantize(const float* x, DType dtype, void* q, int64_t n, const Quantization& quantization, int64_t first) {
  const Affine& a = quantization.channels[0];
  if (dtype == DType::kInt8 && quantization.per_tensor()) {
    return kernels().quantize_i8(x, static_cast<int8_t*>(q), static_cast<size_t>(n), a.scale, a.zero);
  }
  for_stored(dtype, [&](auto number) { quantize_as(x, static_cast<decltype(number)*>(q), n, quantization, first); });
}

Range range_of(DType dtype) {
  switch (dtype) {
    case DType::kInt8:
      return {-128, 127};
    case DType::kUInt8:
      return {0, 255};
    case DType::kInt16:
      return {-32768, 32767};
    default:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  }
}

bool is_clamp(schema::ActivationType type) {
  return type == schema::ActivationType_NO_ACTIVATION || type == schema::ActivationType_RELU ||
         type == schema::ActivationType_RELU6 || type == schema::ActivationType_RELU1;
}

Range clamped_range(schema::ActivationType type, const Affine& output) {
  Range range = {-128, 127};
  const auto at = [&](float x) {
    int8_t q;
    kernels().quantize_i8(&x, &q, 1, output.scale, output.zero);
    return int32_t{q};
  };
  if (type == schema::ActivationType_RELU || type == schema::ActivationType_RELU6) range.lo = at(0.f);
  if (type == schema::ActivationType_RELU6) range.hi = at(6.f);
  if (type == schema::ActivationType_RELU1) range = {at(-1.f), at(1.f)};
  return range;
}

bool is_int8(const TensorDef& tensor) {
  return tensor.dtype == DType::kInt8 && tensor.quant.size() == 1 && tensor.quant[0].mean_corr == 0.f;
}

bool is_symmetric_weight(const TensorDef& tensor) {
  return tensor.dtype == DType::kInt8 && tensor.is_const() && !tensor.quant.empty() &&
         std::all_of(tensor.quant.begin(), tensor.quant.end(),
                     [](const QuantParam& p) { return p.zero_point == 0 && p.mean_corr == 0.f; });
}

bool is_bias(const NodeDef& node, size_t input, const Model& model) {
  if (node.inputs.size() <= input) return true;
  const TensorDef& bias = input_of(node, input, model);
  return bias.is_const() && bias.dtype == DType::kInt32;
}

ProductConstants product_constants(const int8_t* w, int64_t channels, int64_t channel_step, int64_t per_channel,
                                   int64_t step, const int32_t* b, const Affine& x, const Quantization& weights,
                                   const Affine& y, int64_t padded) {
  ProductConstants result;
  const auto size = static_cast<size_t>(std::max(channels, padded));
  result.bias.resize(size);
  result.scale.resize(size);
  for (int64_t c = 0; c < channels; ++c) {
    const auto at = static_cast<size_t>(c);
    int64_t sum = 0;
    for (int64_t i = 0; i < per_channel; ++i) {
      const int8_t value = w[c * channel_step + i * step];
      result.narrow = result.narrow && value != -128;
      sum += value;
    }
    const int64_t bias = (b == nullptr ? 0 : int64_t{b[c]}) - int64_t{x.zero} * sum;
    result.bias[at] = static_cast<int32_t>(static_cast<uint64_t>(bias));
    const double scale = static_cast<double>(weights.channels[weights.per_tensor() ? 0 : at].scale);
    result.scale[at] = static_cast<float>(static_cast<double>(x.scale) * scale / static_cast<double>(y.scale));
  }
  return result;
}

}  // namespace lr
