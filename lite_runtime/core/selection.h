// What this build has: everything, unless CMake was given LITE_RUNTIME_OPS, a list of primitives, and with it
// LITE_RUNTIME_QUANTIZED_OPS, those that are to compute on quantised integers too, and LITE_RUNTIME_FORMS, what the
// operators are needed for: enumerators of their attributes, of DType and of Part. The kernels follow: each that no
// operator calls is left out by the linker (kernels/kernels.h).
#pragma once

#include <type_traits>

#include "schema_reader.h"
#include "types.h"

namespace lr {

// What needs code of its own and no enumerator of the schema tells.
enum class Part {
  // Constants stored as something else than the elements that operators read: float16, integers of quantised weights,
  // compressed ones.
  kEncodedConstants,
  // Depthwise windows of 5x5, and ordinary ones of 3x3 with a stride of 1, have kernels that are faster than those for
  // any window.
  kDepthwise5x5,
  kWinograd,
};

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

// Enumerators of any type.
template <auto... kForms>
struct Forms {
  template <class Enum>
  static constexpr bool has(Enum form) {
    return (... || same(kForms, form));
  }

 private:
  template <class A, class B>
  static constexpr bool same(A a, B b) {
    if constexpr (std::is_same_v<A, B>) return a == b;
    return false;
  }
};

constexpr bool kSelected = true;
constexpr bool has_op(int primitive) { return Primitives<LR_OPS>::has(primitive); }
constexpr bool has_quantized_op(int primitive) { return Primitives<LR_QUANTIZED_OPS>::has(primitive); }
template <class Enum>
constexpr bool has_form(Enum form) {
  return Forms<LR_FORMS>::has(form);
}
#else
constexpr bool kSelected = false;
constexpr bool has_op(int) { return true; }
constexpr bool has_quantized_op(int) { return true; }
template <class Enum>
constexpr bool has_form(Enum) {
  return true;
}
#endif

// Quantised integers are computed as float32, truth values as uint8.
constexpr bool has_number(DType type) {
  return has_form(type) || type == DType::kFloat32 || (type == DType::kUInt8 && has_form(DType::kBool));
}

constexpr bool kDecodes = has_form(Part::kEncodedConstants);

// Sub-graphs that nodes call.
constexpr bool kHasCalls = has_op(schema::PrimitiveType_PartialFusion) || has_op(schema::PrimitiveType_Switch) ||
                           has_op(schema::PrimitiveType_Call);

// How messages end that name something left out.
constexpr char kAdvice[] = ". Build it again with this model too: --ops-from=FILE";
// Refuses a form that this build leaves out, by its kind and name.
[[noreturn]] void left_out(const char* kind, const char* name);

}  // namespace lr
