// The storage forms of constants in .ms files: bit-packed, indexed, sparse and entropy-coded (FSE) weights,
// and their way back to plain arrays. Reads untrusted bytes: every length and index is checked.
#pragma once

#include "model.h"

namespace lr {

namespace schema {
struct Tensor;
}

// Replaces the compressed bytes of `def` by plain int8, int16 or float32 elements of def.shape.
// Throws LR_ERROR_FORMAT when the bytes do not decode, LR_ERROR_UNSUPPORTED for unknown forms.
void decompress(const schema::Tensor& stored, TensorDef& def);

// Replaces int8 or int16 elements by the float32 they stand for; per channel along `axis`.
void dequantize(TensorDef& def, int axis);

// The axis that has one set of quantisation parameters per channel: `preferred` where that fits, else the first
// or the last; 0 for a single set. Throws LR_ERROR_FORMAT when the parameters fit no axis.
int channel_axis(const TensorDef& def, int preferred);

// Replaces float16 elements by float32.
void widen_float16(TensorDef& def);

// Gives the tensor storage of its own and returns it.
void* own_storage(TensorDef& def, size_t bytes);

}  // namespace lr
