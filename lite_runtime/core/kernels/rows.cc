// Element-wise functions with per-channel parameters.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

void scale_shift_f32(const float* x, const float* scale, const float* shift, float* y, size_t n) {
  map3(x, scale, shift, y, n, [](vf v, vf a, vf b) { return fma(v, a, b); });
}

void prelu_f32(const float* x, const float* slope, float* y, size_t n) {
  map2(x, slope, y, n, [](vf v, vf a) { return select(v < splat(0.f), v * a, v); });
}

void axpy_f32(float a, const float* x, float* acc, size_t n) {
  const vf factor = splat(a);
  map2(x, acc, acc, n, [=](vf v, vf sum) { return fma(factor, v, sum); });
}

}  // namespace LR_TIER
}  // namespace lr
