// Declarations of every kernel of the tier being compiled. table.cc collects them in `table`.
//
// A tier with LR_BASE has the groups of kernels LR_OWN_... of its own and all others from that tier: a qualified name
// of its namespace finds its own declarations first, then those of the namespace it uses.
#pragma once

#include "kernels.h"

#ifndef LR_BASE
#define LR_BASE LR_TIER
#endif

#define LR_DECLARE_UNARY(name) void unary_##name(const float* x, float* y, size_t n, float a, float b);
#define LR_DECLARE_BINARY(name)                                              \
  void binary_vv_##name(const float* x, const float* y, float* z, size_t n); \
  void binary_vs_##name(const float* x, float y, float* z, size_t n);        \
  void binary_sv_##name(float x, const float* y, float* z, size_t n);
#define LR_DECLARE_REDUCE(name) float reduce_##name(const float* x, size_t n);
#define LR_DECLARE(name, result, parameters) result name parameters;

namespace lr {
namespace LR_BASE {

LR_UNARY_KERNELS(LR_DECLARE_UNARY)
LR_BINARY_KERNELS(LR_DECLARE_BINARY)
LR_REDUCE_KERNELS(LR_DECLARE_REDUCE)
LR_OTHER_KERNELS(LR_DECLARE)

}  // namespace LR_BASE

namespace LR_TIER {

using namespace LR_BASE;
#if defined(LR_OWN_FLOATS)
LR_UNARY_KERNELS(LR_DECLARE_UNARY)
LR_BINARY_KERNELS(LR_DECLARE_BINARY)
LR_REDUCE_KERNELS(LR_DECLARE_REDUCE)
LR_FLOAT_KERNELS(LR_DECLARE)
#endif
#if defined(LR_OWN_PRODUCTS_I8)
LR_PRODUCT_I8_KERNELS(LR_DECLARE)
#endif

extern const Kernels table;

}  // namespace LR_TIER
}  // namespace lr

#undef LR_DECLARE
#undef LR_DECLARE_REDUCE
#undef LR_DECLARE_BINARY
#undef LR_DECLARE_UNARY
