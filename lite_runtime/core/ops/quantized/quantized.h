// What operators on quantised integers have in common.
#pragma once

#include <vector>

#include "op.h"
#include "ops/workspace.h"

namespace lr {

// Quantisation parameters of a tensor, along an axis when there are several.
struct Quantization {
  std::vector<Affine> channels;
  int64_t inner = 1;  // neighbouring elements that share a channel

  bool per_tensor() const { return channels.size() == 1; }
  const Affine& of(int64_t element) const {
    return channels[per_tensor() ? 0 : static_cast<size_t>(element / inner) % channels.size()];
  }
};

// The file's parameters for a tensor of `dtype`; `preferred_axis` as for channel_axis. Fails when there are none
// or a scale is not a normal positive number.
Quantization quantization_of(const Node& node, const Tensor& tensor, DType dtype, int preferred_axis);
// The single parameters of a tensor, from the file or set by the operator that made its values.
Affine affine_of(const Node& node, const Tensor& tensor, DType dtype);

// n elements between their stored form (int8, uint8, int16, int32) and what they stand for. Quantising rounds
// x / scale to the nearest integer, half to even, adds the zero point and limits to the type's range;
// not-a-number becomes the zero point. `first` is the index of the first element.
void dequantize(DType dtype, const void* q, float* x, int64_t n, const Quantization& quantization, int64_t first);
void quantize(const float* x, DType dtype, void* q, int64_t n, const Quantization& quantization, int64_t first);

// Least and greatest value of a type of at most 16 bits, and of those the ones a fused clamp leaves.
struct Range {
  int32_t lo, hi;
};
Range range_of(DType dtype);
// NO_ACTIVATION, RELU, RELU6 and RELU1 are limits on the result.
bool is_clamp(schema::ActivationType type);
Range clamped_range(schema::ActivationType type, const Affine& output);

// Tests on the file's tables for `accepts`: of an int8 tensor with one scale; of a constant int8 weight with zero
// point 0 in all channels; of an absent or constant int32 bias.
bool is_int8(const TensorDef& tensor);
bool is_symmetric_weight(const TensorDef& tensor);
bool is_bias(const NodeDef& node, size_t input, const Model& model);
inline const TensorDef& input_of(const NodeDef& node, size_t i, const Model& model) {
  return model.tensors()[node.inputs[i]];
}
inline const TensorDef& output_of(const NodeDef& node, size_t i, const Model& model) {
  return model.tensors()[node.outputs[i]];
}

// Per-channel constants of an integer product: what is added to the sums, and what they are multiplied with.
struct ProductConstants {
  std::vector<int32_t> bias;
  std::vector<float> scale;
  bool narrow = true;  // no weight is -128
};

// For weights whose channel c has `per_channel` values at w + c * channel_step + i * step. The arrays get `padded`
// elements at least.
//   bias[c] = b[c] - x.zero * (sum of the channel's weights),  scale[c] = x.scale * weights.scale[c] / y.scale
ProductConstants product_constants(const int8_t* w, int64_t channels, int64_t channel_step, int64_t per_channel,
                                   int64_t step, const int32_t* b, const Affine& x, const Quantization& weights,
                                   const Affine& y, int64_t padded);

}  // namespace lr
