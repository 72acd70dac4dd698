// How the element-wise float functions of one array are made of functions of vectors.
#pragma once

#include "simd/math.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// x itself, or the most negative float for -inf: keeps x * 0 finite where the limit is 0.
LR_INLINE vf finite_below(vf x) { return max(splat(-3.4e38f), x); }

#define UNARY(name, expression)                                                      \
  void unary_##name(const float* px, float* py, size_t n, float alpha, float beta) { \
    const vf a = splat(alpha), b = splat(beta), zero = splat(0.f), one = splat(1.f); \
    (void)a, (void)b, (void)zero, (void)one;                                         \
    map(px, py, n, [=](vf x) { return expression; });                                \
  }

}  // namespace LR_TIER
}  // namespace lr
