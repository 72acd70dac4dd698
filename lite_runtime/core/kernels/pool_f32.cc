// Maximum and average pooling of rows of pixels, vectorised over channels.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// Calls body(c, load, store) for each vector of channels. The last one overlaps the one before it; fewer
// than kLanes channels in all need partial access.
template <class Body>
LR_INLINE void each_channels(size_t channels, Body body) {
  const auto read = [](const float* p) { return load(p); };
  const auto write = [](float* p, vf v) { store(p, v); };
  if (channels < kLanes) {
    body(
        0, [=](const float* p) { return load_part(p, channels); }, [=](float* p, vf v) { store_part(p, v, channels); });
    return;
  }
  for (size_t c = 0; c < channels; c += kLanes) body(c + kLanes <= channels ? c : channels - kLanes, read, write);
}

// y[i] = clamp(finish(fold of add over the taps, i)).
template <class Add, class Finish>
LR_INLINE void pool(const PoolF32& d, Add add, Finish finish) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    const float* const* x = d.x + i * d.step;
    each_channels(d.channels, [&](size_t c, auto read, auto write) {
      vf acc = read(x[0] + c);
      for (size_t t = 1; t < d.taps; ++t) acc = add(acc, read(x[t] + c));
      write(d.y + i * d.y_stride + c, clamp(finish(acc, i), lo, hi));
    });
  }
}

// NaN in any tap gives NaN.
void max_pool_f32(const PoolF32& d) {
  pool(
      d, [](vf acc, vf v) { return select(is_nan(acc), acc, max(acc, v)); }, [](vf acc, size_t) { return acc; });
}

void avg_pool_f32(const PoolF32& d) {
  pool(
      d, [](vf acc, vf v) { return acc + v; }, [&](vf acc, size_t i) { return acc * splat(d.scale[i]); });
}

}  // namespace LR_TIER
}  // namespace lr
