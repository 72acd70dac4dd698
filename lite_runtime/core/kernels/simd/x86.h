// simd.h for SSE2 (4 lanes) and AVX2 with FMA and F16C (8 lanes).
#pragma once

#include <immintrin.h>

#if defined(__AVX2__)
#define LR_PS(op) _mm256_##op##_ps
#define LR_SI(op) _mm256_##op##_epi32
#define LR_LOGIC(op) _mm256_##op##_si256
#define LR_VF __m256
#define LR_VI __m256i
#else
#define LR_PS(op) _mm_##op##_ps
#define LR_SI(op) _mm_##op##_epi32
#define LR_LOGIC(op) _mm_##op##_si128
#define LR_VF __m128
#define LR_VI __m128i
#endif

namespace lr {
namespace LR_TIER {

constexpr size_t kLanes = sizeof(LR_VF) / sizeof(float);

struct vf {
  LR_VF v;
};
struct vi {
  LR_VI v;
};

LR_INLINE vf load(const float* p) { return {LR_PS(loadu)(p)}; }
LR_INLINE void store(float* p, vf a) { LR_PS(storeu)(p, a.v); }
LR_INLINE vf splat(float a) { return {LR_PS(set1)(a)}; }
LR_INLINE vi splat_i(int32_t a) { return {LR_SI(set1)(a)}; }

LR_INLINE vf operator+(vf a, vf b) { return {LR_PS(add)(a.v, b.v)}; }
LR_INLINE vf operator-(vf a, vf b) { return {LR_PS(sub)(a.v, b.v)}; }
LR_INLINE vf operator*(vf a, vf b) { return {LR_PS(mul)(a.v, b.v)}; }
LR_INLINE vf operator/(vf a, vf b) { return {LR_PS(div)(a.v, b.v)}; }
LR_INLINE vi operator+(vi a, vi b) { return {LR_SI(add)(a.v, b.v)}; }
LR_INLINE vi operator-(vi a, vi b) { return {LR_SI(sub)(a.v, b.v)}; }
LR_INLINE vi operator&(vi a, vi b) { return {LR_LOGIC(and)(a.v, b.v)}; }
LR_INLINE vi operator|(vi a, vi b) { return {LR_LOGIC(or)(a.v, b.v)}; }
LR_INLINE vi operator^(vi a, vi b) { return {LR_LOGIC(xor)(a.v, b.v)}; }
template <int kBits>
LR_INLINE vi shift_left(vi a) {
  return {LR_SI(slli)(a.v, kBits)};
}
template <int kBits>
LR_INLINE vi shift_right(vi a) {
  return {LR_SI(srai)(a.v, kBits)};
}

// Both return their second operand when either is NaN.
LR_INLINE vf min(vf a, vf b) { return {LR_PS(min)(a.v, b.v)}; }
LR_INLINE vf max(vf a, vf b) { return {LR_PS(max)(a.v, b.v)}; }
LR_INLINE vf sqrt(vf a) { return {LR_PS(sqrt)(a.v)}; }
LR_INLINE vf div_fast(vf a, vf b) { return a / b; }

#if defined(__AVX2__)

LR_INLINE vi bits(vf a) { return {_mm256_castps_si256(a.v)}; }
LR_INLINE vf floats(vi a) { return {_mm256_castsi256_ps(a.v)}; }
LR_INLINE vf to_float(vi a) { return {_mm256_cvtepi32_ps(a.v)}; }

LR_INLINE __m256i first_lanes(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LR_INLINE vf load_part(const float* p, size_t n) { return {_mm256_maskload_ps(p, first_lanes(n))}; }
LR_INLINE void store_part(float* p, vf a, size_t n) { _mm256_maskstore_ps(p, first_lanes(n), a.v); }

LR_INLINE vi operator<(vf a, vf b) { return bits(vf{_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}); }
LR_INLINE vi operator<=(vf a, vf b) { return bits(vf{_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}); }
LR_INLINE vi operator==(vf a, vf b) { return bits(vf{_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}); }
LR_INLINE vf select(vi m, vf a, vf b) { return {_mm256_blendv_ps(b.v, a.v, floats(m).v)}; }
LR_INLINE bool any(vi m) { return _mm256_movemask_ps(floats(m).v) != 0; }
LR_INLINE vf fma(vf a, vf b, vf c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }

#define LR_HALF_LANES 8
LR_INLINE void half_to_floats(const uint16_t* x, float* y) {
  _mm256_storeu_ps(y, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
}
LR_INLINE void floats_to_half(const float* x, uint16_t* y) {
  const __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y), h);
}

LR_INLINE void transpose(vf (&m)[8]) {
  __m256 pairs[8], quads[8];
  LR_UNROLL
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(m[i].v, m[i + 1].v);
    pairs[i + 1] = _mm256_unpackhi_ps(m[i].v, m[i + 1].v);
  }
  LR_UNROLL
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  LR_UNROLL
  for (int i = 0; i < 4; ++i) {
    m[i] = {_mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20)};
    m[i + 4] = {_mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31)};
  }
}

#else

LR_INLINE vi bits(vf a) { return {_mm_castps_si128(a.v)}; }
LR_INLINE vf floats(vi a) { return {_mm_castsi128_ps(a.v)}; }
LR_INLINE vf to_float(vi a) { return {_mm_cvtepi32_ps(a.v)}; }

LR_INLINE vf load_part(const float* p, size_t n) {
  if (n == 1) return {_mm_load_ss(p)};
  const __m128 two = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  return {n == 2 ? two : _mm_movelh_ps(two, _mm_load_ss(p + 2))};
}
LR_INLINE void store_part(float* p, vf a, size_t n) {
  if (n == 1) return _mm_store_ss(p, a.v);
  _mm_storel_pi(reinterpret_cast<__m64*>(p), a.v);
  if (n == 3) _mm_store_ss(p + 2, _mm_movehl_ps(a.v, a.v));
}

LR_INLINE vi operator<(vf a, vf b) { return bits(vf{_mm_cmplt_ps(a.v, b.v)}); }
LR_INLINE vi operator<=(vf a, vf b) { return bits(vf{_mm_cmple_ps(a.v, b.v)}); }
LR_INLINE vi operator==(vf a, vf b) { return bits(vf{_mm_cmpeq_ps(a.v, b.v)}); }
LR_INLINE vf select(vi m, vf a, vf b) {
  return {_mm_or_ps(_mm_and_ps(floats(m).v, a.v), _mm_andnot_ps(floats(m).v, b.v))};
}
LR_INLINE bool any(vi m) { return _mm_movemask_ps(floats(m).v) != 0; }
LR_INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }

LR_INLINE void transpose(vf (&m)[4]) { _MM_TRANSPOSE4_PS(m[0].v, m[1].v, m[2].v, m[3].v); }

#endif

struct Zipped {
  vf low, high;
};
LR_INLINE Zipped zip(vf a, vf b) {
  const auto low = LR_PS(unpacklo)(a.v, b.v), high = LR_PS(unpackhi)(a.v, b.v);
#if defined(__AVX2__)
  return {{_mm256_permute2f128_ps(low, high, 0x20)}, {_mm256_permute2f128_ps(low, high, 0x31)}};
#else
  return {{low}, {high}};
#endif
}

LR_INLINE vf abs(vf a) { return floats(bits(a) & splat_i(INT32_MAX)); }

// Combines the lanes with op, pairwise.
template <class Op>
LR_INLINE float horizontal(vf a, Op op) {
#if defined(__AVX2__)
  __m128 x = op(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
#else
  __m128 x = a.v;
#endif
  x = op(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(op(x, _mm_shuffle_ps(x, x, 1)));
}
LR_INLINE float hsum(vf a) {
  return horizontal(a, [](__m128 x, __m128 y) { return _mm_add_ps(x, y); });
}
LR_INLINE float hmax(vf a) {
  return horizontal(a, [](__m128 x, __m128 y) { return _mm_max_ps(x, y); });
}
LR_INLINE float hmin(vf a) {
  return horizontal(a, [](__m128 x, __m128 y) { return _mm_min_ps(x, y); });
}

}  // namespace LR_TIER
}  // namespace lr

#undef LR_PS
#undef LR_SI
#undef LR_LOGIC
#undef LR_VF
#undef LR_VI
