// Declarations of every kernel of the tier being compiled. table.cc collects them in `table`.
//
// A tier with LR_BASE is that tier but for the integer products it has of its own: a qualified name of its namespace
// finds its own declarations first, then those of the namespace it uses.
#pragma once

#include "kernels.h"

#ifndef LR_BASE
#define LR_BASE LR_TIER
#endif

namespace lr {
namespace LR_BASE {

#define LR_DECLARE(name) void unary_##name(const float* x, float* y, size_t n, float a, float b);
LR_UNARY_KERNELS(LR_DECLARE)
#undef LR_DECLARE

#define LR_DECLARE(name)                                                     \
  void binary_vv_##name(const float* x, const float* y, float* z, size_t n); \
  void binary_vs_##name(const float* x, float y, float* z, size_t n);        \
  void binary_sv_##name(float x, const float* y, float* z, size_t n);
LR_BINARY_KERNELS(LR_DECLARE)
#undef LR_DECLARE

#define LR_DECLARE(name) float reduce_##name(const float* x, size_t n);
LR_REDUCE_KERNELS(LR_DECLARE)
#undef LR_DECLARE

#define LR_DECLARE(name, result, parameters) result name parameters;
LR_OTHER_KERNELS(LR_DECLARE)

}  // namespace LR_BASE

namespace LR_TIER {

using namespace LR_BASE;
LR_PRODUCT_I8_KERNELS(LR_DECLARE)
#undef LR_DECLARE

extern const Kernels table;

}  // namespace LR_TIER
}  // namespace lr
