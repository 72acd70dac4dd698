// Between float and int8, and element-wise arithmetic on int8. Nothing here is fused, so that every tier
// rounds alike.
#include "simd/int8.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// y[i .. i + kLanes) = f(i), the last vector in part; f gets the index and the number of elements left.
template <class F>
LR_INLINE void map_to_i8(int8_t* y, size_t n, F f) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_i8(y + i, f(i, kLanes));
  if (i < n) store_i8_part(y + i, f(i, n - i), n - i);
}

LR_INLINE vi load_i8_part(const int8_t* x, size_t n) {
  if (n >= kLanes) return load_i8(x);
  int8_t values[kLanes] = {};
  for (size_t i = 0; i < n; ++i) values[i] = x[i];
  return load_i8(values);
}

void quantize_i8(const float* x, int8_t* y, size_t n, float scale, int32_t zero) {
  const Requantize requantize(zero, -128, 127);
  const vf divisor = splat(scale), nothing = splat(0.f);
  map_to_i8(y, n, [&](size_t i, size_t left) {
    const vf v = left >= kLanes ? load(x + i) : load_part(x + i, left);
    return requantize(select(v == v, v / divisor, nothing));
  });
}

void dequantize_i8(const int8_t* x, float* y, size_t n, float scale, int32_t zero) {
  const vi z = splat_i(zero);
  const vf s = splat(scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, to_float(load_i8(x + i) - z) * s);
  if (i < n) store_part(y + i, to_float(load_i8_part(x + i, n - i) - z) * s, n - i);
}

void add_i8(const int8_t* x, const int8_t* y, int8_t* z, size_t n, const BinaryI8& b) {
  const Requantize requantize(b.zero, b.lo, b.hi);
  const vi x_zero = splat_i(b.x_zero), y_zero = splat_i(b.y_zero);
  const vf x_scale = splat(b.x_scale), y_scale = splat(b.y_scale);
  map_to_i8(z, n, [&](size_t i, size_t left) {
    const vf p = to_float(load_i8_part(x + i, left) - x_zero) * x_scale;
    return requantize(p + to_float(load_i8_part(y + i, left) - y_zero) * y_scale);
  });
}

void mul_i8(const int8_t* x, const int8_t* y, int8_t* z, size_t n, const BinaryI8& b) {
  const Requantize requantize(b.zero, b.lo, b.hi);
  const vi x_zero = splat_i(b.x_zero), y_zero = splat_i(b.y_zero);
  const vf scale = splat(b.x_scale);
  map_to_i8(z, n, [&](size_t i, size_t left) {
    const vf p = to_float(load_i8_part(x + i, left) - x_zero);
    return requantize(p * to_float(load_i8_part(y + i, left) - y_zero) * scale);
  });
}

}  // namespace LR_TIER
}  // namespace lr
