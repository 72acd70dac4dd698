// Declarations of every kernel of the tier being compiled. table.cc collects them in `table`.
#pragma once

#include "kernels.h"

namespace lr {
namespace LR_TIER {

extern const Kernels table;

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
#undef LR_DECLARE

}  // namespace LR_TIER
}  // namespace lr
