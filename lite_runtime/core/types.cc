#include "types.h"

#include <cstdarg>
#include <cstdio>

namespace lr {

namespace {
struct DTypeInfo {
  DType dtype;
  uint8_t size;
  char name[8];
};
constexpr DTypeInfo kDTypes[] = {
    {DType::kBool, 1, "bool"},       {DType::kInt8, 1, "int8"},       {DType::kInt16, 2, "int16"},
    {DType::kInt32, 4, "int32"},     {DType::kInt64, 8, "int64"},     {DType::kUInt8, 1, "uint8"},
    {DType::kUInt16, 2, "uint16"},   {DType::kUInt32, 4, "uint32"},   {DType::kUInt64, 8, "uint64"},
    {DType::kFloat16, 2, "float16"}, {DType::kFloat32, 4, "float32"}, {DType::kFloat64, 8, "float64"},
};
// Element counts stay far below 2^63 so that byte sizes and sums of a few of them cannot overflow.
constexpr int64_t kMaxCount = int64_t{1} << 48;
}  // namespace

size_t dtype_size(DType dtype) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.dtype == dtype) return info.size;
  }
  return 0;
}

const char* dtype_name(DType dtype) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.dtype == dtype) return info.name;
  }
  return "unknown";
}

Shape::Shape(std::initializer_list<int64_t> dims) {
  for (int64_t dim : dims) push_back(dim);
}

Shape Shape::of_rank(int rank, int64_t fill) {
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(fill);
  return shape;
}

void Shape::push_back(int64_t dim) { insert(rank_, dim); }

void Shape::insert(int at, int64_t dim) {
  if (rank_ == LR_MAX_RANK) fail(LR_ERROR_UNSUPPORTED, "a tensor of more than %d dimensions is needed", LR_MAX_RANK);
  for (int i = rank_; i > at; --i) dims_[i] = dims_[i - 1];
  dims_[at] = dim;
  ++rank_;
}

void Shape::erase(int at) {
  for (int i = at; i + 1 < rank_; ++i) dims_[i] = dims_[i + 1];
  dims_[--rank_] = 0;
}

int64_t Shape::count(int first, int last) const {
  int64_t n = 1;  // of the dimensions that are not zero: operators multiply some of them to strides
  bool empty = false;
  for (int i = first; i < last; ++i) {
    if (dims_[i] < 0) fail(LR_ERROR_SHAPE, "shape %s has an unknown dimension", str().c_str());
    if (dims_[i] == 0) {
      empty = true;
      continue;
    }
    if (n > kMaxCount / dims_[i]) fail(LR_ERROR_MEMORY, "shape %s has too many elements", str().c_str());
    n *= dims_[i];
  }
  return empty ? 0 : n;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int i = 0; i < rank_; ++i) {
    if (dims_[i] != other.dims_[i]) return false;
  }
  return true;
}

int64_t checked_product(int64_t a, int64_t b) {
  if (a > 0 && b > kMaxCount / a) {
    fail(LR_ERROR_MEMORY, "a dimension of %lld times %lld is too large", static_cast<long long>(a),
         static_cast<long long>(b));
  }
  return a * b;
}

std::string Shape::str() const {
  char text[LR_MAX_RANK * sizeof ", -9223372036854775808" + sizeof "[]"] = "[";
  char* end = text + 1;
  for (int i = 0; i < rank_; ++i) {
    end += std::snprintf(end, static_cast<size_t>(text + sizeof text - end), i > 0 ? ", %lld" : "%lld",
                         static_cast<long long>(dims_[i]));
  }
  *end = ']';
  return std::string(text, end + 1);
}

int normalize_axis(int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    fail(LR_ERROR_SHAPE, "axis %lld is outside a tensor of rank %d", static_cast<long long>(axis), rank);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

std::string format_message(const char* format, va_list args) {
  char text[1024];
  std::vsnprintf(text, sizeof text, format, args);
  return text;
}

std::string formatted(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string message = format_message(format, args);
  va_end(args);
  return message;
}

void fail(lr_status status, const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string message = format_message(format, args);
  va_end(args);
  throw Error(status, message);
}

}  // namespace lr
