// Element-wise float functions of two arrays, or of an array and one value.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

#define BINARY(name, expression)                                                 \
  void binary_vv_##name(const float* px, const float* py, float* pz, size_t n) { \
    map2(px, py, pz, n, [](vf x, vf y) { return expression; });                  \
  }                                                                              \
  void binary_vs_##name(const float* px, float value, float* pz, size_t n) {     \
    const vf y = splat(value);                                                   \
    map_light(px, pz, n, [=](vf x) { return expression; });                      \
  }                                                                              \
  void binary_sv_##name(float value, const float* py, float* pz, size_t n) {     \
    const vf x = splat(value);                                                   \
    map_light(py, pz, n, [=](vf y) { return expression; });                      \
  }

BINARY(add, x + y)
BINARY(sub, x - y)
BINARY(mul, (x * y))
BINARY(div, x / y)
BINARY(max, max_nan(x, y))
BINARY(min, min_nan(x, y))
BINARY(squared_difference, (x - y) * (x - y))

}  // namespace LR_TIER
}  // namespace lr
