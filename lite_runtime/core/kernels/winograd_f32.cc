// Transforms of the Winograd convolution F(4x4, 3x3) with the points 0, 1, -1, 2, -2 and infinity.
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// y = B' d for the six values that lie `step` apart.
LR_INLINE void transform_input(const vf* d, size_t d_step, vf* y, size_t y_step) {
  const vf two = splat(2), four = splat(4), minus_five = splat(-5);
  const vf d0 = d[0], d1 = d[d_step], d2 = d[2 * d_step], d3 = d[3 * d_step], d4 = d[4 * d_step], d5 = d[5 * d_step];
  const vf a = fma(-four, d2, d4), b = fma(-four, d1, d3);
  const vf c = d4 - d2, e = two * (d3 - d1);
  y[0] = fma(four, d0, fma(minus_five, d2, d4));
  y[y_step] = a + b;
  y[2 * y_step] = a - b;
  y[3 * y_step] = c + e;
  y[4 * y_step] = c - e;
  y[5 * y_step] = fma(four, d1, fma(minus_five, d3, d5));
}

// y = A' m: four results of six values.
LR_INLINE void transform_output(const vf* m, size_t m_step, vf* y, size_t y_step) {
  const vf sum12 = m[m_step] + m[2 * m_step], difference12 = m[m_step] - m[2 * m_step];
  const vf sum34 = m[3 * m_step] + m[4 * m_step], difference34 = m[3 * m_step] - m[4 * m_step];
  y[0] = m[0] + sum12 + sum34;
  y[y_step] = fma(splat(2), difference34, difference12);
  y[2 * y_step] = fma(splat(4), sum34, sum12);
  y[3 * y_step] = fma(splat(8), difference34, difference12) + m[5 * m_step];
}

// read(pointer) and write(pointer, vector) access the channels at c.
template <class Read, class Write>
LR_INLINE void input_at(const WinogradInputF32& t, size_t c, Read read, Write write) {
  vf patch[36], half[36];
  for (size_t i = 0; i < 36; ++i) patch[i] = read(t.x[i] + c);
  for (size_t j = 0; j < 6; ++j) transform_input(patch + j, 6, half + j, 6);
  for (size_t i = 0; i < 6; ++i) transform_input(half + 6 * i, 1, patch + 6 * i, 1);
  for (size_t i = 0; i < 36; ++i) write(t.y + i * t.y_stride + c, patch[i]);
}

template <class Read, class Write>
LR_INLINE void output_at(const WinogradOutputF32& t, size_t c, Read read, Write write) {
  vf products[36], half[24], block[16];
  for (size_t i = 0; i < 36; ++i) products[i] = read(t.x + i * t.x_stride + c);
  for (size_t j = 0; j < 6; ++j) transform_output(products + j, 6, half + j, 6);
  for (size_t i = 0; i < 4; ++i) transform_output(half + 6 * i, 1, block + 4 * i, 1);
  const vf bias = t.bias == nullptr ? splat(0) : read(t.bias + c);
  const vf lo = splat(t.lo), hi = splat(t.hi);
  for (size_t i = 0; i < 16; ++i) {
    if (t.y[i] != nullptr) write(t.y[i] + c, clamp(block[i] + bias, lo, hi));
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
  size_t c = 0;
  for (; c + kLanes <= t.channels; c += kLanes) {
    output_at(
        t, c, [](const float* p) { return load(p); }, [](float* p, vf v) { store(p, v); });
  }
  const size_t left = t.channels - c;
  if (left == 0) return;
  output_at(
      t, c, [=](const float* p) { return load_part(p, left); }, [=](float* p, vf v) { store_part(p, v, left); });
}

}  // namespace LR_TIER
}  // namespace lr
