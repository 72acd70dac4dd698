// simd.h for NEON: aarch64, and 32-bit ARM with VFPv4 (fused multiply-add). 4 lanes.
//
// 32-bit NEON has no division or square root and flushes denormals to zero.
#pragma once

#include <arm_neon.h>

namespace lr {
namespace LR_TIER {

constexpr size_t kLanes = 4;

struct vf {
  float32x4_t v;
};
struct vi {
  int32x4_t v;
};

LR_INLINE vf load(const float* p) { return {vld1q_f32(p)}; }
LR_INLINE void store(float* p, vf a) { vst1q_f32(p, a.v); }
LR_INLINE vf load_part(const float* p, size_t n) {
  const float32x4_t zero = vdupq_n_f32(0.f);
  if (n == 1) return {vld1q_lane_f32(p, zero, 0)};
  const float32x4_t two = vcombine_f32(vld1_f32(p), vdup_n_f32(0.f));
  return {n == 2 ? two : vld1q_lane_f32(p + 2, two, 2)};
}
LR_INLINE void store_part(float* p, vf a, size_t n) {
  if (n == 1) return vst1q_lane_f32(p, a.v, 0);
  vst1_f32(p, vget_low_f32(a.v));
  if (n == 3) vst1q_lane_f32(p + 2, a.v, 2);
}
LR_INLINE vf splat(float a) { return {vdupq_n_f32(a)}; }
LR_INLINE vi splat_i(int32_t a) { return {vdupq_n_s32(a)}; }

LR_INLINE vf operator+(vf a, vf b) { return {vaddq_f32(a.v, b.v)}; }
LR_INLINE vf operator-(vf a, vf b) { return {vsubq_f32(a.v, b.v)}; }
LR_INLINE vf operator*(vf a, vf b) { return {vmulq_f32(a.v, b.v)}; }
LR_INLINE vi operator+(vi a, vi b) { return {vaddq_s32(a.v, b.v)}; }
LR_INLINE vi operator-(vi a, vi b) { return {vsubq_s32(a.v, b.v)}; }
LR_INLINE vi operator&(vi a, vi b) { return {vandq_s32(a.v, b.v)}; }
LR_INLINE vi operator|(vi a, vi b) { return {vorrq_s32(a.v, b.v)}; }
LR_INLINE vi operator^(vi a, vi b) { return {veorq_s32(a.v, b.v)}; }
template <int kBits>
LR_INLINE vi shift_left(vi a) {
  return {vshlq_n_s32(a.v, kBits)};
}
template <int kBits>
LR_INLINE vi shift_right(vi a) {
  return {vshrq_n_s32(a.v, kBits)};
}

LR_INLINE vi bits(vf a) { return {vreinterpretq_s32_f32(a.v)}; }
LR_INLINE vf floats(vi a) { return {vreinterpretq_f32_s32(a.v)}; }
LR_INLINE vf to_float(vi a) { return {vcvtq_f32_s32(a.v)}; }

LR_INLINE vi operator<(vf a, vf b) { return {vreinterpretq_s32_u32(vcltq_f32(a.v, b.v))}; }
LR_INLINE vi operator<=(vf a, vf b) { return {vreinterpretq_s32_u32(vcleq_f32(a.v, b.v))}; }
LR_INLINE vi operator==(vf a, vf b) { return {vreinterpretq_s32_u32(vceqq_f32(a.v, b.v))}; }
LR_INLINE vf select(vi m, vf a, vf b) { return {vbslq_f32(vreinterpretq_u32_s32(m.v), a.v, b.v)}; }

LR_INLINE vf fma(vf a, vf b, vf c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
LR_INLINE vf min(vf a, vf b) { return {vminq_f32(a.v, b.v)}; }
LR_INLINE vf max(vf a, vf b) { return {vmaxq_f32(a.v, b.v)}; }
#define LR_NAN_LIMITS 1
LR_INLINE vf abs(vf a) { return {vabsq_f32(a.v)}; }

struct Zipped {
  vf low, high;
};
LR_INLINE Zipped zip(vf a, vf b) {
  const float32x4x2_t z = vzipq_f32(a.v, b.v);
  return {{z.val[0]}, {z.val[1]}};
}

LR_INLINE void transpose(vf (&m)[4]) {
  const float32x4x2_t upper = vtrnq_f32(m[0].v, m[1].v), lower = vtrnq_f32(m[2].v, m[3].v);
  m[0] = {vcombine_f32(vget_low_f32(upper.val[0]), vget_low_f32(lower.val[0]))};
  m[1] = {vcombine_f32(vget_low_f32(upper.val[1]), vget_low_f32(lower.val[1]))};
  m[2] = {vcombine_f32(vget_high_f32(upper.val[0]), vget_high_f32(lower.val[0]))};
  m[3] = {vcombine_f32(vget_high_f32(upper.val[1]), vget_high_f32(lower.val[1]))};
}

// fma_lane: acc + b * a[lane]
#define LR_LANE_FMA 1

#if defined(__aarch64__)

template <int kLane>
LR_INLINE vf fma_lane(vf acc, vf b, vf a) {
  return {vfmaq_laneq_f32(acc.v, b.v, a.v, kLane)};
}

LR_INLINE vf operator/(vf a, vf b) { return {vdivq_f32(a.v, b.v)}; }
LR_INLINE vf sqrt(vf a) { return {vsqrtq_f32(a.v)}; }
LR_INLINE vf div_fast(vf a, vf b) { return a / b; }

LR_INLINE bool any(vi m) { return vmaxvq_u32(vreinterpretq_u32_s32(m.v)) != 0; }
LR_INLINE float hsum(vf a) { return vaddvq_f32(a.v); }
LR_INLINE float hmax(vf a) { return vmaxvq_f32(a.v); }
LR_INLINE float hmin(vf a) { return vminvq_f32(a.v); }

#else

// The fused form takes no lane here.
template <int kLane>
LR_INLINE vf fma_lane(vf acc, vf b, vf a) {
  return {vmlaq_lane_f32(acc.v, b.v, kLane < 2 ? vget_low_f32(a.v) : vget_high_f32(a.v), kLane % 2)};
}

template <int kLane>
LR_INLINE float lane(vf a) {
  return vgetq_lane_f32(a.v, kLane);
}
LR_INLINE vf from_lanes(float a, float b, float c, float d) { return {float32x4_t{a, b, c, d}}; }

LR_INLINE vf operator/(vf a, vf b) {
  return from_lanes(lane<0>(a) / lane<0>(b), lane<1>(a) / lane<1>(b), lane<2>(a) / lane<2>(b), lane<3>(a) / lane<3>(b));
}
LR_INLINE vf sqrt(vf a) {
  return from_lanes(__builtin_sqrtf(lane<0>(a)), __builtin_sqrtf(lane<1>(a)), __builtin_sqrtf(lane<2>(a)),
                    __builtin_sqrtf(lane<3>(a)));
}
// Two Newton steps on the 8-bit estimate, and a correction of the quotient by its remainder.
LR_INLINE vf div_fast(vf a, vf b) {
  b = {vminq_f32(b.v, vdupq_n_f32(__FLT_MAX__))};  // the last step would multiply infinity by zero
  float32x4_t r = vrecpeq_f32(b.v);
  r = vmulq_f32(r, vrecpsq_f32(b.v, r));
  r = vmulq_f32(r, vrecpsq_f32(b.v, r));
  const float32x4_t q = vmulq_f32(a.v, r);
  return {vfmaq_f32(q, vfmsq_f32(a.v, q, b.v), r)};
}

LR_INLINE bool any(vi m) {
  const uint32x4_t u = vreinterpretq_u32_s32(m.v);
  const uint32x2_t x = vorr_u32(vget_low_u32(u), vget_high_u32(u));
  return (vget_lane_u32(x, 0) | vget_lane_u32(x, 1)) != 0;
}
LR_INLINE float hsum(vf a) {
  const float32x2_t x = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(vpadd_f32(x, x), 0);
}
LR_INLINE float hmax(vf a) {
  const float32x2_t x = vmax_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(vpmax_f32(x, x), 0);
}
LR_INLINE float hmin(vf a) {
  const float32x2_t x = vmin_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(vpmin_f32(x, x), 0);
}

#endif

#define LR_HALF_LANES 4
LR_INLINE void half_to_floats(const uint16_t* x, float* y) {
  vst1q_f32(y, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x))));
}
LR_INLINE void floats_to_half(const float* x, uint16_t* y) {
  vst1_u16(y, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x))));
}

}  // namespace LR_TIER
}  // namespace lr
