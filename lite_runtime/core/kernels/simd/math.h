// Vector math functions. Errors are the largest found against double precision over the stated range, on
// every tier (in ulp of the float result). NaN in gives NaN out; infinities give the limits. Results
// below 2^-126 are exact to the denormal step, except on 32-bit NEON, which flushes denormals to zero.
//
//   exp       1.1 ulp  full range
//   expm1     2 ulp    full range
//   log       1 ulp    full range; log(0) = -inf, log(negative) = NaN
//   log1p_01  2 ulp    0 <= x <= 1
//   sin, cos  2 ulp    |x| <= 8192 (and 1e-11 absolute near zeros); the C library's beyond
//   tanh      6 ulp    full range
//   erf       8 ulp    full range
//   sigmoid   3 ulp    full range; results below 2^-126 become 0
#pragma once

#include <math.h>

#include "simd.h"

namespace lr {
namespace LR_TIER {

// c[0] + c[1] x + ... + c[n-1] x^(n-1)
#if defined(__aarch64__) && !LR_IS_SCALAR
// A multiply-add overwrites what it adds to, so that one to a constant costs a copy: pairs need half as many.
template <size_t n, size_t i = 0>
LR_INLINE vf polynomial(vf x, const float (&c)[n]) {
  if constexpr (i + 1 == n) {
    return splat(c[i]);
  } else {
    const vf pair = fma(splat(c[i + 1]), x, splat(c[i]));
    if constexpr (i + 2 == n) {
      return pair;
    } else {
      return fma(polynomial<n, i + 2>(x, c), x * x, pair);
    }
  }
}
#else
template <size_t n, size_t i = 0>
LR_INLINE vf polynomial(vf x, const float (&c)[n]) {
  if constexpr (i + 1 == n) {
    return splat(c[i]);
  } else {
    return fma(polynomial<n, i + 1>(x, c), x, splat(c[i]));
  }
}
#endif

// Nearest integer (half to even) of |x| < 2^22, as float and as int. Adding 1.5 * 2^23 leaves the
// integer in the low bits of the sum.
struct Nearest {
  vf f;
  vi i;
  vi low;  // its low nine bits are those of i
};
LR_INLINE Nearest nearest(vf x) {
#if defined(LR_SCALE)
  const vf f = nearest_integer(x);
  return {f, to_int(f), to_int(f)};
#else
  const vf magic = splat(12582912.f);
  const vf t = x + magic;
  return {t - magic, bits(t) - bits(magic), bits(t)};
#endif
}

LR_INLINE vf round(vf x) {
  const vf magic = splat(8388608.f);  // 2^23: larger values are integers already
  const vf r = copysign((abs(x) + magic) - magic, x);
  return select(abs(x) < magic, r, x);
}
LR_INLINE vf floor(vf x) {
  const vf r = round(x);
  return copysign(r - select(x < r, splat(1.f), splat(0.f)), x);
}
LR_INLINE vf ceil(vf x) {
  const vf r = round(x);
  return copysign(r + select(r < x, splat(1.f), splat(0.f)), x);
}

// 2^n for -126 <= n <= 127.
LR_INLINE vf exp2_int(vi n) { return floats(shift_left<23>(n + splat_i(127))); }

// y * 2^n for 1/2 < y < 2, -126 <= n <= 126 and a normal result.
LR_INLINE vf times_exp2(vf y, Nearest n) {
#if defined(LR_SCALE)
  return scale(y, n.f);
#else
  return floats(bits(y) + shift_left<23>(n.low));
#endif
}

// x = n ln2 + r with |r| <= ln2 / 2; tail = (e^r - 1 - r) / r^2.
struct ExpParts {
  Nearest n;
  vf r, tail;
};
LR_INLINE ExpParts exp_parts(vf x) {
  const Nearest n = nearest(x * splat(1.44269504f));
  // ln2 in two parts; the first has 15 bits, so its product with n is exact.
  vf r = fma(n.f, splat(-0.693145752f), x);
  r = fma(n.f, splat(-1.42860677e-06f), r);
  static constexpr float kExp[] = {0.5f, 0.166665152f, 0.0416663736f, 0.00836939365f, 0.00139432598f};
  return {n, r, polynomial(r, kExp)};
}

LR_INLINE vf exp(vf x) {
  const ExpParts p = exp_parts(clamp(x, splat(-104.f), splat(89.f)));
  const vf e = fma(p.r * p.r, p.tail, p.r) + splat(1.f);
  const vi half = shift_right<1>(p.n.i);
  return e * exp2_int(half) * exp2_int(p.n.i - half);  // two steps reach denormals and overflow
}

// e^x for x <= 0 with results below 2^-126 flushed to zero: one scaling step. NaN gives any value.
LR_INLINE vf exp_nonpositive(vf x) {
  const vi vanishes = x < splat(-87.3365402f);
  const ExpParts p = exp_parts(x);  // of no use where the result vanishes
  const vf e = times_exp2(fma(p.r * p.r, p.tail, p.r) + splat(1.f), p.n);
  return select(vanishes, splat(0.f), e);
}

LR_INLINE vf expm1(vf x) {
  const ExpParts p = exp_parts(clamp(x, splat(-25.f), splat(88.f)));
  const vf e = fma(p.r * p.r, p.tail, p.r);
  const vf factor = exp2_int(p.n.i);
  const vf y = fma(e, factor, factor - splat(1.f));
  return select(splat(88.f) < x, exp(x), y);
}

// Relative error small also near x = 1: the argument minus one is exact there.
LR_INLINE vf log(vf x) {
  const vf smallest = splat(1.17549435e-38f);
  const vi denormal = x < smallest;
  const vf scaled = select(denormal, x * splat(8388608.f), x);
  // Split at sqrt(1/2): mantissa in [sqrt(1/2), sqrt(2)).
  const vi b = bits(scaled) - splat_i(0x3f3504f3);
  const vf exponent = to_float(shift_right<23>(b)) - select(denormal, splat(23.f), splat(0.f));
  const vf f = floats((b & splat_i(0x007fffff)) + splat_i(0x3f3504f3)) - splat(1.f);
  static constexpr float kLog[] = {0.333333135f,  -0.250000089f, 0.200020716f,  -0.166679889f, 0.142203599f,
                                   -0.124062404f, 0.118835382f,  -0.116700158f, 0.0674917474f};
  const vf f2 = f * f;
  vf tail = f * f2 * polynomial(f, kLog);
  tail = fma(exponent, splat(-2.12194440e-4f), tail);  // ln2 = 0.693359375 - 2.12194440e-4
  tail = fma(f2, splat(-0.5f), tail);
  vf y = fma(exponent, splat(0.693359375f), f + tail);
  y = select(x == splat(INFINITY), x, y);
  y = select(x == splat(0.f), splat(-INFINITY), y);
  return select(splat(0.f) <= x, y, splat(NAN));
}

// log(1 + x), 0 <= x <= 1: the rounding error of 1 + x is put back.
LR_INLINE vf log1p_01(vf x) {
  const vf u = splat(1.f) + x;
  return log(u) + (x - (u - splat(1.f))) / u;
}

// Quadrant q and remainder r in [-pi/4, pi/4] of |x| <= 8192, then sin or cos of r by quadrant.
LR_INLINE vf sin_quadrant(vf x, int32_t shift) {
  const Nearest q = nearest(x * splat(0.636619772f));
  // pi/2 in pieces of 11 bits, so that products with q < 2^13 are exact, and a rest.
  vf r = fma(q.f, splat(-1.5703125f), x);
  r = fma(q.f, splat(-4.837512969970703125e-4f), r);
  r = fma(q.f, splat(-7.54953362047672271728515625e-8f), r);
  r = fma(q.f, splat(-2.56334406825708960298e-12f), r);
  const vi quadrant = q.i + splat_i(shift);
  const vf z = r * r;
  static constexpr float kSin[] = {-0.166666672f, 0.0083333794f, -0.00019852983f, 2.83080158e-06f};
  static constexpr float kCos[] = {0.0416666679f, -0.00138889777f, 2.48209744e-05f, -2.87680592e-07f};
  const vf s = fma(z * r, polynomial(z, kSin), r);
  const vf c = fma(z * z, polynomial(z, kCos), fma(z, splat(-0.5f), splat(1.f)));
  const vi odd = splat_i(0) - (quadrant & splat_i(1));
  const vi sign = shift_left<30>(quadrant & splat_i(2));
  return floats(bits(select(odd, c, s)) ^ sign);
}

template <class Libm>
LR_INLINE vf sin_or_cos(vf x, int32_t shift, Libm libm) {
  const vf y = sin_quadrant(x, shift);
  const vi big = splat(8192.f) < abs(x);
  if (!any(big)) return y;
  float in[kLanes], out[kLanes];
  store(in, x);
  for (size_t i = 0; i < kLanes; ++i) out[i] = libm(in[i]);
  return select(big, load(out), y);
}
LR_INLINE vf sin(vf x) { return sin_or_cos(x, 0, sinf); }
LR_INLINE vf cos(vf x) { return sin_or_cos(x, 1, cosf); }

// x P(x^2) / Q(x^2). A little beyond the point where the function rounds to 1 the quotient exceeds 1 by more
// than its own rounding error; limited there, and the result to 1, large arguments give exactly 1.
template <size_t n>
LR_INLINE vf odd_rational(vf x, float limit, const float (&p)[n], const float (&q)[n]) {
  const vf t = clamp(x, splat(-limit), splat(limit));
  const vf z = t * t;
  return clamp(div_fast(t * polynomial(z, p), polynomial(z, q)), splat(-1.f), splat(1.f));
}

LR_INLINE vf tanh(vf x) {
  static constexpr float kP[] = {0.999999979f, 0.133797198f, 0.00349403669f, 2.05835143e-05f, 1.3319114e-08f};
  static constexpr float kQ[] = {1.f, 0.46713035f, 0.0258710814f, 0.000328309624f, 7.76203746e-07f};
  return odd_rational(x, 9.6f, kP, kQ);
}

constexpr float kErfP[] = {1.12837915f, 0.190783509f, 0.0527902448f, 0.00377959571f, 0.000284808346f, 2.04197392e-06f};
constexpr float kErfQ[] = {1.f, 0.502410202f, 0.11425739f, 0.0149974104f, 0.00116520952f, 3.80040939e-05f};
constexpr float kErfLimit = 4.15f;
LR_INLINE vf erf(vf x) { return odd_rational(x, kErfLimit, kErfP, kErfQ); }

// x (1 + erf(x / sqrt(2))) / 2; 0 below the limit of erf.
LR_INLINE vf gelu(vf x) {
  const vf y = max(splat(-kErfLimit * 1.41421356f), x), half = y * splat(0.5f);
  const vf t = min(splat(kErfLimit), y * splat(0.707106781f)), z = t * t;
  const vf e = div_fast(t * polynomial(z, kErfP), polynomial(z, kErfQ));
  return fma(half, clamp(e, splat(-1.f), splat(1.f)), half);
}

// 1 + e^-x, infinite where 1 divided by it is below 2^-126, for -89 <= x.
LR_INLINE vf logistic_divisor(vf x) {
  static constexpr float kExp[] = {1.f, 1.f, 0.5f, 0.166665152f, 0.0416663736f, 0.00836939365f, 0.00139432598f};
  const vf y = min(splat(87.f), x);
  const Nearest n = nearest(y * splat(-1.44269504f));
  vf r = fma(n.f, splat(-0.693145752f), -y);
  r = fma(n.f, splat(-1.42860677e-06f), r);
#if defined(LR_SCALE)
  return scale(polynomial(r, kExp), n.f) + splat(1.f);
#else
  return fma(polynomial(r, kExp), exp2_int(n.i), splat(1.f));  // n = 128 scales by infinity
#endif
}
LR_INLINE vf sigmoid(vf x) { return div_fast(splat(1.f), logistic_divisor(max(splat(-89.f), x))); }
// x sigmoid(x)
LR_INLINE vf swish(vf x) {
  const vf t = max(splat(-89.f), x);  // the result is zero there
  return t * div_fast(splat(1.f), logistic_divisor(t));
}

}  // namespace LR_TIER
}  // namespace lr
