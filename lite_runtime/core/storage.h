// The storage forms of constants in .ms files: bit-packed, indexed, sparse and entropy-coded (FSE) weights,
// and their way back to plain arrays. Reads untrusted bytes: every length and index is checked.
#pragma once

#include "model.h"

namespace lr {

namespace schema {
struct Tensor;
}

// Whether the file holds something else than the constant's elements. Throws LR_ERROR_FORMAT where it cannot be decoded
// to the type, LR_ERROR_UNSUPPORTED for unknown forms.
bool is_encoded(const schema::Tensor& stored, const TensorDef& def);

// Points the constant to its elements where they lie in the file, or to a copy that is aligned for their type.
void place(TensorDef& def, const schema::Tensor& stored);

// Gives an encoded constant its elements: int8 and int16 where these are quantised, else float32. Throws
// LR_ERROR_FORMAT when the bytes do not decode.
void decode(TensorDef& def);

// The elements, of type def.dtype, of a constant that stays encoded.
Buffer decoded(const TensorDef& def);

// Replaces int8 or int16 elements by the float32 they stand for; per channel along `axis`.
void dequantize(TensorDef& def, int axis);

// The integers of an int8 constant, each at a place that its number tells.
class StoredIntegers {
 public:
  StoredIntegers() = default;
  // Where they lie in the file; without data() where its form has no such places.
  explicit StoredIntegers(const TensorDef& def);
  // In `decoded`, which decode_small has filled.
  StoredIntegers(const TensorDef& def, Buffer decoded);

  const void* data() const { return data_; }
  // n of them from the one with number `first` on.
  void read(int64_t first, int64_t n, int8_t* out) const;

 private:
  const uint8_t* data_ = nullptr;
  uint32_t bits_ = 8;
  int32_t offset_ = 0;
  Buffer owned_;
};
// The integers of an encoded int8 constant, two in a byte where they have at most 4 bits.
size_t small_bytes(const TensorDef& def);
Buffer decode_small(const TensorDef& def);

// The axis that has one set of quantisation parameters per channel: `preferred` where that fits, else the first
// or the last; 0 for a single set. Throws LR_ERROR_FORMAT when the parameters fit no axis.
int channel_axis(const TensorDef& def, int preferred);

// Gives the tensor storage of its own and returns it.
void* own_storage(TensorDef& def, size_t bytes);

}  // namespace lr
