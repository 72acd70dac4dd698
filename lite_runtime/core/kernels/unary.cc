// Element-wise float functions of one array.
//
// Errors beyond those of simd/math.h: gelu and gelu_tanh 2.5e-7 * |x| absolute; softplus, mish 4 ulp;
// elu 3 ulp; the others are correctly rounded, or correctly rounded in each step (affine, softsign, hswish).
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

UNARY(abs, abs(x))
UNARY(neg, -x)
UNARY(square, (x * x))
UNARY(sqrt, sqrt(x))
UNARY(rsqrt, one / sqrt(x))
UNARY(reciprocal, one / x)
UNARY(exp, exp(x))
UNARY(log, log(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(erf, erf(x))
UNARY(floor, floor(x))
UNARY(ceil, ceil(x))
UNARY(round, round(x))
UNARY(tanh, tanh(x))
UNARY(sigmoid, sigmoid(x))
UNARY(swish, swish(x))
UNARY(hsigmoid, clamp(x + splat(3.f), zero, splat(6.f)) * splat(1.f / 6))
UNARY(hswish, finite_below(x) * (clamp(x + splat(3.f), zero, splat(6.f)) * splat(1.f / 6)))
UNARY(gelu, finite_below(x) * splat(0.5f) * (one + erf(x * splat(0.707106781f))))

// Beyond 1e30 the result is 1, and infinity / infinity must not happen.
LR_INLINE vf softsign(vf x) {
  const vf t = clamp(x, splat(-1e30f), splat(1e30f));
  return t / (splat(1.f) + abs(t));
}
UNARY(softsign, softsign(x))
UNARY(sign, select(x < zero, -one, select(zero < x, one, x)))
UNARY(clamp, clamp(x, a, b))
UNARY(leaky_relu, select(x < zero, (x * a), x))
UNARY(elu, select(x < zero, expm1(x) * a, x))
UNARY(affine, fma(a, x, b))
UNARY(softplus, max(zero, x) + log1p_01(exp(-abs(x))))

// 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3); tanh(u) is 1 long before x^3 overflows.
LR_INLINE vf gelu_tanh(vf x) {
  const vf t = clamp(x, splat(-100.f), splat(100.f));
  const vf u = t * fma(t * t, splat(0.0356774081f), splat(0.797884561f));
  return finite_below(x) * splat(0.5f) * (splat(1.f) + tanh(u));
}
UNARY(gelu_tanh, gelu_tanh(x))

// x tanh(log(1 + e^x)) = x m / (m + 2) with m = e^x (e^x + 2); m / (m + 2) is 1 long before m overflows.
LR_INLINE vf mish(vf x) {
  const vf e = exp(min(splat(20.f), x));
  const vf m = e * (e + splat(2.f));
  return finite_below(x) * div_fast(m, m + splat(2.f));
}
UNARY(mish, mish(x))

}  // namespace LR_TIER
}  // namespace lr
