// Index tensors, shared by the gathering and scattering operators.
#pragma once

#include "ops/elementwise.h"

namespace lr {

// The elements of an int32 or int64 tensor.
class Indices {
 public:
  // Fails when input i of the node has another type.
  static void expect(const Node& node, size_t i);

  explicit Indices(const Tensor& tensor) : tensor_(tensor), wide_(tensor.dtype == DType::kInt64) {}
  int64_t operator[](int64_t i) const { return wide_ ? tensor_.as<int64_t>()[i] : tensor_.as<int32_t>()[i]; }
  // Element i as a position in [0, size), where negative values count from the end; fails naming it.
  int64_t position(int64_t i, int64_t size) const;

 private:
  const Tensor& tensor_;
  bool wide_;
};

// Turns the rows [.., k] of an index tensor into element offsets of slices x[row]; `shape` is that of x.
// Fails when an index is out of range.
void slice_offsets(const Tensor& indices, const Shape& shape, int64_t* offsets);

// Elements in one slice x[row], where the last dimension of `indices` is the length of a row; checks it.
int64_t slice_size(const Node& node, const Shape& indices, const Shape& x);

// Copies `rows` rows of `bytes` bytes: row r comes from src + from[r] * unit and goes to dst + r * bytes.
void gather_rows(const char* src, const int64_t* from, int64_t unit, char* dst, int64_t rows, int64_t bytes,
                 ThreadPool* pool);

}  // namespace lr
