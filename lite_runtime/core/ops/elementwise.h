// What the element-wise operators of two inputs (arithmetic, comparison, logic) have in common.
#pragma once

#include "op.h"
#include "ops/strided.h"

namespace lr {

// An 8- or 16-bit integer tensor that stands for real numbers.
bool is_quantized(const Tensor* tensor);
// Whether equal elements of the two stand for equal numbers.
bool same_quantization(const Tensor& a, const Tensor& b);

// Fails unless the operator may treat the numbers in its 8- and 16-bit tensors as plain integers.
void refuse_quantized(const Node& node);
// For operators that move values without looking at them, after their set_out: tensors of input 0's type
// must have its quantisation.
void expect_same_quantization(const Node& node);

// The bytes of a number as an element of a type, in the low bytes of the result: limited to the range of an
// integer type, which it is truncated to.
uint64_t element_bits(DType dtype, double value);

// The shape two operands are broadcast to by NumPy's rules; fails naming both when they do not fit.
Shape broadcast_shape(const Node& node, const Shape& a, const Shape& b);

// Steps with which a tensor of `shape` is read as one of shape `out`, 0 along broadcast dimensions.
// The dimensions of `out` are those of the result, aligned at the end.
Steps broadcast_steps(const Shape& shape, const Shape& out);

// Lower and upper bound of a fused activation (RELU, RELU6, RELU1 or none); fails for any other.
struct Bounds {
  float lo, hi;
  bool any() const;
};
Bounds fused_bounds(const Node& node, int activation_type);

// z[i] = f(a[i * a_step], b[i * b_step]) for n elements, where a step is 0 or 1; z may be a or b when
// the sizes of their elements agree. Returns false when f has no value, as for a division by zero.
using BinaryRow = bool (*)(const void* a, int64_t a_step, const void* b, int64_t b_step, void* z, int64_t n);

// Addition of one type; null for bool and float16.
BinaryRow add_rows(DType dtype);

class BinaryOp : public Op {
 public:
  void infer(Node& node) override;
  void run(Node& node) override;
  OpTraits traits() const override { return OpTraits::overwriting(0); }

 protected:
  // The checks of infer on inputs 0 and i; returns the type they are computed in.
  DType check_pair(const Node& node, size_t i) const;
  // z = f(a, b), broadcast to the shape of z; z may share memory with an operand of the same size.
  void apply(const Node& node, const Tensor& a, const Tensor& b, Tensor& z) const;
  // Null when the dtype has no such operation. float16 without one of its own is computed in float32.
  virtual BinaryRow row(DType dtype) const = 0;
  virtual DType result(DType operand) const { return operand; }
  virtual int activation(const Node&) const { return 0; }
  // What to say when a row returned false.
  virtual const char* failure() const { return "has no result"; }

 private:
  struct Span;
  bool compute(const Span& span, const char* a, int64_t a_step, const char* b, int64_t b_step, char* z,
               int64_t n) const;
};

}  // namespace lr
