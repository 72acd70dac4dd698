// Depthwise convolution: rows of pixels, vectorised over channels.
//
// Weights come packed by channel group (pack.cc): per kLanes channels the bias, then every tap. When the
// channels are no multiple of kLanes, the last group overlaps the one before it, so that every access is a
// full vector; only fewer than kLanes channels in all need partial ones.
#include "simd/simd.h"
#include "table.h"
#include "tile.h"

namespace lr {
namespace LR_TIER {

// Maps of 7, 14, 28, 56 and 112 pixels are what networks for 224 x 224 images have.
constexpr size_t kMostPixels = 7;

// First channel of the group that starts at c.
LR_INLINE size_t group_start(size_t c, size_t channels) { return c + kLanes <= channels ? c : channels - kLanes; }

// kPixels neighbouring pixels of a kHeight x kWidth window whose taps are ordered column by column and whose
// columns are shared: pixel p starts kStride columns behind pixel p - 1. One row of the window at a time, so
// that its weights stay in registers and each input is loaded once for all pixels. kGroups groups of channels, from
// channel c on, share the pointers' loads.
template <size_t kHeight, size_t kWidth, size_t kStride, size_t kPixels, size_t kGroups>
LR_INLINE void window_channels(const Depthwise<real>& d, const real* const* x, const real* packed, size_t c, real* y) {
  constexpr size_t kGroup = (1 + kHeight * kWidth) * kLanes;
  vf acc[kPixels][kGroups];
  LR_UNROLL
  for (size_t g = 0; g < kGroups; ++g) {
    const vf bias = load(packed + g * kGroup);
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) acc[p][g] = bias;
  }
  LR_UNROLL
  for (size_t ky = 0; ky < kHeight; ++ky) {
    vf w[kWidth][kGroups];
    LR_UNROLL
    for (size_t kx = 0; kx < kWidth; ++kx) {
      LR_UNROLL
      for (size_t g = 0; g < kGroups; ++g) w[kx][g] = load(packed + g * kGroup + (1 + kx * kHeight + ky) * kLanes);
    }
    LR_UNROLL
    for (size_t column = 0; column < (kPixels - 1) * kStride + kWidth; ++column) {
      const real* from = x[column * kHeight + ky] + c;
      LR_UNROLL
      for (size_t g = 0; g < kGroups; ++g) {
        const vf v = load(from + g * kLanes);
        LR_UNROLL
        for (size_t p = 0; p < kPixels; ++p) {
          if (p * kStride > column || column >= p * kStride + kWidth) continue;
          acc[p][g] = fma(v, w[column - p * kStride][g], acc[p][g]);
        }
      }
    }
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) {
      LR_UNROLL
      for (size_t g = 0; g < kGroups; ++g) settle(acc[p][g]);
    }
  }
  const vf lo = splat(d.lo), hi = splat(d.hi);
  const size_t stride = d.y_stride;
  y += c;
  LR_UNROLL
  for (size_t p = 0; p < kPixels; ++p, y += stride) {
    LR_UNROLL
    for (size_t g = 0; g < kGroups; ++g) store(y + g * kLanes, clamp(acc[p][g], lo, hi));
  }
}

template <size_t kHeight, size_t kWidth, size_t kStride, size_t kPixels>
static void window_pixels(const Depthwise<real>& d, const real* const* x, real* y) {
  constexpr size_t kGroup = (1 + kHeight * kWidth) * kLanes;
  // What is left of a row is not worth more code.
  constexpr size_t kGroups = kPixels == kMostPixels ? kDepthwiseGroups : 1, kStep = kGroups * kLanes;
  const real* packed = d.packed;
  size_t c = 0;
  if constexpr (kGroups > 1) {
    for (; c + kStep <= d.channels; c += kStep, packed += kGroups * kGroup) {
      window_channels<kHeight, kWidth, kStride, kPixels, kGroups>(d, x, packed, c, y);
    }
  }
  for (; c < d.channels; c += kLanes, packed += kGroup) {
    window_channels<kHeight, kWidth, kStride, kPixels, 1>(d, x, packed, group_start(c, d.channels), y);
  }
}

template <size_t kHeight, size_t kWidth, size_t kStride>
static void window_row(const Depthwise<real>& d) {
  size_t i = 0;
  const auto run = [&](auto block, size_t pixels) {
    block(d, d.x + i * d.step, d.y + i * d.y_stride);
    i += pixels;
  };
  while (i + kMostPixels <= d.count) run(window_pixels<kHeight, kWidth, kStride, kMostPixels>, kMostPixels);
  if (i + 4 <= d.count) run(window_pixels<kHeight, kWidth, kStride, 4>, 4);
  if (i + 2 <= d.count) run(window_pixels<kHeight, kWidth, kStride, 2>, 2);
  if (i < d.count) run(window_pixels<kHeight, kWidth, kStride, 1>, 1);
}

// Any window.
template <size_t kPixels>
static void any_pixels(const Depthwise<real>& d, const real* const* x, real* y) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  const real* packed = d.packed;
  for (size_t group = 0; group < d.channels; group += kLanes) {
    const size_t c = group_start(group, d.channels);
    vf acc[kPixels];
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) acc[p] = load(packed);
    packed += kLanes;
    for (size_t t = 0; t < d.taps; ++t, packed += kLanes) {
      const vf w = load(packed);
      LR_UNROLL
      for (size_t p = 0; p < kPixels; ++p) acc[p] = fma(load(x[p * d.step + t] + c), w, acc[p]);
    }
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) store(y + p * d.y_stride + c, clamp(acc[p], lo, hi));
  }
}

static void any_row(const Depthwise<real>& d) {
  size_t i = 0;
  for (; i + 4 <= d.count; i += 4) any_pixels<4>(d, d.x + i * d.step, d.y + i * d.y_stride);
  for (; i < d.count; ++i) any_pixels<1>(d, d.x + i * d.step, d.y + i * d.y_stride);
}

static void few_channels(const Depthwise<real>& d) {
  const vf lo = splat(d.lo), hi = splat(d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    vf acc = load(d.packed);
    for (size_t t = 0; t < d.taps; ++t) {
      acc = fma(load_part(d.x[i * d.step + t], d.channels), load(d.packed + (1 + t) * kLanes), acc);
    }
    store_part(d.y + i * d.y_stride, clamp(acc, lo, hi), d.channels);
  }
}

static void any_5x5(const Depthwise<real>& d) {
  if (d.channels < kLanes) return few_channels(d);
#if !defined(LR_SMALL)
  if (d.step == 5) return window_row<5, 5, 1>(d);
  if (d.step == 10) return window_row<5, 5, 2>(d);
#endif
  any_row(d);
}

void LR_OF_TYPE(depthwise)(const Depthwise<real>& d) {
#if LR_IS_HALF
  if (d.taps == 25) return any_5x5(d);
#endif
  if (d.channels < kLanes) return few_channels(d);
#if !defined(LR_SMALL)
  if (d.taps == 9 && d.step == 3) return window_row<3, 3, 1>(d);
  if (d.taps == 9 && d.step == 6) return window_row<3, 3, 2>(d);
#endif
  any_row(d);
}

#if !LR_IS_HALF
void depthwise_5x5_f32(const DepthwiseF32& d) { any_5x5(d); }
#endif

}  // namespace LR_TIER
}  // namespace lr
