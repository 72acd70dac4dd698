// Element types, shapes and small helpers used everywhere in the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "error.h"

namespace lr {

// Numbers are MindSpore's TypeId, as stored in .ms files.
enum class DType : int32_t {
  kUnknown = 0,
  kBool = 30,
  kInt8 = 32,
  kInt16 = 33,
  kInt32 = 34,
  kInt64 = 35,
  kUInt8 = 37,
  kUInt16 = 38,
  kUInt32 = 39,
  kUInt64 = 40,
  kFloat16 = 42,
  kFloat32 = 43,
  kFloat64 = 44,
};

size_t dtype_size(DType dtype);  // bytes per element; 0 for kUnknown
const char* dtype_name(DType dtype);

// Dimensions of a tensor, at most LR_MAX_RANK. All dims are >= 0 once a shape is known.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  static Shape of_rank(int rank, int64_t fill = 1);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[i]; }
  int64_t& operator[](int i) { return dims_[i]; }
  int64_t back() const { return dims_[rank_ - 1]; }
  const int64_t* begin() const { return dims_; }
  const int64_t* end() const { return dims_ + rank_; }
  void push_back(int64_t dim);
  void insert(int at, int64_t dim);
  void erase(int at);
  // Product of dims [first, last). Throws LR_ERROR_MEMORY when it leaves the checked range.
  int64_t count(int first, int last) const;
  int64_t count() const { return count(0, rank_); }
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }
  std::string str() const;  // "[1, 3, 224, 224]"

 private:
  int rank_ = 0;
  int64_t dims_[LR_MAX_RANK] = {};
};

// Maps axis in [-rank, rank) to [0, rank); throws LR_ERROR_SHAPE otherwise.
int normalize_axis(int64_t axis, int rank);

// a * b for sizes >= 0; throws LR_ERROR_MEMORY where it exceeds what a tensor can have.
int64_t checked_product(int64_t a, int64_t b);

inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }

}  // namespace lr
