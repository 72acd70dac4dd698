// simd.h for float16 on 64-bit ARM with ARMv8.2's arithmetic: 8 lanes, and of the operations those that its kernels
// use.
#pragma once

#include <arm_neon.h>

namespace lr {
namespace LR_TIER {

constexpr size_t kLanes = 8;
using real = uint16_t;  // a float16 in memory

struct vf {
  float16x8_t v;
};

LR_INLINE vf load(const real* p) { return {vreinterpretq_f16_u16(vld1q_u16(p))}; }
LR_INLINE void store(real* p, vf a) { vst1q_u16(p, vreinterpretq_u16_f16(a.v)); }
LR_INLINE vf load_part(const real* p, size_t n) {
  real values[kLanes] = {};
  for (size_t i = 0; i < n; ++i) values[i] = p[i];
  return load(values);
}
LR_INLINE void store_part(real* p, vf a, size_t n) {
  real values[kLanes];
  store(values, a);
  for (size_t i = 0; i < n; ++i) p[i] = values[i];
}
LR_INLINE vf splat(float a) { return {vdupq_n_f16(static_cast<float16_t>(a))}; }

LR_INLINE vf operator+(vf a, vf b) { return {vaddq_f16(a.v, b.v)}; }
LR_INLINE vf fma(vf a, vf b, vf c) { return {vfmaq_f16(c.v, a.v, b.v)}; }
LR_INLINE vf min(vf a, vf b) { return {vminq_f16(a.v, b.v)}; }
LR_INLINE vf max(vf a, vf b) { return {vmaxq_f16(a.v, b.v)}; }

}  // namespace LR_TIER
}  // namespace lr
