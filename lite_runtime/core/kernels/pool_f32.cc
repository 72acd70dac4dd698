// Maximum and average pooling of rows of pixels, vectorised over channels.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// Vectors of channels that share the pointers' loads.
constexpr size_t kShared = 4;

// The fold of add over the taps, for kVectors vectors of channels from c on.
template <size_t kVectors, class Add>
LR_INLINE void add_tap(vf (&acc)[kVectors], const float* x, Add add) {
  vf v[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) v[j] = load(x + j * kLanes);
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) acc[j] = add(acc[j], v[j]);
}
template <size_t kTaps, size_t kVectors, class Add>  // kTaps: all of them, or 0 for any number
LR_INLINE void fold_taps(const float* const* x, size_t taps, size_t c, vf (&acc)[kVectors], Add add) {
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) acc[j] = load(x[0] + c + j * kLanes);
  if constexpr (kTaps > 0) {
    LR_UNROLL
    for (size_t t = 1; t < kTaps; ++t) add_tap(acc, x[t] + c, add);
  } else {
    for (size_t t = 1; t < taps; ++t) add_tap(acc, x[t] + c, add);
  }
}

template <class Add, class Finish>
LR_INLINE void pool_few_channels(const PoolF32& d, const float* const* x, float* y, Add add, Finish finish) {
  vf acc = load_part(x[0], d.channels);
  for (size_t t = 1; t < d.taps; ++t) acc = add(acc, load_part(x[t], d.channels));
  store_part(y, finish(acc), d.channels);
}

// One pixel. The last vector of channels overlaps the one before it.
template <size_t kTaps, class Add, class Finish>
LR_INLINE void pool_pixel(const PoolF32& d, const float* const* x, float* y, Add add, Finish finish) {
  const size_t channels = d.channels, taps = d.taps;
  if (channels < kLanes) return pool_few_channels(d, x, y, add, finish);
  size_t c = d.begin;
  for (; c + kShared * kLanes <= channels; c += kShared * kLanes) {
    vf acc[kShared];
    fold_taps<kTaps>(x, taps, c, acc, add);
    LR_UNROLL
    for (size_t j = 0; j < kShared; ++j) store(y + c + j * kLanes, finish(acc[j]));
  }
  for (; c < channels; c += kLanes) {
    const size_t at = c + kLanes <= channels ? c : channels - kLanes;
    vf acc[1];
    fold_taps<0>(x, taps, at, acc, add);
    store(y + at, finish(acc[0]));
  }
}

// NaN in any tap gives NaN.
template <size_t kTaps>
static void max_pool(const PoolF32& d) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    pool_pixel<kTaps>(
        d, d.x + i * d.step, d.y + i * d.y_stride, [](vf acc, vf v) { return max_nan(acc, v); },
        [=](vf acc) { return clamp(acc, lo, hi); });
  }
}

#if defined(LR_SMALL)
void max_pool_f32(const PoolF32& d) { max_pool<0>(d); }
#else
void max_pool_f32(const PoolF32& d) { (d.taps == 9 ? max_pool<9> : max_pool<0>)(d); }
#endif

void avg_pool_f32(const PoolF32& d) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    const vf scale = splat(d.scale[i]);
    pool_pixel<0>(
        d, d.x + i * d.step, d.y + i * d.y_stride, [](vf acc, vf v) { return acc + v; },
        [=](vf acc) { return clamp(acc * scale, lo, hi); });
  }
}

}  // namespace LR_TIER
}  // namespace lr
