// Depthwise convolution of int8: taps are multiplied two by two, vectorised over channels.
//
// Weights come packed by channel group (pack.cc): per kLanes channels the pairs of every two taps, an odd last
// tap with a zero. As for floats, the last group overlaps the one before it.
#include "simd/int8.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

template <size_t kPixels>
static void i8_pixels(const DepthwiseI8& d, const int8_t* const* x, int8_t* y) {
  const Requantize requantize(d.zero, d.lo, d.hi);
  const int8_t* packed = d.packed;
  for (size_t group = 0; group < d.channels; group += kLanes) {
    const size_t c = group + kLanes <= d.channels ? group : d.channels - kLanes;
    vi acc[kPixels];
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) acc[p] = load_i(d.bias + c);
    for (size_t t = 0; t < d.taps; t += 2, packed += 2 * kLanes) {
      const vp w = load_pairs(packed);
      const size_t second = t + 1 < d.taps ? t + 1 : t;
      LR_UNROLL
      for (size_t p = 0; p < kPixels; ++p) {
        const int8_t* const* taps = x + p * d.step;
        acc[p] = dot(acc[p], interleave(taps[t] + c, taps[second] + c), w);
      }
    }
    const vf scale = load(d.scale + c);
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) store_i8(y + p * d.y_stride + c, requantize(to_float(acc[p]) * scale));
  }
}

// The first `channels` values of a tap, with zeros behind them.
LR_INLINE void copy_channels(const int8_t* from, size_t channels, int8_t* to) {
  for (size_t c = 0; c < kLanes; ++c) to[c] = c < channels ? from[c] : static_cast<int8_t>(0);
}

static void few_i8_channels(const DepthwiseI8& d) {
  const Requantize requantize(d.zero, d.lo, d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    const int8_t* const* taps = d.x + i * d.step;
    vi acc = load_i(d.bias);
    for (size_t t = 0; t < d.taps; t += 2) {
      int8_t first[kLanes], second[kLanes];
      copy_channels(taps[t], d.channels, first);
      copy_channels(taps[t + 1 < d.taps ? t + 1 : t], d.channels, second);
      acc = dot(acc, interleave(first, second), load_pairs(d.packed + t * kLanes));
    }
    store_i8_part(d.y + i * d.y_stride, requantize(to_float(acc) * load(d.scale)), d.channels);
  }
}

void depthwise_i8(const DepthwiseI8& d) {
  if (d.channels < kLanes) return few_i8_channels(d);
  size_t i = 0;
  for (; i + 4 <= d.count; i += 4) i8_pixels<4>(d, d.x + i * d.step, d.y + i * d.y_stride);
  for (; i < d.count; ++i) i8_pixels<1>(d, d.x + i * d.step, d.y + i * d.y_stride);
}

}  // namespace LR_TIER
}  // namespace lr
