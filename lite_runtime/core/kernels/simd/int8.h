// 8-bit integers for the kernels that need them; include simd.h first.
//
// Provided by every backend:
//   vp                        kLanes pairs of int8
//   load_pairs                2 * kLanes values at any address, the pair of a lane together
//   interleave(a, b)          the pairs (a[i], b[i]), from kLanes values at each address
//   splat_pair                one pair in all lanes, from the address of two values of type PairElement
//   dot(acc, x, y)            acc + x.first * y.first + x.second * y.second in every lane; wraps around
//   load_i8, load_i           kLanes values of int8 or int32
//   store_i8                  the low bytes of kLanes values
//   store_i8_part             of the first 1 <= n < kLanes values
//   Limits, store_together    quantised results of kTogether vectors: rounded half to even, plus a zero point of
//                             int8, limited to [lo, hi] within int8; infinite and any finite values are allowed
//   store_four                where LR_FOUR_TOGETHER says so: store_together of four vectors, to one place or two
// On x86 a pair is broadcast from int16 (LR_WIDE_PAIRS), elsewhere straight from int8.
#pragma once

#include "simd.h"

#define LR_MEMBER inline __attribute__((always_inline))

namespace lr {
namespace LR_TIER {

LR_INLINE int32_t read_32(const void* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return bits;
}
LR_INLINE int16_t read_16(const void* p) {
  int16_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return bits;
}

#if LR_IS_SCALAR

struct vp {
  int32_t first, second;
};
using PairElement = int8_t;

LR_INLINE vp load_pairs(const int8_t* p) { return {p[0], p[1]}; }
LR_INLINE vp interleave(const int8_t* a, const int8_t* b) { return {*a, *b}; }
LR_INLINE vp splat_pair(const int8_t* p) { return {p[0], p[1]}; }
LR_INLINE vi dot(vi acc, vp x, vp y) { return acc + vi{x.first * y.first + x.second * y.second}; }
LR_INLINE vi load_i8(const int8_t* p) { return {*p}; }
LR_INLINE vi load_i(const int32_t* p) { return {*p}; }
LR_INLINE void store_i8(int8_t* p, vi a) { *p = static_cast<int8_t>(a.v); }

struct Limits {
  vf hi;
  int32_t zero, lo;
  LR_MEMBER Limits(int32_t zero_, int32_t lo_, int32_t hi_)
      : hi(splat(static_cast<float>(hi_ - zero_))), zero(zero_), lo(lo_) {}
};
constexpr size_t kTogether = 1;
LR_INLINE void store_together(int8_t* p, const vf* x, const Limits& limits) {
  const float y = __builtin_rintf(min(limits.hi, max(splat(-512.f), x[0])).v);
  const int32_t shifted = static_cast<int32_t>(y) + limits.zero;
  *p = static_cast<int8_t>(shifted < limits.lo ? limits.lo : shifted);
}

#elif defined(__SSE2__)

#define LR_WIDE_PAIRS 1
struct vp {
#if defined(__AVX512F__)
  __m512i v;
#elif defined(__AVX2__)
  __m256i v;
#else
  __m128i v;
#endif
};
using PairElement = int16_t;

#if defined(__AVX512F__)

LR_INLINE __m128i load_16_bytes(const int8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
LR_INLINE vp load_pairs(const int8_t* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
LR_INLINE vp interleave(const int8_t* a, const int8_t* b) {
  const __m128i x = load_16_bytes(a), y = load_16_bytes(b);
  return {_mm512_cvtepi8_epi16(_mm256_set_m128i(_mm_unpackhi_epi8(x, y), _mm_unpacklo_epi8(x, y)))};
}
LR_INLINE vp splat_pair(const int16_t* p) { return {_mm512_set1_epi32(read_32(p))}; }
#if defined(__AVX512VNNI__)
LR_INLINE vi dot(vi acc, vp x, vp y) { return {_mm512_dpwssd_epi32(acc.v, x.v, y.v)}; }
#else
LR_INLINE vi dot(vi acc, vp x, vp y) { return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(x.v, y.v))}; }
#endif
LR_INLINE vi load_i8(const int8_t* p) { return {_mm512_cvtepi8_epi32(load_16_bytes(p))}; }
LR_INLINE vi load_i(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
LR_INLINE void store_i8(int8_t* p, vi a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v)); }

struct Limits {
  vf lo, hi;
  __m512i zero, zero_words, lo_bytes;
  LR_MEMBER Limits(int32_t zero_, int32_t lo_, int32_t hi_)
      : lo(splat(static_cast<float>(lo_ - zero_))),
        hi(splat(static_cast<float>(hi_ - zero_))),
        zero(_mm512_set1_epi32(zero_)),
        zero_words(_mm512_set1_epi16(static_cast<int16_t>(zero_))),
        lo_bytes(_mm512_set1_epi8(static_cast<int8_t>(lo_))) {}
};
constexpr size_t kTogether = 1;
LR_INLINE void store_together(int8_t* p, const vf* x, const Limits& limits) {
  const __m512i y = _mm512_cvtps_epi32(min(limits.hi, max(limits.lo, x[0])).v);
  store_i8(p, {_mm512_add_epi32(y, limits.zero)});
}

#define LR_FOUR_TOGETHER 1
// Only the upper limit is one of the floats: the saturation of words and bytes does the rest.
LR_INLINE __m512i narrow_four(const vf* x, const Limits& limits) {
  __m512i words[2];
  LR_UNROLL
  for (size_t i = 0; i < 2; ++i) {
    const __m512i first = _mm512_cvtps_epi32(min(limits.hi, x[2 * i]).v);
    const __m512i second = _mm512_cvtps_epi32(min(limits.hi, x[2 * i + 1]).v);
    words[i] = _mm512_adds_epi16(_mm512_packs_epi32(first, second), limits.zero_words);
  }
  const __m512i bytes = _mm512_max_epi8(_mm512_packs_epi16(words[0], words[1]), limits.lo_bytes);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, bytes);
}
LR_INLINE void store_four(int8_t* p, const vf* x, const Limits& limits) {
  _mm512_storeu_si512(p, narrow_four(x, limits));
}
LR_INLINE void store_four(int8_t* p, int8_t* q, const vf* x, const Limits& limits) {
  const __m512i y = narrow_four(x, limits);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256(y));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm512_extracti64x4_epi64(y, 1));
}

#elif defined(__AVX2__)

LR_INLINE vp load_pairs(const int8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
LR_INLINE __m128i load_8_bytes(const int8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
LR_INLINE vp interleave(const int8_t* a, const int8_t* b) {
  return {_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(load_8_bytes(a), load_8_bytes(b)))};
}
LR_INLINE vp splat_pair(const int16_t* p) { return {_mm256_set1_epi32(read_32(p))}; }
LR_INLINE vi dot(vi acc, vp x, vp y) { return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(x.v, y.v))}; }
LR_INLINE vi load_i8(const int8_t* p) { return {_mm256_cvtepi8_epi32(load_8_bytes(p))}; }
LR_INLINE vi load_i(const int32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
LR_INLINE void store_i8(int8_t* p, vi a) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
// 16 values as int16.
LR_INLINE void widen_16(const int8_t* from, int16_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), load_pairs(from).v);
}

#else

LR_INLINE __m128i widen_low(__m128i bytes) { return _mm_srai_epi16(_mm_unpacklo_epi8(_mm_setzero_si128(), bytes), 8); }
LR_INLINE vp load_pairs(const int8_t* p) { return {widen_low(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))}; }
LR_INLINE vp interleave(const int8_t* a, const int8_t* b) {
  return {widen_low(_mm_unpacklo_epi8(_mm_cvtsi32_si128(read_32(a)), _mm_cvtsi32_si128(read_32(b))))};
}
LR_INLINE vp splat_pair(const int16_t* p) { return {_mm_set1_epi32(read_32(p))}; }
LR_INLINE vi dot(vi acc, vp x, vp y) { return {_mm_add_epi32(acc.v, _mm_madd_epi16(x.v, y.v))}; }
LR_INLINE vi load_i8(const int8_t* p) {
  const __m128i words = widen_low(_mm_cvtsi32_si128(read_32(p)));
  return {_mm_srai_epi32(_mm_unpacklo_epi16(_mm_setzero_si128(), words), 16)};
}
LR_INLINE vi load_i(const int32_t* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))}; }
LR_INLINE void store_i8(int8_t* p, vi a) {
  const __m128i words = _mm_packs_epi32(a.v, a.v);
  const int32_t bytes = _mm_cvtsi128_si32(_mm_packs_epi16(words, words));
  __builtin_memcpy(p, &bytes, sizeof bytes);
}
LR_INLINE void widen_16(const int8_t* from, int16_t* to) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  auto* out = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(out, widen_low(bytes));
  _mm_storeu_si128(out + 1, _mm_srai_epi16(_mm_unpackhi_epi8(_mm_setzero_si128(), bytes), 8));
}

#endif

#if !defined(__AVX512F__)

// The nearest integers, half to even; what is too small becomes the least one, larger than 2^31 must not be.
#if defined(__AVX2__)
LR_INLINE __m256i nearest(vf x) { return _mm256_cvtps_epi32(x.v); }
#else
LR_INLINE __m128i nearest(vf x) { return _mm_cvtps_epi32(x.v); }
#endif

// The upper limit is one of the floats, so that they can be converted; the others are of saturated words.
struct Limits {
  vf hi;
  __m128i zero, lo;
  LR_MEMBER Limits(int32_t zero_, int32_t lo_, int32_t hi_)
      : hi(splat(static_cast<float>(hi_ - zero_))),
        zero(_mm_set1_epi16(static_cast<int16_t>(zero_))),
        lo(_mm_set1_epi16(static_cast<int16_t>(lo_))) {}
  LR_MEMBER __m128i words(__m128i a, __m128i b) const {
    return _mm_max_epi16(_mm_adds_epi16(_mm_packs_epi32(a, b), zero), lo);
  }
};

#if defined(__AVX2__)
constexpr size_t kTogether = 1;
LR_INLINE void store_together(int8_t* p, const vf* x, const Limits& limits) {
  const __m256i y = nearest(min(limits.hi, x[0]));
  const __m128i words = limits.words(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
#else
constexpr size_t kTogether = 2;
LR_INLINE void store_together(int8_t* p, const vf* x, const Limits& limits) {
  const __m128i words = limits.words(nearest(min(limits.hi, x[0])), nearest(min(limits.hi, x[1])));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
#endif

#endif

#else

struct vp {
  int8x8_t v;
};
using PairElement = int8_t;

LR_INLINE int8x8_t load_4_bytes(const int8_t* p) { return vreinterpret_s8_s32(vdup_n_s32(read_32(p))); }
LR_INLINE vp load_pairs(const int8_t* p) { return {vld1_s8(p)}; }
LR_INLINE vp interleave(const int8_t* a, const int8_t* b) { return {vzip_s8(load_4_bytes(a), load_4_bytes(b)).val[0]}; }
LR_INLINE vp splat_pair(const int8_t* p) { return {vreinterpret_s8_s16(vdup_n_s16(read_16(p)))}; }
LR_INLINE vi dot(vi acc, vp x, vp y) { return {vpadalq_s16(acc.v, vmull_s8(x.v, y.v))}; }
#if !defined(__ARM_FEATURE_DOTPROD)
#define LR_NARROW_PAIRS 1
// dot of two pairs at once; no value of y may be -128.
LR_INLINE vi dot_narrow(vi acc, vp x0, vp y0, vp x1, vp y1) {
  return {vpadalq_s16(acc.v, vmlal_s8(vmull_s8(x0.v, y0.v), x1.v, y1.v))};
}
#endif
LR_INLINE vi load_i8(const int8_t* p) { return {vmovl_s16(vget_low_s16(vmovl_s8(load_4_bytes(p))))}; }
LR_INLINE vi load_i(const int32_t* p) { return {vld1q_s32(p)}; }
LR_INLINE void store_i8(int8_t* p, vi a) {
  const int16x4_t words = vmovn_s32(a.v);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
  const int32_t bits = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
  __builtin_memcpy(p, &bits, sizeof bits);
}

struct Limits {
  int16x8_t zero;
  int8x16_t lo, hi;
  LR_MEMBER Limits(int32_t zero_, int32_t lo_, int32_t hi_)
      : zero(vdupq_n_s16(static_cast<int16_t>(zero_))),
        lo(vdupq_n_s8(static_cast<int8_t>(lo_))),
        hi(vdupq_n_s8(static_cast<int8_t>(hi_))) {}
};

// Half to even, saturated to int16.
LR_INLINE int16x4_t nearest(vf x) {
#if defined(__aarch64__)
  return vqmovn_s32(vcvtnq_s32_f32(x.v));
#else
  // Adding 1.5 * 2^23 leaves the rounded number in the low bits of the mantissa.
  const float32x4_t near = vminq_f32(vmaxq_f32(x.v, vdupq_n_f32(-32768.f)), vdupq_n_f32(32767.f));
  const int32x4_t bits = vreinterpretq_s32_f32(vaddq_f32(near, vdupq_n_f32(12582912.f)));
  return vmovn_s32(vsubq_s32(bits, vdupq_n_s32(0x4b400000)));
#endif
}

constexpr size_t kTogether = 2;
LR_INLINE void store_together(int8_t* p, const vf* x, const Limits& limits) {
  const int16x8_t words = vqaddq_s16(vcombine_s16(nearest(x[0]), nearest(x[1])), limits.zero);
  vst1_s8(p, vmin_s8(vmax_s8(vqmovn_s16(words), vget_low_s8(limits.lo)), vget_low_s8(limits.hi)));
}

#if defined(__aarch64__)
// Four vectors at once.
#define LR_FOUR_TOGETHER 1
LR_INLINE int8x16_t narrow_four(const vf* x, const Limits& limits) {
  int16x8_t words[2];
  LR_UNROLL
  for (size_t i = 0; i < 2; ++i) {
    const int16x4_t first = nearest(x[2 * i]);
    words[i] = vqaddq_s16(vqmovn_high_s32(first, vcvtnq_s32_f32(x[2 * i + 1].v)), limits.zero);
  }
  const int8x16_t bytes = vqmovn_high_s16(vqmovn_s16(words[0]), words[1]);
  return vminq_s8(vmaxq_s8(bytes, limits.lo), limits.hi);
}
LR_INLINE void store_four(int8_t* p, const vf* x, const Limits& limits) { vst1q_s8(p, narrow_four(x, limits)); }
LR_INLINE void store_four(int8_t* p, int8_t* q, const vf* x, const Limits& limits) {
  const int8x16_t y = narrow_four(x, limits);
  vst1_s8(p, vget_low_s8(y));
  vst1_s8(q, vget_high_s8(y));
}
#endif

#endif

// The first n < kMax bytes, in steps of fixed size: a copy of n bytes would be a call, around which all sums have to
// leave their registers.
template <size_t kMax>
LR_INLINE void copy_part(int8_t* to, const int8_t* from, size_t n) {
#if defined(__AVX512BW__) && !LR_IS_SCALAR
  if constexpr (kMax == 64) return _mm512_mask_storeu_epi8(to, (uint64_t{1} << n) - 1, _mm512_loadu_si512(from));
  if constexpr (kMax == 32) {
    const auto mask = static_cast<__mmask32>((uint64_t{1} << n) - 1);
    return _mm256_mask_storeu_epi8(to, mask, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
#endif
  if constexpr (kMax > 1) {
    constexpr size_t kHalf = kMax / 2;
    const bool half = (n & kHalf) != 0;
    if (half) __builtin_memcpy(to, from, kHalf);
    const size_t step = half ? kHalf : 0;
    copy_part<kHalf>(to + step, from + step, n);
  }
}

LR_INLINE void store_i8_part(int8_t* p, vi a, size_t n) {
  int8_t bytes[kLanes];
  store_i8(bytes, a);
  copy_part<kLanes>(p, bytes, n);
}

// Rounds to an integer, half to even, and adds `zero`; |x| < 2^21. Adding 1.5 * 2^23 leaves the rounded
// number in the low bits of the mantissa.
struct Rounding {
  vf shift;
  vi offset;
  LR_MEMBER explicit Rounding(int32_t zero) : shift(splat(12582912.f)), offset(splat_i(0x4b400000 - zero)) {}
  LR_MEMBER vi operator()(vf x) const { return bits(x + shift) - offset; }
};

// An integer result: x rounded, zero point added, limited to [lo, hi], which lie within int8.
struct Requantize {
  vf lo, hi;
  Rounding round;
  LR_MEMBER Requantize(int32_t zero, int32_t low, int32_t high)
      : lo(splat(static_cast<float>(low - zero))), hi(splat(static_cast<float>(high - zero))), round(zero) {}
  LR_MEMBER vi operator()(vf x) const { return round(clamp(x, lo, hi)); }
};

}  // namespace LR_TIER
}  // namespace lr
