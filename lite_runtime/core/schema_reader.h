// The generated readers of .ms files, made safe for vectors of 64-bit integers at any address: the verifier of
// FlatBuffers aligns a vector's length and leaves its elements where they fall.
#pragma once

#include <cstdint>
#include <cstring>

#include "flatbuffers/flatbuffers.h"

namespace flatbuffers {

template <>
struct IndirectHelper<int64_t> {
  typedef int64_t return_type;
  typedef int64_t mutable_return_type;
  static const size_t element_stride = sizeof(int64_t);

  static int64_t Read(const uint8_t* p, size_t i) {
    int64_t value;
    std::memcpy(&value, p + i * sizeof value, sizeof value);
    return EndianScalar(value);
  }
};

}  // namespace flatbuffers

#include "model_generated.h"
