// simd.h for AVX-512 (F and DQ), 16 lanes. Without transpose and zip: the kernels that need them are AVX2's.
#pragma once

#include <immintrin.h>

namespace lr {
namespace LR_TIER {

constexpr size_t kLanes = 16;

struct vf {
  __m512 v;
};
struct vi {
  __m512i v;
};

LR_INLINE vf load(const float* p) { return {_mm512_loadu_ps(p)}; }
LR_INLINE void store(float* p, vf a) { _mm512_storeu_ps(p, a.v); }
LR_INLINE vf splat(float a) { return {_mm512_set1_ps(a)}; }
LR_INLINE vi splat_i(int32_t a) { return {_mm512_set1_epi32(a)}; }

LR_INLINE __mmask16 first_lanes(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
LR_INLINE vf load_part(const float* p, size_t n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
LR_INLINE void store_part(float* p, vf a, size_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }

LR_INLINE vf operator+(vf a, vf b) { return {_mm512_add_ps(a.v, b.v)}; }
LR_INLINE vf operator-(vf a, vf b) { return {_mm512_sub_ps(a.v, b.v)}; }
LR_INLINE vf operator*(vf a, vf b) { return {_mm512_mul_ps(a.v, b.v)}; }
LR_INLINE vf operator/(vf a, vf b) { return {_mm512_div_ps(a.v, b.v)}; }
LR_INLINE vi operator+(vi a, vi b) { return {_mm512_add_epi32(a.v, b.v)}; }
LR_INLINE vi operator-(vi a, vi b) { return {_mm512_sub_epi32(a.v, b.v)}; }
LR_INLINE vi operator&(vi a, vi b) { return {_mm512_and_si512(a.v, b.v)}; }
LR_INLINE vi operator|(vi a, vi b) { return {_mm512_or_si512(a.v, b.v)}; }
LR_INLINE vi operator^(vi a, vi b) { return {_mm512_xor_si512(a.v, b.v)}; }
template <int kBits>
LR_INLINE vi shift_left(vi a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
LR_INLINE vi shift_right(vi a) {
  return {_mm512_srai_epi32(a.v, kBits)};
}

LR_INLINE vf fma(vf a, vf b, vf c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// Both return their second operand when either is NaN.
LR_INLINE vf min(vf a, vf b) { return {_mm512_min_ps(a.v, b.v)}; }
LR_INLINE vf max(vf a, vf b) { return {_mm512_max_ps(a.v, b.v)}; }
LR_INLINE vf sqrt(vf a) { return {_mm512_sqrt_ps(a.v)}; }
LR_INLINE vf div_fast(vf a, vf b) { return a / b; }

LR_INLINE vi bits(vf a) { return {_mm512_castps_si512(a.v)}; }
LR_INLINE vf floats(vi a) { return {_mm512_castsi512_ps(a.v)}; }
LR_INLINE vf to_float(vi a) { return {_mm512_cvtepi32_ps(a.v)}; }
LR_INLINE vf abs(vf a) { return floats(bits(a) & splat_i(INT32_MAX)); }

// The compiler drops the round trip of a mask through a vector.
LR_INLINE vi lanes_of(__mmask16 m) { return {_mm512_movm_epi32(m)}; }
LR_INLINE __mmask16 mask_of(vi m) { return _mm512_movepi32_mask(m.v); }
LR_INLINE vi operator<(vf a, vf b) { return lanes_of(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)); }
LR_INLINE vi operator<=(vf a, vf b) { return lanes_of(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)); }
LR_INLINE vi operator==(vf a, vf b) { return lanes_of(_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)); }
LR_INLINE vf select(vi m, vf a, vf b) { return {_mm512_mask_blend_ps(mask_of(m), b.v, a.v)}; }
LR_INLINE bool any(vi m) { return mask_of(m) != 0; }

// For math.h: the nearest integer, and y times two to the power of an integer.
#define LR_SCALE 1
LR_INLINE vf nearest_integer(vf x) {
  return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
LR_INLINE vi to_int(vf integer) { return {_mm512_cvtps_epi32(integer.v)}; }
LR_INLINE vf scale(vf y, vf exponent) { return {_mm512_scalef_ps(y.v, exponent.v)}; }

LR_INLINE float hsum(vf a) { return _mm512_reduce_add_ps(a.v); }
LR_INLINE float hmax(vf a) { return _mm512_reduce_max_ps(a.v); }
LR_INLINE float hmin(vf a) { return _mm512_reduce_min_ps(a.v); }

}  // namespace LR_TIER
}  // namespace lr
