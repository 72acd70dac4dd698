// From an element type known at run time to a C++ type.
#pragma once

#include <cstdint>

#include "selection.h"

namespace lr {

// Returns make(T{}) for the C++ type T of an integer, float32 or float64, and Result{} for other types. Fails for a
// number type that this build leaves out.
template <class Result, class Make>
Result for_number(DType dtype, const Make& make) {
  switch (dtype) {
#define LR_NUMBER(type, T)                                   \
  case DType::type:                                          \
    if constexpr (has_number(DType::type)) return make(T{}); \
    left_out("elements of type", dtype_name(dtype));
    LR_NUMBER(kInt8, int8_t)
    LR_NUMBER(kUInt8, uint8_t)
    LR_NUMBER(kInt16, int16_t)
    LR_NUMBER(kUInt16, uint16_t)
    LR_NUMBER(kInt32, int32_t)
    LR_NUMBER(kUInt32, uint32_t)
    LR_NUMBER(kInt64, int64_t)
    LR_NUMBER(kUInt64, uint64_t)
    LR_NUMBER(kFloat32, float)
    LR_NUMBER(kFloat64, double)
#undef LR_NUMBER
    default:
      return Result{};
  }
}

}  // namespace lr
