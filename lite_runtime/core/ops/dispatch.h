// From an element type known at run time to a C++ type.
#pragma once

#include <cstdint>

#include "types.h"

namespace lr {

// Returns make(T{}) for the C++ type T of an integer, float32 or float64, and Result{} for other types.
template <class Result, class Make>
Result for_number(DType dtype, const Make& make) {
  switch (dtype) {
    case DType::kInt8:
      return make(int8_t{});
    case DType::kUInt8:
      return make(uint8_t{});
    case DType::kInt16:
      return make(int16_t{});
    case DType::kUInt16:
      return make(uint16_t{});
    case DType::kInt32:
      return make(int32_t{});
    case DType::kUInt32:
      return make(uint32_t{});
    case DType::kInt64:
      return make(int64_t{});
    case DType::kUInt64:
      return make(uint64_t{});
    case DType::kFloat32:
      return make(float{});
    case DType::kFloat64:
      return make(double{});
    default:
      return Result{};
  }
}

}  // namespace lr
