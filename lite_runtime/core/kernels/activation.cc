// Element-wise float functions of one array that networks spend time in; all others are in unary.cc.
//
// Errors beyond those of simd/math.h: gelu and gelu_tanh 2.5e-7 * |x| absolute; hswish is correctly rounded in each
// step.
#include "unary.h"

namespace lr {
namespace LR_TIER {

void unary_gelu(const float* x, float* y, size_t n, float, float) {
  map_light(x, y, n, [](vf v) { return gelu(v); });
}

UNARY(exp, exp(x))
UNARY(erf, erf(x))
UNARY(tanh, tanh(x))
UNARY(sigmoid, sigmoid(x))
UNARY(swish, swish(x))
UNARY(hsigmoid, clamp(x + splat(3.f), zero, splat(6.f)) * splat(1.f / 6))
UNARY(hswish, finite_below(x) * (clamp(x + splat(3.f), zero, splat(6.f)) * splat(1.f / 6)))
UNARY(clamp, clamp(x, a, b))
UNARY(leaky_relu, select(x < zero, (x * a), x))

// 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3); tanh(u) is 1 long before x^3 overflows.
LR_INLINE vf gelu_tanh(vf x) {
  const vf t = clamp(x, splat(-100.f), splat(100.f));
  const vf u = t * fma(t * t, splat(0.0356774081f), splat(0.797884561f));
  const vf half = finite_below(x) * splat(0.5f);
  return fma(half, tanh(u), half);
}
UNARY(gelu_tanh, gelu_tanh(x))

}  // namespace LR_TIER
}  // namespace lr
