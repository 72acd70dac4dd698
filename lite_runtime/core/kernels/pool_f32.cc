// Maximum and average pooling of rows of pixels, vectorised over channels.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// Vectors of channels that share the pointers' loads.
constexpr size_t kShared = 4;

// y[i] = clamp(finish(fold of add over the taps, i)) for kVectors vectors of channels from c on.
template <size_t kVectors, class Add, class Finish>
LR_INLINE void pool_pixel(const PoolF32& d, size_t i, size_t c, vf lo, vf hi, Add add, Finish finish) {
  const float* const* x = d.x + i * d.step;
  vf acc[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) acc[j] = load(x[0] + c + j * kLanes);
  for (size_t t = 1; t < d.taps; ++t) {
    const float* from = x[t] + c;
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) acc[j] = add(acc[j], load(from + j * kLanes));
  }
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) store(d.y + i * d.y_stride + c + j * kLanes, clamp(finish(acc[j], i), lo, hi));
}

template <class Add, class Finish>
LR_INLINE void pool_few_channels(const PoolF32& d, size_t i, vf lo, vf hi, Add add, Finish finish) {
  const float* const* x = d.x + i * d.step;
  vf acc = load_part(x[0], d.channels);
  for (size_t t = 1; t < d.taps; ++t) acc = add(acc, load_part(x[t], d.channels));
  store_part(d.y + i * d.y_stride, clamp(finish(acc, i), lo, hi), d.channels);
}

// The last vector of channels overlaps the one before it.
template <class Add, class Finish>
LR_INLINE void pool(const PoolF32& d, Add add, Finish finish) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    if (d.channels < kLanes) {
      pool_few_channels(d, i, lo, hi, add, finish);
      continue;
    }
    size_t c = 0;
    for (; c + kShared * kLanes <= d.channels; c += kShared * kLanes) {
      pool_pixel<kShared>(d, i, c, lo, hi, add, finish);
    }
    for (; c < d.channels; c += kLanes) {
      pool_pixel<1>(d, i, c + kLanes <= d.channels ? c : d.channels - kLanes, lo, hi, add, finish);
    }
  }
}

// NaN in any tap gives NaN.
void max_pool_f32(const PoolF32& d) {
  pool(
      d, [](vf acc, vf v) { return max_nan(acc, v); }, [](vf acc, size_t) { return acc; });
}

void avg_pool_f32(const PoolF32& d) {
  pool(
      d, [](vf acc, vf v) { return acc + v; }, [&](vf acc, size_t i) { return acc * splat(d.scale[i]); });
}

}  // namespace LR_TIER
}  // namespace lr
