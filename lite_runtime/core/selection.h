// Which operators this build has: all of them, unless CMake was given LITE_RUNTIME_OPS, a list of primitives, and with
// it LITE_RUNTIME_QUANTIZED_OPS, those that are to compute on quantised integers too. The kernels follow: each that no
// operator calls is left out by the linker (kernels/kernels.h).
#pragma once

#include "schema_reader.h"

namespace lr {

#ifdef LR_OPS
// Primitives by the types of their attributes.
template <class... Attributes>
struct Primitives {
  static constexpr bool has(int primitive) {
    return (... || (schema::PrimitiveTypeTraits<Attributes>::enum_value == primitive));
  }
  // Whether the attributes are sound; those of others are not looked at.
  template <class Verifier>
  static bool verify(Verifier& verifier, const void* attributes, int primitive) {
    return (... && (schema::PrimitiveTypeTraits<Attributes>::enum_value != primitive ||
                    verifier.VerifyTable(static_cast<const Attributes*>(attributes))));
  }
};
constexpr bool has_op(int primitive) { return Primitives<LR_OPS>::has(primitive); }
constexpr bool has_quantized_op(int primitive) { return Primitives<LR_QUANTIZED_OPS>::has(primitive); }
#else
constexpr bool has_op(int) { return true; }
constexpr bool has_quantized_op(int) { return true; }
#endif

}  // namespace lr
