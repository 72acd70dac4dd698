// Transforms of the Winograd convolution F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity.
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
#include <math.h>

#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// B' d of six values.
LR_INLINE void transform_input(vf (&d)[6]) {
  const vf four = splat(4), minus_five = splat(-5);
  const vf a = fma(-four, d[2], d[4]), b = fma(-four, d[1], d[3]);
  const vf c = d[4] - d[2], difference = d[3] - d[1], e = difference + difference;
  d[0] = fma(four, d[0], fma(minus_five, d[2], d[4]));
  d[5] = fma(four, d[1], fma(minus_five, d[3], d[5]));
  d[1] = a + b;
  d[2] = a - b;
  d[3] = c + e;
  d[4] = c - e;
}

// A' m: four results of six values.
LR_INLINE void transform_output(const vf (&m)[6], vf (&y)[4]) {
  const vf sum12 = m[1] + m[2], difference12 = m[1] - m[2];
  const vf sum34 = m[3] + m[4], difference34 = m[3] - m[4];
  y[0] = m[0] + sum12 + sum34;
  y[1] = fma(splat(2), difference34, difference12);
  y[2] = fma(splat(4), sum34, sum12);
  y[3] = fma(splat(8), difference34, difference12) + m[5];
}

// read(pointer) and write(pointer, vector) access the channels at c. Both transforms go column by column, then row by
// row: six values at a time are what fits the registers.
template <class Read, class Write>
LR_INLINE void input_at(const WinogradInputF32& t, size_t c, Read read, Write write) {
  vf half[6][6];
  for (size_t j = 0; j < 6; ++j) {
    vf d[6];
    LR_UNROLL
    for (size_t i = 0; i < 6; ++i) d[i] = read(t.x[6 * i + j] + c);
    transform_input(d);
    LR_UNROLL
    for (size_t i = 0; i < 6; ++i) half[i][j] = d[i];
  }
  float* y = t.y + c;
  for (auto& d : half) {
    transform_input(d);
    LR_UNROLL
    for (size_t j = 0; j < 6; ++j, y += t.y_stride) write(y, d[j]);
  }
}

template <bool kOpen, class Read, class Write>  // kOpen: hi is infinite
LR_INLINE void output_at(const WinogradOutputF32& t, size_t c, Read read, Write write) {
  vf half[4][6];
  const float* x = t.x + c;
  for (size_t j = 0; j < 6; ++j, x += t.x_stride) {
    vf m[6], y[4];
    const float* from = x;
    LR_UNROLL
    for (size_t i = 0; i < 6; ++i, from += 6 * t.x_stride) m[i] = read(from);
    transform_output(m, y);
    LR_UNROLL
    for (size_t i = 0; i < 4; ++i) half[i][j] = y[i];
  }
  const vf bias = t.bias == nullptr ? splat(0) : read(t.bias + c);
  const vf lo = splat(t.lo), hi = splat(t.hi);
  float* const* pixel = t.y;
  for (auto& m : half) {
    vf y[4];
    m[1] += bias;  // which all four results have once
    transform_output(m, y);
    LR_UNROLL
    for (size_t j = 0; j < 4; ++j, ++pixel) {
      if (*pixel == nullptr) continue;
      write(*pixel + c, kOpen ? max(lo, y[j]) : clamp(y[j], lo, hi));
    }
  }
}

void winograd_input_f32(const WinogradInputF32& t) {
  size_t c = 0;
  for (; c + kLanes <= t.channels; c += kLanes) {
    input_at(
        t, c, [](const float* p) { return load(p); }, [](float* p, vf v) { store(p, v); });
  }
  const size_t left = t.channels - c;
  if (left == 0) return;
  input_at(
      t, c, [=](const float* p) { return load_part(p, left); }, [=](float* p, vf v) { store_part(p, v, left); });
}

void winograd_output_f32(const WinogradOutputF32& t) {
  const auto read = [](const float* p) { return load(p); };
  const auto write = [](float* p, vf v) { store(p, v); };
  size_t c = 0;
  if (t.hi == INFINITY) {
    for (; c + kLanes <= t.channels; c += kLanes) output_at<true>(t, c, read, write);
  }
  for (; c + kLanes <= t.channels; c += kLanes) output_at<false>(t, c, read, write);
  const size_t left = t.channels - c;
  if (left == 0) return;
  output_at<false>(
      t, c, [=](const float* p) { return load_part(p, left); }, [=](float* p, vf v) { store_part(p, v, left); });
}

}  // namespace LR_TIER
}  // namespace lr
