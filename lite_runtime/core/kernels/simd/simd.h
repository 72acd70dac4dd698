// Portable SIMD for one tier: the types vf (floats) and vi (int32, also lane masks of all ones or all
// zeros), kLanes of each, and about thirty operations with the same name and meaning on every tier.
// Kernels are written once over this header and compiled once per tier with that tier's flags and
// -DLR_TIER=<name>; everything lives in namespace lr::<name>, so no symbol is shared between tiers.
// For the same reason tier sources use no std:: templates or inline functions of other headers.
//
// Provided by every backend:
//   load, store           kLanes values at any address
//   load_part, store_part the first 1 <= n < kLanes values; touches nothing behind them; missing lanes read 0
//   splat, splat_i        one value in all lanes
//   + - * /               on vf;  + - & | ^ << >> (arithmetic) on vi
//   fma(a, b, c)          a * b + c, fused where the tier has it
//   min(a, b), max(a, b)  b when b is NaN; when only a is NaN, either
//   abs, sqrt             correctly rounded
//   < <= ==               on vf give masks, false for NaN
//   select(mask, a, b)    mask ? a : b
//   bits, floats          reinterpretation;  to_float: int32 to float
//   any(mask)             true if any lane is set
//   hsum, hmax, hmin      over the lanes
//   zip(a, b)             the lanes a0 b0 a1 b1 ... in two vectors
//   div_fast              a / b within 2 ulp for 2^-60 < |b| < 2^60; 0 for finite a and b = inf
//   transpose             of a square of kLanes vectors, bit for bit
// and, where the CPU converts half precision itself, LR_HALF_LANES with half_to_floats and floats_to_half.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LR_INLINE static inline __attribute__((always_inline))

// LR_IS_SCALAR: the scalar tier stays scalar whatever the compiler offers; the others use what their flags allow.
#define LR_SCALAR_scalar 1
#define LR_CONCAT_(a, b) a##b
#define LR_CONCAT(a, b) LR_CONCAT_(a, b)
#define LR_IS_SCALAR LR_CONCAT(LR_SCALAR_, LR_TIER)
// LR_IS_HALF: the kernels of kernels/half.h, whose vectors are of float16. LR_OF_TYPE gives a kernel that both kinds
// have its name.
#define LR_HALF_fp16 1
#define LR_IS_HALF LR_CONCAT(LR_HALF_, LR_TIER)
#if LR_IS_HALF
#define LR_OF_TYPE(name) name##_f16
#else
#define LR_OF_TYPE(name) name##_f32
#endif

#if LR_IS_SCALAR  // is to be small
#define LR_UNROLL
#elif defined(__clang__)
#define LR_UNROLL _Pragma("unroll")
#else
#define LR_UNROLL _Pragma("GCC unroll 32")
#endif

#if LR_IS_HALF
#include "half.h"
#elif LR_IS_SCALAR
#include "scalar.h"
#elif defined(__AVX512F__)
#include "avx512.h"
#elif defined(__SSE2__)
#include "x86.h"
#elif defined(__ARM_NEON)
#include "neon.h"
#else
#error "this tier's flags enable no instructions that simd.h knows"
#endif

namespace lr {
namespace LR_TIER {

// Has a computed here and not later. Without, clang reorders long unrolled code until its registers do not suffice.
LR_INLINE void settle([[maybe_unused]] vf& a) {
#if defined(__aarch64__) && !LR_IS_SCALAR
  asm volatile("" : "+w"(a.v));
#endif
}
// NaN stays NaN.
LR_INLINE vf clamp(vf x, vf lo, vf hi) { return min(hi, max(lo, x)); }

#if !LR_IS_HALF
using real = float;

LR_INLINE vf operator-(vf a) { return floats(bits(a) ^ splat_i(INT32_MIN)); }
LR_INLINE vf& operator+=(vf& a, vf b) { return a = a + b; }
LR_INLINE vf& operator*=(vf& a, vf b) { return a = a * b; }

LR_INLINE vi is_nan(vf x) { return (x == x) ^ splat_i(-1); }
// NaN in either operand gives NaN.
#if defined(LR_NAN_LIMITS)  // min and max do so
LR_INLINE vf max_nan(vf a, vf b) { return max(a, b); }
LR_INLINE vf min_nan(vf a, vf b) { return min(a, b); }
#else
LR_INLINE vf max_nan(vf a, vf b) { return select(is_nan(a), a, max(a, b)); }
LR_INLINE vf min_nan(vf a, vf b) { return select(is_nan(a), a, min(a, b)); }
#endif
// |a| with the sign of b.
LR_INLINE vf copysign(vf a, vf b) {
  const vi sign = splat_i(INT32_MIN);
  return floats((bits(a) & splat_i(INT32_MAX)) | (bits(b) & sign));
}
#endif

// y[i] = f(x[i]) for i < n; y may equal x.
template <class F>
LR_INLINE void map(const real* x, real* y, size_t n, F f) {
  size_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const vf a = f(load(x + i)), b = f(load(x + i + kLanes));
    store(y + i, a);
    store(y + i + kLanes, b);
  }
  for (; i < n; i += kLanes) {
    const size_t left = n - i;
    if (left < kLanes) {
      store_part(y + i, f(load_part(x + i, left)), left);
      return;
    }
    store(y + i, f(load(x + i)));
  }
}

// How many vectors functions of an instruction or two are computed of at once: 64-bit ARM loads and stores neighbours
// in pairs.
#if defined(__aarch64__) && !LR_IS_SCALAR
constexpr size_t kAtOnce = 4;
#else
constexpr size_t kAtOnce = 1;
#endif

template <size_t kVectors>
LR_INLINE void load_all(const real* p, vf (&v)[kVectors]) {
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) v[j] = load(p + j * kLanes);
}
template <size_t kVectors>
LR_INLINE void store_all(real* p, const vf (&v)[kVectors]) {
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) store(p + j * kLanes, v[j]);
}

// map for such functions.
template <class F>
LR_INLINE void map_light(const real* x, real* y, size_t n, F f) {
  constexpr size_t kBlock = kAtOnce * kLanes;
  for (; kAtOnce > 1 && n >= kBlock; n -= kBlock, x += kBlock, y += kBlock) {
    vf v[kAtOnce];
    load_all(x, v);
    LR_UNROLL
    for (size_t j = 0; j < kAtOnce; ++j) v[j] = f(v[j]);
    store_all(y, v);
  }
  map(x, y, n, f);
}

// z[i] = f(x[i], y[i]) for i < n; z may equal x or y.
template <class F>
LR_INLINE void map2(const real* x, const real* y, real* z, size_t n, F f) {
  constexpr size_t kBlock = kAtOnce * kLanes;
  for (; kAtOnce > 1 && n >= kBlock; n -= kBlock, x += kBlock, y += kBlock, z += kBlock) {
    vf v[kAtOnce], w[kAtOnce];
    load_all(x, v);
    load_all(y, w);
    LR_UNROLL
    for (size_t j = 0; j < kAtOnce; ++j) v[j] = f(v[j], w[j]);
    store_all(z, v);
  }
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(z + i, f(load(x + i), load(y + i)));
  if (i < n) store_part(z + i, f(load_part(x + i, n - i), load_part(y + i, n - i)), n - i);
}

// y[i] = f(x[i], a[i], b[i]) for i < n; y may equal any of them.
template <class F>
LR_INLINE void map3(const real* x, const real* a, const real* b, real* y, size_t n, F f) {
  constexpr size_t kBlock = kAtOnce * kLanes;
  for (; kAtOnce > 1 && n >= kBlock; n -= kBlock, x += kBlock, a += kBlock, b += kBlock, y += kBlock) {
    vf v[kAtOnce], w[kAtOnce], u[kAtOnce];
    load_all(x, v);
    load_all(a, w);
    load_all(b, u);
    LR_UNROLL
    for (size_t j = 0; j < kAtOnce; ++j) v[j] = f(v[j], w[j], u[j]);
    store_all(y, v);
  }
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i), load(a + i), load(b + i)));
  const size_t left = n - i;
  if (left == 0) return;
  store_part(y + i, f(load_part(x + i, left), load_part(a + i, left), load_part(b + i, left)), left);
}

}  // namespace LR_TIER
}  // namespace lr
