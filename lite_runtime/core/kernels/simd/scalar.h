// simd.h for CPUs without usable vector instructions: one lane.
#pragma once

namespace lr {
namespace LR_TIER {

constexpr size_t kLanes = 1;

struct vf {
  float v;
};
struct vi {
  int32_t v;
};

LR_INLINE vf load(const float* p) { return {*p}; }
LR_INLINE void store(float* p, vf a) { *p = a.v; }
LR_INLINE vf load_part(const float*, size_t) { return {0.f}; }  // no 1 <= n < kLanes exists
LR_INLINE void store_part(float*, vf, size_t) {}
LR_INLINE vf splat(float a) { return {a}; }
LR_INLINE vi splat_i(int32_t a) { return {a}; }

LR_INLINE vf operator+(vf a, vf b) { return {a.v + b.v}; }
LR_INLINE vf operator-(vf a, vf b) { return {a.v - b.v}; }
LR_INLINE vf operator*(vf a, vf b) { return {a.v * b.v}; }
LR_INLINE vf operator/(vf a, vf b) { return {a.v / b.v}; }
LR_INLINE vi operator+(vi a, vi b) { return {static_cast<int32_t>(static_cast<uint32_t>(a.v) + b.v)}; }
LR_INLINE vi operator-(vi a, vi b) { return {static_cast<int32_t>(static_cast<uint32_t>(a.v) - b.v)}; }
LR_INLINE vi operator&(vi a, vi b) { return {a.v & b.v}; }
LR_INLINE vi operator|(vi a, vi b) { return {a.v | b.v}; }
LR_INLINE vi operator^(vi a, vi b) { return {a.v ^ b.v}; }
template <int kBits>
LR_INLINE vi shift_left(vi a) {
  return {static_cast<int32_t>(static_cast<uint32_t>(a.v) << kBits)};
}
template <int kBits>
LR_INLINE vi shift_right(vi a) {
  return {a.v >> kBits};
}

LR_INLINE vi operator<(vf a, vf b) { return {-(a.v < b.v)}; }
LR_INLINE vi operator<=(vf a, vf b) { return {-(a.v <= b.v)}; }
LR_INLINE vi operator==(vf a, vf b) { return {-(a.v == b.v)}; }
LR_INLINE vf select(vi m, vf a, vf b) { return m.v ? a : b; }
LR_INLINE bool any(vi m) { return m.v != 0; }

LR_INLINE vi bits(vf a) {
  vi r;
  __builtin_memcpy(&r, &a, sizeof r);
  return r;
}
LR_INLINE vf floats(vi a) {
  vf r;
  __builtin_memcpy(&r, &a, sizeof r);
  return r;
}
LR_INLINE vf to_float(vi a) { return {static_cast<float>(a.v)}; }

LR_INLINE vf fma(vf a, vf b, vf c) { return {a.v * b.v + c.v}; }
LR_INLINE vf min(vf a, vf b) { return {a.v < b.v ? a.v : b.v}; }
LR_INLINE vf max(vf a, vf b) { return {a.v > b.v ? a.v : b.v}; }
LR_INLINE vf abs(vf a) { return {__builtin_fabsf(a.v)}; }
LR_INLINE vf sqrt(vf a) { return {__builtin_sqrtf(a.v)}; }
LR_INLINE vf div_fast(vf a, vf b) { return a / b; }

LR_INLINE void transpose(vf (&)[1]) {}

struct Zipped {
  vf low, high;
};
LR_INLINE Zipped zip(vf a, vf b) { return {a, b}; }

LR_INLINE float hsum(vf a) { return a.v; }
LR_INLINE float hmax(vf a) { return a.v; }
LR_INLINE float hmin(vf a) { return a.v; }

}  // namespace LR_TIER
}  // namespace lr
