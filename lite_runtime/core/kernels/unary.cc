// Element-wise float functions of one array; see also activation.cc.
//
// Errors beyond those of simd/math.h: softplus, mish 4 ulp; elu 3 ulp; the others are correctly rounded, or correctly
// rounded in each step (affine, softsign).
#include "unary.h"

namespace lr {
namespace LR_TIER {

UNARY(abs, abs(x))
UNARY(neg, -x)
UNARY(square, (x * x))
UNARY(sqrt, sqrt(x))
UNARY(rsqrt, one / sqrt(x))
UNARY(reciprocal, one / x)
UNARY(log, log(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(floor, floor(x))
UNARY(ceil, ceil(x))
UNARY(round, round(x))

// Beyond 1e30 the result is 1, and infinity / infinity must not happen.
LR_INLINE vf softsign(vf x) {
  const vf t = clamp(x, splat(-1e30f), splat(1e30f));
  return t / (splat(1.f) + abs(t));
}
UNARY(softsign, softsign(x))
UNARY(sign, select(x < zero, -one, select(zero < x, one, x)))
UNARY(elu, select(x < zero, expm1(x) * a, x))
UNARY(affine, fma(a, x, b))
UNARY(softplus, max(zero, x) + log1p_01(exp(-abs(x))))

// x tanh(log(1 + e^x)) = x m / (m + 2) with m = e^x (e^x + 2); m / (m + 2) is 1 long before m overflows.
LR_INLINE vf mish(vf x) {
  const vf e = exp(min(splat(20.f), x));
  const vf m = e * (e + splat(2.f));
  return finite_below(x) * div_fast(m, m + splat(2.f));
}
UNARY(mish, mish(x))

}  // namespace LR_TIER
}  // namespace lr
