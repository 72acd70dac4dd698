// Depthwise convolution of int8, vectorised over channels: kDepthwiseI8Depth taps of a channel lie together and are
// multiplied by one instruction.
//
// Weights come packed by channel group (pack.cc): per kLanes channels the columns of the window, each filled up with
// zeros to a multiple of kDepthwiseI8Depth taps. As for floats, the last group overlaps the one before it.
#include "simd/int8.h"
#include "table.h"
#include "tile.h"

namespace lr {
namespace LR_TIER {

constexpr size_t kDepth = kDepthwiseI8Depth;

#if defined(__ARM_FEATURE_DOTPROD) && !LR_IS_SCALAR

using TapGroup = int8x16_t;
constexpr size_t kMostVectors = 4;

LR_INLINE TapGroup load_weights(const int8_t* w) { return vld1q_s8(w); }
LR_INLINE vi add_taps(vi acc, TapGroup x, TapGroup w) { return {vdotq_s32(acc.v, x, w)}; }

LR_INLINE int8x16_t load_4_twice(const int8_t* p) { return vreinterpretq_s8_s32(vdupq_n_s32(read_32(p))); }

// The taps at x[0 .. kTaps) + c together; any value where there are fewer than four.
template <size_t kTaps, size_t kVectors>
LR_INLINE void gather(const int8_t* const* x, size_t c, TapGroup (&v)[kVectors]) {
  int8x16_t t[4];
  LR_UNROLL
  for (size_t i = 0; i < 4; ++i) {
    const int8_t* from = x[i < kTaps ? i : kTaps - 1] + c;
    t[i] = kVectors == 1 ? load_4_twice(from) : vld1q_s8(from);
  }
  const int16x8_t ab = vreinterpretq_s16_s8(vzip1q_s8(t[0], t[1])), cd = vreinterpretq_s16_s8(vzip1q_s8(t[2], t[3]));
  v[0] = vreinterpretq_s8_s16(vzip1q_s16(ab, cd));
  if constexpr (kVectors == 4) {
    const int16x8_t AB = vreinterpretq_s16_s8(vzip2q_s8(t[0], t[1]));
    const int16x8_t CD = vreinterpretq_s16_s8(vzip2q_s8(t[2], t[3]));
    v[1] = vreinterpretq_s8_s16(vzip2q_s16(ab, cd));
    v[2] = vreinterpretq_s8_s16(vzip1q_s16(AB, CD));
    v[3] = vreinterpretq_s8_s16(vzip2q_s16(AB, CD));
  }
}

#else

using TapGroup = vp;
constexpr size_t kMostVectors = 1;

LR_INLINE TapGroup load_weights(const int8_t* w) { return load_pairs(w); }
LR_INLINE vi add_taps(vi acc, TapGroup x, TapGroup w) { return dot(acc, x, w); }

template <size_t kTaps, size_t kVectors>
LR_INLINE void gather(const int8_t* const* x, size_t c, TapGroup (&v)[kVectors]) {
#if defined(LR_WIDE_PAIRS)
  if constexpr (kTaps == 1) {
    v[0] = {load_i8(x[0] + c).v};  // the second of a pair is its sign, which meets a weight of 0
    return;
  }
#endif
  v[0] = interleave(x[0] + c, x[kTaps - 1] + c);
}

#endif

template <size_t kVectors>
LR_INLINE void finish_pixel(const vf (&scale)[kVectors], const Limits& limits, const vi (&acc)[kVectors], int8_t* y) {
  vf x[kVectors < kTogether ? kTogether : kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) x[j] = to_float(acc[j]) * scale[j];
#if defined(LR_FOUR_TOGETHER)
  if constexpr (kVectors == 4) return store_four(y, x, limits);
#endif
  if constexpr (kVectors >= kTogether) {
    LR_UNROLL
    for (size_t j = 0; j < kVectors; j += kTogether) store_together(y + j * kLanes, x + j, limits);
  } else {
    int8_t bytes[kTogether * kLanes];
    LR_UNROLL
    for (size_t j = kVectors; j < kTogether; ++j) x[j] = splat(0.f);
    store_together(bytes, x, limits);
    __builtin_memcpy(y, bytes, kVectors * kLanes);
  }
}

// Rounded, limited and stored: kVectors vectors of channels of each pixel. Bytes may alias anything, so what all pixels
// need is read before the first is stored.
template <size_t kPixels, size_t kVectors>
LR_INLINE void finish(const DepthwiseI8& d, const Limits& limits, const vi (&acc)[kPixels][kVectors], size_t c,
                      int8_t* y) {
  vf scale[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) scale[j] = load(d.scale + c + j * kLanes);
  const size_t step = d.y_stride;
  LR_UNROLL
  for (size_t p = 0; p < kPixels; ++p, y += step) finish_pixel<kVectors>(scale, limits, acc[p], y);
}

template <size_t kNumber>
struct Count {
  static constexpr size_t kValue = kNumber;
};

// kVectors vectors of channels from c on of kPixels neighbouring pixels of a square window whose columns are shared:
// pixel p starts kStride columns behind pixel p - 1. Each column is brought together once for all pixels.
template <size_t kSize, size_t kStride, size_t kPixels, size_t kVectors>
LR_INLINE void window_block(const DepthwiseI8& d, const Limits& limits, const int8_t* const* x, const int8_t* packed,
                            size_t c, int8_t* y) {
  constexpr size_t kGroups = (kSize + kDepth - 1) / kDepth, kTapBytes = kDepth * kLanes;
  vi acc[kPixels][kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    const vi start = load_i(d.bias + c + j * kLanes);
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) acc[p][j] = start;
  }
  const auto add = [&](auto taps, size_t first, size_t group) __attribute__((always_inline)) {
    LR_UNROLL
    for (size_t column = 0; column < (kPixels - 1) * kStride + kSize; ++column) {
      TapGroup v[kVectors];
      gather<decltype(taps)::kValue, kVectors>(x + column * kSize + first, c, v);
      LR_UNROLL
      for (size_t p = 0; p < kPixels; ++p) {
        if (column < p * kStride || column >= p * kStride + kSize) continue;
        const int8_t* w = packed + ((column - p * kStride) * kGroups + group) * kTapBytes;
        LR_UNROLL
        for (size_t j = 0; j < kVectors; ++j) {
          acc[p][j] = add_taps(acc[p][j], v[j], load_weights(w + j * kSize * kGroups * kTapBytes));
        }
      }
    }
  };
  LR_UNROLL
  for (size_t g = 0; g < kSize / kDepth; ++g) add(Count<kDepth>{}, g * kDepth, g);
  if constexpr (kSize % kDepth != 0) add(Count<kSize % kDepth>{}, kSize / kDepth * kDepth, kGroups - 1);
  finish(d, limits, acc, c, y);
}

template <size_t kSize, size_t kStride, size_t kPixels>
static void window_pixels(const DepthwiseI8& d, const int8_t* const* x, int8_t* y) {
  const Limits limits(d.zero, d.lo, d.hi);
  constexpr size_t kBytes = (kSize + kDepth - 1) / kDepth * kDepth * kSize * kLanes, kMost = kMostVectors * kLanes;
  const int8_t* packed = d.packed;
  size_t c = 0;
  if constexpr (kMostVectors > 1) {
    constexpr size_t kTaps = ((kPixels - 1) * kStride + kSize) * kSize;
    const int8_t* kept[kTaps];  // in registers, as far as these suffice
    LR_UNROLL
    for (size_t t = 0; t < kTaps; ++t) kept[t] = x[t];
    for (; c + kMost <= d.channels; c += kMost, packed += kMostVectors * kBytes) {
      window_block<kSize, kStride, kPixels, kMostVectors>(d, limits, kept, packed, c, y + c);
    }
  }
  for (; c < d.channels; c += kLanes, packed += kBytes) {
    const size_t at = c + kLanes <= d.channels ? c : d.channels - kLanes;
    window_block<kSize, kStride, kPixels, 1>(d, limits, x, packed, at, y + at);
  }
}

template <size_t kSize, size_t kStride>
static void window_row(const DepthwiseI8& d) {
  size_t i = 0;
  const auto run = [&](auto block, size_t pixels) {
    block(d, d.x + i * d.step, d.y + i * d.y_stride);
    i += pixels;
  };
  if constexpr (kMostVectors == 1 && kSize == 3) {
    while (i + 7 <= d.count) run(window_pixels<kSize, kStride, 7>, 7);
  }
  while (i + 4 <= d.count) run(window_pixels<kSize, kStride, 4>, 4);
  if constexpr (kMostVectors > 1) {
    while (i + 2 <= d.count) run(window_pixels<kSize, kStride, 2>, 2);
  }
  while (i < d.count) run(window_pixels<kSize, kStride, 1>, 1);
}

// Calls body(first tap, taps) for what lies together, column by column.
template <class Body>
LR_INLINE void each_group(size_t taps, const Body& body) {
  const size_t column = depthwise_i8_column(taps);
  for (size_t start = 0; start < taps; start += column) {
    for (size_t t = 0; t < column; t += kDepth) body(start + t, column - t < kDepth ? column - t : kDepth);
  }
}

// Any window.
template <size_t kPixels>
static void any_pixels(const DepthwiseI8& d, const int8_t* const* x, int8_t* y) {
  const Limits limits(d.zero, d.lo, d.hi);
  const int8_t* packed = d.packed;
  for (size_t group = 0; group < d.channels; group += kLanes) {
    const size_t c = group + kLanes <= d.channels ? group : d.channels - kLanes;
    vi acc[kPixels][1];
    LR_UNROLL
    for (size_t p = 0; p < kPixels; ++p) acc[p][0] = load_i(d.bias + c);
    each_group(
        d.taps, [&](size_t first, size_t taps) __attribute__((always_inline)) {
          const TapGroup w = load_weights(packed);
          packed += kDepth * kLanes;
          LR_UNROLL
          for (size_t p = 0; p < kPixels; ++p) {
            const int8_t* together[kDepth];
            LR_UNROLL
            for (size_t i = 0; i < kDepth; ++i) together[i] = x[p * d.step + first + (i < taps ? i : taps - 1)];
            TapGroup v[1];
            gather<kDepth, 1>(together, c, v);
            acc[p][0] = add_taps(acc[p][0], v[0], w);
          }
        });
    finish(d, limits, acc, c, y + c);
  }
}

static void any_row(const DepthwiseI8& d) {
  size_t i = 0;
  for (; i + 4 <= d.count; i += 4) any_pixels<4>(d, d.x + i * d.step, d.y + i * d.y_stride);
  for (; i < d.count; ++i) any_pixels<1>(d, d.x + i * d.step, d.y + i * d.y_stride);
}

// Fewer channels than a vector has lanes: their taps are copied, with zeros behind them.
static void few_channels(const DepthwiseI8& d) {
  const Limits limits(d.zero, d.lo, d.hi);
  for (size_t i = 0; i < d.count; ++i) {
    const int8_t* packed = d.packed;
    vi acc[1][1] = {{load_i(d.bias)}};
    each_group(d.taps, [&](size_t first, size_t taps) {
      int8_t copies[kDepth][kLanes];
      const int8_t* together[kDepth];
      for (size_t t = 0; t < kDepth; ++t) {
        const int8_t* from = d.x[i * d.step + first + (t < taps ? t : taps - 1)];
        for (size_t c = 0; c < kLanes; ++c) copies[t][c] = c < d.channels ? from[c] : static_cast<int8_t>(0);
        together[t] = copies[t];
      }
      TapGroup v[1];
      gather<kDepth, 1>(together, 0, v);
      acc[0][0] = add_taps(acc[0][0], v[0], load_weights(packed));
      packed += kDepth * kLanes;
    });
    int8_t bytes[kLanes];
    finish(d, limits, acc, 0, bytes);
    copy_part<kLanes>(d.y + i * d.y_stride, bytes, d.channels);
  }
}

void depthwise_i8(const DepthwiseI8& d) {
  if (d.channels < kLanes) return few_channels(d);
#if !defined(LR_SMALL)
  if (d.taps == 9 && d.step == 3) return window_row<3, 1>(d);
  if (d.taps == 9 && d.step == 6) return window_row<3, 2>(d);
  if (d.taps == 25 && d.step == 5) return window_row<5, 1>(d);
  if (d.taps == 25 && d.step == 10) return window_row<5, 2>(d);
#endif
  any_row(d);
}

}  // namespace LR_TIER
}  // namespace lr
