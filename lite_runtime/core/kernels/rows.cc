// Element-wise functions with per-channel parameters.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// y[i] = f(x[i], a[i], b[i]) for i < n.
template <class F>
LR_INLINE void map3(const float* x, const float* a, const float* b, float* y, size_t n, F f) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i), load(a + i), load(b + i)));
  const size_t left = n - i;
  if (left == 0) return;
  store_part(y + i, f(load_part(x + i, left), load_part(a + i, left), load_part(b + i, left)), left);
}

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
