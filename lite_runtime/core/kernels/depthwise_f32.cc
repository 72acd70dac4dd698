// Depthwise convolution and pooling: rows of pixels, vectorised over channels.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// Calls body(c, load, store) for each vector of channels, the last with partial access.
template <class Body>
LR_INLINE void each_channels(size_t channels, Body body) {
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    body(
        c, [](const float* p) { return load(p); }, [](float* p, vf v) { store(p, v); });
  }
  const size_t left = channels - c;
  if (left == 0) return;
  body(
      c, [=](const float* p) { return load_part(p, left); }, [=](float* p, vf v) { store_part(p, v, left); });
}

// kPixels pixels at once, so that each weight is loaded once for all of them.
template <size_t kPixels>
static void depthwise_pixels(const DepthwiseF32& d, const float* const* x, float* y) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  each_channels(d.channels, [&](size_t c, auto read, auto write) {
    const float* w = d.w + c;
    vf acc[kPixels];
    const vf bias = read(w);
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) acc[p] = bias;
    for (size_t t = 0; t < d.taps; ++t) {
      w += d.channels;
      const vf weight = read(w);
      LR_UNROLL
      for (size_t p = 0; p < kPixels; ++p) acc[p] = fma(read(x[p * d.step + t] + c), weight, acc[p]);
    }
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) write(y + p * d.y_stride + c, clamp(acc[p], lo, hi));
  });
}

void depthwise_f32(const DepthwiseF32& d) {
  constexpr size_t kPixels = 4;
  size_t i = 0;
  for (; i + kPixels <= d.count; i += kPixels) {
    depthwise_pixels<kPixels>(d, d.x + i * d.step, d.y + i * d.y_stride);
  }
  for (; i < d.count; ++i) depthwise_pixels<1>(d, d.x + i * d.step, d.y + i * d.y_stride);
}

// NaN in any tap gives NaN.
void max_pool_f32(const PoolF32& d) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    const float* const* x = d.x + i * d.step;
    each_channels(d.channels, [&](size_t c, auto read, auto write) {
      vf acc = read(x[0] + c);
      for (size_t t = 1; t < d.taps; ++t) {
        const vf v = read(x[t] + c);
        acc = select(is_nan(acc), acc, max(acc, v));
      }
      write(d.y + i * d.y_stride + c, clamp(acc, lo, hi));
    });
  }
}

void avg_pool_f32(const PoolF32& d) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    const float* const* x = d.x + i * d.step;
    const vf scale = splat(d.scale[i]);
    each_channels(d.channels, [&](size_t c, auto read, auto write) {
      vf acc = read(x[0] + c);
      for (size_t t = 1; t < d.taps; ++t) acc = acc + read(x[t] + c);
      write(d.y + i * d.y_stride + c, clamp(acc * scale, lo, hi));
    });
  }
}

}  // namespace LR_TIER
}  // namespace lr
