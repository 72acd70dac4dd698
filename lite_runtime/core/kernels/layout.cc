// Data movement and storage conversion. Results are the same bits on every tier (NaN
// aside: its payload may be lost).
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// One square of kLanes elements a side. The elements only pass through the registers, whatever they are.
LR_INLINE void transpose_square(const uint32_t* src, size_t src_stride, uint32_t* dst, size_t dst_stride) {
  vf m[kLanes];
  LR_UNROLL
  for (size_t i = 0; i < kLanes; ++i) m[i] = load(reinterpret_cast<const float*>(src + i * src_stride));
  transpose(m);
  LR_UNROLL
  for (size_t i = 0; i < kLanes; ++i) store(reinterpret_cast<float*>(dst + i * dst_stride), m[i]);
}

// Two rows, whose elements alternate in the destination.
LR_INLINE void interleave(const uint32_t* first, const uint32_t* second, uint32_t* dst, size_t n) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes, dst += 2 * kLanes) {
    const Zipped z =
        zip(load(reinterpret_cast<const float*>(first + i)), load(reinterpret_cast<const float*>(second + i)));
    store(reinterpret_cast<float*>(dst), z.low);
    store(reinterpret_cast<float*>(dst + kLanes), z.high);
  }
  for (; i < n; ++i, dst += 2) {
    dst[0] = first[i];
    dst[1] = second[i];
  }
}

// Bands of 16 rows: one cache line in each row of the destination.
void transpose_32(const uint32_t* src, size_t src_stride, uint32_t* dst, size_t dst_stride, size_t rows, size_t cols) {
  if (rows == 2 && dst_stride == 2) return interleave(src, src + src_stride, dst, cols);
  constexpr size_t kBand = 16;
  for (size_t r0 = 0; r0 < rows; r0 += kBand) {
    const size_t band = rows - r0 < kBand ? rows - r0 : kBand;
    const size_t squares_r = kLanes > 1 ? band / kLanes * kLanes : 0;
    const size_t squares_c = kLanes > 1 ? cols / kLanes * kLanes : 0;
    for (size_t c = 0; c < squares_c; c += kLanes) {
      for (size_t r = r0; r < r0 + squares_r; r += kLanes) {
        transpose_square(src + r * src_stride + c, src_stride, dst + c * dst_stride + r, dst_stride);
      }
    }
    // What the squares leave: all rows of the last columns, the last rows of the others.
    for (size_t c = 0; c < cols; ++c) {
      const size_t done = c < squares_c ? squares_r : 0;
      for (size_t r = r0 + done; r < r0 + band; ++r) dst[c * dst_stride + r] = src[r * src_stride + c];
    }
  }
}

// The last vector of a row overlaps the one before it.
void copy_rows_32(const uint32_t* src, size_t src_stride, uint32_t* dst, size_t dst_stride, size_t rows, size_t cols) {
  constexpr size_t kBlock = 4 * kLanes;
  for (size_t r = 0; r < rows; ++r, src += src_stride, dst += dst_stride) {
    const float* from = reinterpret_cast<const float*>(src);
    float* to = reinterpret_cast<float*>(dst);
    size_t c = 0;
    for (; c + kBlock <= cols; c += kBlock) {
#if defined(__aarch64__) && !LR_IS_SCALAR
      vst1q_f32_x4(to + c, vld1q_f32_x4(from + c));
#else
      vf v[4];
      load_all(from + c, v);
      store_all(to + c, v);
#endif
    }
    if (cols < kLanes) {
      for (; c < cols; ++c) dst[c] = src[c];
      continue;
    }
    for (; c < cols; c += kLanes) {
      const size_t at = c + kLanes <= cols ? c : cols - kLanes;
      store(to + at, load(from + at));
    }
  }
}

LR_INLINE uint32_t float_bits(float x) {
  uint32_t r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}
LR_INLINE float bits_float(uint32_t x) {
  float r;
  __builtin_memcpy(&r, &x, sizeof r);
  return r;
}

LR_INLINE float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, magnitude = h & 0x7fff;
  if (magnitude >= 0x7c00) {  // infinity, or NaN made quiet
    const uint32_t quiet = magnitude > 0x7c00 ? 0x00400000u : 0;
    return bits_float(sign | 0x7f800000u | (magnitude & 0x3ff) << 13 | quiet);
  }
  if (magnitude >= 0x0400) return bits_float(sign | ((magnitude << 13) + (112u << 23)));
  return bits_float(sign | float_bits(static_cast<float>(magnitude) * 5.96046448e-8f));  // units of 2^-24
}

LR_INLINE uint16_t float_to_half(float x) {
#if defined(__aarch64__)
  const __fp16 nearest = static_cast<__fp16>(x);  // overflow is to leave its mark, see half.h
  uint16_t half;
  __builtin_memcpy(&half, &nearest, sizeof half);
  return half;
#else
  const uint32_t b = float_bits(x), magnitude = b & 0x7fffffff;
  const uint16_t sign = static_cast<uint16_t>(b >> 16 & 0x8000);
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to 65536 or more
  if (magnitude < 0x38800000) {                                              // below 2^-14: units of 2^-24
    // Adding 0.5 leaves the rounded count of 2^-24 in the low mantissa bits.
    const float shifted = bits_float(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (float_bits(shifted) - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return static_cast<uint16_t>(sign | ((magnitude - (112u << 23) + 0xfff + odd) >> 13));
#endif
}

void f16_to_f32(const uint16_t* x, float* y, size_t n) {
  size_t i = 0;
#if defined(LR_HALF_LANES)
  for (; i + LR_HALF_LANES <= n; i += LR_HALF_LANES) half_to_floats(x + i, y + i);
#endif
  for (; i < n; ++i) y[i] = half_to_float(x[i]);
}

void f32_to_f16(const float* x, uint16_t* y, size_t n) {
  size_t i = 0;
#if defined(LR_HALF_LANES)
  for (; i + LR_HALF_LANES <= n; i += LR_HALF_LANES) floats_to_half(x + i, y + i);
#endif
  for (; i < n; ++i) y[i] = float_to_half(x[i]);
}

}  // namespace LR_TIER
}  // namespace lr
