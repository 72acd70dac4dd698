// The integer GEMM micro-kernels: int8 by int8 with int32 sums, finished as int8 or as float.
//
// Weights are packed in groups of kGemmI8Depth values of k (pack.cc), the last group of a tap filled up with
// zeros: pairs for multiply-add of pairs, quads for the dot product instructions. On x86 these take unsigned values on
// one side: the activations plus 128, and 128 times the weights, which a row of sums collects, is taken off in the end.
#include "simd/int8.h"
#include "table.h"
#include "tile.h"

namespace lr {
namespace LR_TIER {

template <size_t kRows>
using Sums = vi[kRows][kGemmI8Vectors];

// The last one to three values of k, then zeros.
[[maybe_unused]] LR_INLINE int32_t last_quad(const int8_t* x, size_t n) {
  uint32_t bytes = 0;
  for (size_t b = 0; b < n; ++b) bytes |= static_cast<uint32_t>(static_cast<uint8_t>(x[b])) << (8 * b);
  return static_cast<int32_t>(bytes);
}

#if defined(__ARM_FEATURE_DOTPROD)

LR_INLINE int8x16_t load_quads(const int8_t* p) { return vld1q_s8(p); }

template <size_t kRows, int kLane>
LR_INLINE void add_lane(Sums<kRows>& acc, const int8x16_t (&x)[kRows], const int8_t* w) {
  int8x16_t b[kGemmI8Vectors];
  LR_UNROLL
  for (size_t j = 0; j < kGemmI8Vectors; ++j) b[j] = load_quads(w + 16 * j);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LR_UNROLL
    for (size_t j = 0; j < kGemmI8Vectors; ++j) acc[r][j].v = vdotq_laneq_s32(acc[r][j].v, b[j], x[r], kLane);
  }
}

// Four values of k; those of row r are x(r).
template <size_t kRows, class Quad>
LR_INLINE void add_quad(Sums<kRows>& acc, const Quad& x, const int8_t* w) {
  int8x16_t a[kRows];
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) a[r] = vreinterpretq_s8_s32(vdupq_n_s32(x(r)));
  add_lane<kRows, 0>(acc, a, w);
}

// Adds the products of one tap; returns the weights of the next.
template <bool kNarrow, size_t kRows>
LR_INLINE const int8_t* add_tap(Sums<kRows>& acc, const int8_t* const (&a)[kRows], size_t k, const int8_t* w) {
  constexpr size_t kStep = 4 * kGemmI8Columns;
  size_t i = 0;
  for (; i + 16 <= k; i += 16, w += 4 * kStep) {
    int8x16_t x[kRows];
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) x[r] = vld1q_s8(a[r] + i);
    add_lane<kRows, 0>(acc, x, w);
    add_lane<kRows, 1>(acc, x, w + kStep);
    add_lane<kRows, 2>(acc, x, w + 2 * kStep);
    add_lane<kRows, 3>(acc, x, w + 3 * kStep);
  }
  for (; i + 4 <= k; i += 4, w += kStep)
    add_quad<kRows>(
        acc, [&](size_t r) { return read_32(a[r] + i); }, w);
  if (i == k) return w;
  add_quad<kRows>(
      acc, [&](size_t r) { return last_quad(a[r] + i, k - i); }, w);
  return w + kStep;
}

#elif defined(__AVX512VNNI__)

// Four values of k; those of row r are x(r).
template <size_t kRows, class Quad>
LR_INLINE void add_quad(Sums<kRows>& acc, const Quad& x, const int8_t* w) {
  const __m512i shift = _mm512_set1_epi8(-128);
  __m512i b[kGemmI8Vectors];
  LR_UNROLL
  for (size_t j = 0; j < kGemmI8Vectors; ++j) b[j] = _mm512_loadu_si512(w + 4 * kLanes * j);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    const __m512i v = _mm512_xor_si512(shift, _mm512_set1_epi32(x(r)));
    LR_UNROLL
    for (size_t j = 0; j < kGemmI8Vectors; ++j) {
      // Not the intrinsic, of whose operands GCC makes copies that do not fit the registers.
      __asm__("vpdpbusd %2, %1, %0" : "+v"(acc[r][j].v) : "v"(v), "v"(b[j]));
    }
  }
}

template <bool kNarrow, size_t kRows>
LR_INLINE const int8_t* add_tap(Sums<kRows>& acc, const int8_t* const (&a)[kRows], size_t k, const int8_t* w) {
  constexpr size_t kStep = 4 * kGemmI8Columns;
  size_t i = 0;
  for (; i + 4 <= k; i += 4, w += kStep) {
    add_quad<kRows>(
        acc, [&](size_t r) { return read_32(a[r] + i); }, w);
  }
  if (i == k) return w;
  add_quad<kRows>(
      acc, [&](size_t r) { return last_quad(a[r] + i, k - i); }, w);
  return w + kStep;
}

#else

LR_INLINE void load_columns(vp (&b)[kGemmI8Vectors], const int8_t* w) {
  LR_UNROLL
  for (size_t j = 0; j < kGemmI8Vectors; ++j) b[j] = load_pairs(w + 2 * kLanes * j);
}

template <size_t kRows>
LR_INLINE void add_pair(Sums<kRows>& acc, const PairElement* const (&x)[kRows], size_t i, const int8_t* w) {
  vp b[kGemmI8Vectors];
  load_columns(b, w);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    const vp v = splat_pair(x[r] + i);
    LR_UNROLL
    for (size_t j = 0; j < kGemmI8Vectors; ++j) acc[r][j] = dot(acc[r][j], v, b[j]);
  }
}

#if defined(LR_WIDE_PAIRS)

constexpr size_t kStrip = 64;  // values of k widened at a time

LR_INLINE void widen(const int8_t* from, size_t n, int16_t* to) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) widen_16(from + i, to + i);
  for (; i < n; ++i) to[i] = from[i];
  to[n] = 0;
}

template <bool kNarrow, size_t kRows>
LR_INLINE const int8_t* add_tap(Sums<kRows>& acc, const int8_t* const (&a)[kRows], size_t k, const int8_t* w) {
  int16_t wide[kRows][kStrip + 1];
  const int16_t* x[kRows];
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) x[r] = wide[r];
  for (size_t start = 0; start < k; start += kStrip) {
    const size_t n = k - start < kStrip ? k - start : kStrip;
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) widen(a[r] + start, n, wide[r]);
    for (size_t i = 0; i < n; i += 2, w += 2 * kGemmI8Columns) add_pair<kRows>(acc, x, i, w);
  }
  return w;
}

#else

template <bool kNarrow, size_t kRows>
LR_INLINE const int8_t* add_tap(Sums<kRows>& acc, const int8_t* const (&a)[kRows], size_t k, const int8_t* w) {
  constexpr size_t kStep = 2 * kGemmI8Columns;
  size_t i = 0;
#if LR_CONCAT(LR_BACKEND_, LR_TIER) == 3
  for (; kNarrow && i + 4 <= k; i += 4, w += 2 * kStep) {
    vp b0[kGemmI8Vectors], b1[kGemmI8Vectors];
    load_columns(b0, w);
    load_columns(b1, w + kStep);
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const vp x0 = splat_pair(a[r] + i), x1 = splat_pair(a[r] + i + 2);
      LR_UNROLL
      for (size_t j = 0; j < kGemmI8Vectors; ++j) acc[r][j] = dot_narrow(acc[r][j], x0, b0[j], x1, b1[j]);
    }
  }
#endif
  for (; i + 2 <= k; i += 2, w += kStep) add_pair<kRows>(acc, a, i, w);
  if (i == k) return w;
  int8_t last[kRows][2];
  const int8_t* x[kRows];
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    last[r][0] = a[r][i];
    last[r][1] = 0;
    x[r] = last[r];
  }
  add_pair<kRows>(acc, x, 0, w);
  return w + kStep;
}

#endif
#endif

// How sums become results: start(column) is what a vector of sums begins with; store puts kRows rows of them away, of
// which `left` columns are wanted; rows after `last` are that one again. Bytes may alias anything, so what is needed
// for every row is read before the first is stored.
struct ToI8 {
  const GemmI8& g;
  Limits limits;
  LR_MEMBER explicit ToI8(const GemmI8& gemm) : g(gemm), limits(gemm.zero, gemm.lo, gemm.hi) {}
  LR_MEMBER vi start(size_t column) const { return load_i(g.bias + column); }
  template <size_t kRows>
  LR_MEMBER void store(const Sums<kRows>& acc, size_t last, size_t column, size_t left) const {
    const Limits bounds = limits;
    vf scale[kGemmI8Vectors];
    LR_UNROLL
    for (size_t j = 0; j < kGemmI8Vectors; ++j) scale[j] = load(g.scale + column + j * kLanes);
    int8_t bytes[kRows * kGemmI8Columns];
    int8_t* const c = g.c + column;
    const size_t stride = g.c_stride;
    const bool whole = left >= kGemmI8Columns;
    int8_t* to = whole ? c : bytes;
    const size_t step = whole ? stride : kGemmI8Columns;
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r, to += r <= last ? step : 0) store_row<kRows>(acc, r, scale, bounds, to);
    for (size_t r = 0; !whole && r <= last; ++r) copy_part<kGemmI8Columns>(c + r * stride, bytes + r * step, left);
  }
  template <size_t kRows>
  LR_MEMBER static void store_row(const Sums<kRows>& acc, size_t row, const vf (&scale)[kGemmI8Vectors],
                                  const Limits& bounds, int8_t* to) {
    vf x[kGemmI8Vectors];
    LR_UNROLL
    for (size_t j = 0; j < kGemmI8Vectors; ++j) x[j] = to_float(acc[row][j]) * scale[j];
    LR_UNROLL
    for (size_t j = 0; j < kGemmI8Vectors; j += kTogether) store_together(to + j * kLanes, x + j, bounds);
  }
};

struct ToF32 {
  const GemmI8F32& g;
  vf lo, hi;
  LR_MEMBER explicit ToF32(const GemmI8F32& gemm) : g(gemm), lo(splat(gemm.lo)), hi(splat(gemm.hi)) {}
  LR_MEMBER vi start(size_t) const { return splat_i(0); }
  template <size_t kRows>
  LR_MEMBER void store(const Sums<kRows>& acc, size_t last, size_t column, size_t left) const {
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      LR_UNROLL
      for (size_t j = 0; j < kGemmI8Vectors; ++j) {
        const size_t at = column + j * kLanes;
        const vf y = clamp(to_float(acc[r][j]) * load(g.scale + at) + load(g.offset + at), lo, hi);
        float* to = g.c + (r < last ? r : last) * g.c_stride + at;
        if (left >= (j + 1) * kLanes) {
          lr::LR_TIER::store(to, y);
        } else if (left > j * kLanes) {
          store_part(to, y, left - j * kLanes);
        }
      }
    }
  }
};

// kRows rows, of which the last ones may be the last row of g again.
template <bool kNarrow, size_t kRows, class Output, class Gemm>
LR_INLINE void i8_panel(const Gemm& g, const Output& output, const int8_t* w, size_t column) {
  Sums<kRows> acc;
  LR_UNROLL
  for (size_t j = 0; j < kGemmI8Vectors; ++j) {
    vi start = output.start(column + j * kLanes);
#if defined(__AVX512VNNI__)
    start = start + vi{_mm512_loadu_si512(w)};
    w += sizeof start;
#endif
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) acc[r][j] = start;
  }
  const size_t last = g.rows - 1;
  const int8_t* const* pointers = g.a;
  for (size_t t = 0; t < g.taps; ++t, pointers += g.rows) {
    const int8_t* a[kRows];
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) a[r] = pointers[r < last ? r : last];
    w = add_tap<kNarrow, kRows>(acc, a, g.k, w);
  }
  output.template store<kRows>(acc, last, column, g.n - column);
}

template <bool kNarrow, size_t kRows, class Output, class Gemm>
static void i8_rows(const Gemm& g) {
  const Output output(g);
  const size_t depth = (g.k + kGemmI8Depth - 1) / kGemmI8Depth * kGemmI8Depth;
  const size_t panel = kGemmI8Columns * (g.taps * depth + (kGemmI8Shift != 0 ? sizeof(int32_t) : 0));
  const int8_t* w = g.w;
  for (size_t j = 0; j < g.n; j += kGemmI8Columns, w += panel) i8_panel<kNarrow, kRows>(g, output, w, j);
}

template <bool kNarrow, class Output, class Gemm>
LR_INLINE void i8_product(const Gemm& g) {
#if !defined(LR_SMALL)
  if constexpr (kGemmI8Rows > 10) {
    if (g.rows > 7) return i8_rows<kNarrow, kGemmI8Rows, Output>(g);
    if (g.rows > 4) return i8_rows<kNarrow, 7, Output>(g);
  }
  if constexpr (kGemmI8Rows > 4) {
    if (g.rows > 4) return i8_rows<kNarrow, kGemmI8Rows, Output>(g);
  }
  if (g.rows > 1) return i8_rows<kNarrow, 4, Output>(g);
  i8_rows<kNarrow, 1, Output>(g);
#else
  i8_rows<kNarrow, kGemmI8Rows, Output>(g);
#endif
}

#if LR_CONCAT(LR_BACKEND_, LR_TIER) == 3 && !defined(__ARM_FEATURE_DOTPROD)
void gemm_i8(const GemmI8& g) { g.narrow ? i8_product<true, ToI8>(g) : i8_product<false, ToI8>(g); }
void gemm_i8_f32(const GemmI8F32& g) { g.narrow ? i8_product<true, ToF32>(g) : i8_product<false, ToF32>(g); }
#else
void gemm_i8(const GemmI8& g) { i8_product<false, ToI8>(g); }
void gemm_i8_f32(const GemmI8F32& g) { i8_product<false, ToF32>(g); }
#endif

}  // namespace LR_TIER
}  // namespace lr
