// The integer GEMM micro-kernels: int8 by int8 with int32 sums, finished as int8 or as float.
//
// Weights are packed in groups of kGemmI8Depth values of k (pack.cc), the last group of a tap filled up with
// zeros: pairs for multiply-add of pairs, quads for the dot product instructions, eights for the product of two rows
// and two columns. On x86 the dot product takes unsigned values on one side: the activations plus 128, and 128 times
// the weights, which a row of sums collects, is taken off in the end.
#include "sums_i8.h"
#include "table.h"

#if !defined(LR_OWN_GEMM_I8)

namespace lr {
namespace LR_TIER {

#if LR_BLOCKS

// The sums of two rows and two columns lie together: of the rows 2p and 2p + 1 those of the first two columns in
// acc[2p][0], of the next two in acc[2p][1], then in acc[2p + 1].
template <size_t kRows>
LR_INLINE void to_blocks(Sums<kRows>& acc) {
  const auto twice = [](int64x2_t half) __attribute__((always_inline)) { return vi{vreinterpretq_s32_s64(half)}; };
  LR_UNROLL
  for (size_t r = 0; r < kRows; r += 2) {
    const int64x2_t low = vreinterpretq_s64_s32(acc[r][0].v), high = vreinterpretq_s64_s32(acc[r][1].v);
    acc[r][0] = twice(vdupq_laneq_s64(low, 0));
    acc[r][1] = twice(vdupq_laneq_s64(low, 1));
    acc[r + 1][0] = twice(vdupq_laneq_s64(high, 0));
    acc[r + 1][1] = twice(vdupq_laneq_s64(high, 1));
  }
}

LR_INLINE void zip_halves(vi& a, vi& b) {
  const int64x2_t x = vreinterpretq_s64_s32(a.v), y = vreinterpretq_s64_s32(b.v);
  a.v = vreinterpretq_s32_s64(vzip1q_s64(x, y));
  b.v = vreinterpretq_s32_s64(vzip2q_s64(x, y));
}

template <size_t kRows>
LR_INLINE void to_rows(Sums<kRows>& acc) {
  LR_UNROLL
  for (size_t r = 0; r < kRows; r += 2) {
    zip_halves(acc[r][0], acc[r][1]);
    zip_halves(acc[r + 1][0], acc[r + 1][1]);
    const vi second = acc[r][1];
    acc[r][1] = acc[r + 1][0];
    acc[r + 1][0] = second;
  }
}

// Eight values of k; those of the rows 2p and 2p + 1 are x[p].
template <size_t kRows>
LR_INLINE void add_eight(Sums<kRows>& acc, const int8x16_t (&x)[kRows / 2], const int8_t* w) {
  int8x16_t b[2 * kGemmI8Vectors];
  LR_UNROLL
  for (size_t j = 0; j < 2 * kGemmI8Vectors; ++j) b[j] = vld1q_s8(w + 16 * j);
  LR_UNROLL
  for (size_t p = 0; p < kRows / 2; ++p) {
    LR_UNROLL
    for (size_t j = 0; j < 2 * kGemmI8Vectors; ++j) {
      vi& sums = acc[2 * p + j / 2][j % 2];
      sums.v = vmmlaq_s32(sums.v, x[p], b[j]);
    }
  }
}

// The last one to seven values of k, then zeros.
LR_INLINE int8x8_t last_eight(const int8_t* x, size_t n) {
  uint64_t bytes = 0;
  for (size_t b = 0; b < n; ++b) bytes |= static_cast<uint64_t>(static_cast<uint8_t>(x[b])) << (8 * b);
  return vcreate_s8(bytes);
}

template <bool kNarrow, size_t kRows>
LR_INLINE const int8_t* add_tap(Sums<kRows>& acc, const int8_t* const (&a)[kRows], size_t k, const int8_t* w) {
  constexpr size_t kStep = 8 * kGemmI8Columns;
  size_t i = 0;
  int8x16_t x[kRows / 2];
  for (; i + 16 <= k; i += 16, w += 2 * kStep) {
    int8x16_t next[kRows / 2];
    LR_UNROLL
    for (size_t p = 0; p < kRows / 2; ++p) {
      const int64x2_t first = vreinterpretq_s64_s8(vld1q_s8(a[2 * p] + i));
      const int64x2_t second = vreinterpretq_s64_s8(vld1q_s8(a[2 * p + 1] + i));
      x[p] = vreinterpretq_s8_s64(vzip1q_s64(first, second));
      next[p] = vreinterpretq_s8_s64(vzip2q_s64(first, second));
    }
    add_eight<kRows>(acc, x, w);
    add_eight<kRows>(acc, next, w + kStep);
  }
  for (; i < k; i += 8, w += kStep) {
    const size_t left = k - i;
    LR_UNROLL
    for (size_t p = 0; p < kRows / 2; ++p) {
      const int8_t *first = a[2 * p] + i, *second = a[2 * p + 1] + i;
      x[p] = left >= 8 ? vcombine_s8(vld1_s8(first), vld1_s8(second))
                       : vcombine_s8(last_eight(first, left), last_eight(second, left));
    }
    add_eight<kRows>(acc, x, w);
  }
  return w;
}

#elif defined(__AVX512VNNI__)

#define LR_STRIPS 1
using StripValue = uint8_t;      // plus 128
constexpr size_t kAhead = 4096;  // bytes of weights that are on their way from a cache

// n values of each row, to whole vectors.
template <size_t kRows, size_t kLength>
LR_INLINE void take(const int8_t* const (&from)[kRows], size_t n, uint8_t (&to)[kRows][kLength], size_t at) {
  const __m512i shift = _mm512_set1_epi8(-128);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      _mm512_storeu_si512(to[r] + at + i, _mm512_xor_si512(shift, _mm512_loadu_si512(from[r] + i)));
    }
  }
  if (i == n) return;
  const __mmask64 rest = ~__mmask64{0} >> (64 - (n - i));
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    _mm512_storeu_si512(to[r] + at + i, _mm512_xor_si512(shift, _mm512_maskz_loadu_epi8(rest, from[r] + i)));
  }
}

template <size_t kRows, size_t kVectors, size_t kLength>
LR_INLINE const int8_t* add_strip(Sums<kRows, kVectors>& acc, const uint8_t (&x)[kRows][kLength], size_t n,
                                  const int8_t* w) {
  for (size_t i = 0; i < n; i += 4, w += 4 * kGemmI8Columns) {
    __m512i b[kVectors];
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) {
      b[j] = _mm512_loadu_si512(w + 4 * kLanes * j);
      _mm_prefetch(w + kAhead + 4 * kLanes * j, _MM_HINT_T0);
    }
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const __m512i v = _mm512_set1_epi32(read_32(x[r] + i));
      LR_UNROLL
      for (size_t j = 0; j < kVectors; ++j) {
        // Not the intrinsic, of whose operands GCC makes copies that do not fit the registers.
        __asm__("vpdpbusd %2, %1, %0" : "+v"(acc[r][j].v) : "v"(v), "v"(b[j]));
      }
    }
  }
  return w;
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

#define LR_STRIPS 1
using StripValue = int16_t;

// n values of each row, to whole pairs.
template <size_t kRows, size_t kLength>
LR_INLINE void take(const int8_t* const (&from)[kRows], size_t n, int16_t (&to)[kRows][kLength], size_t at) {
  for (size_t r = 0; r < kRows; ++r) {
    const int8_t* x = from[r];
    int16_t* y = to[r] + at;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) widen_16(x + i, y + i);
    for (; i < n; ++i) y[i] = x[i];
    y[n] = 0;
  }
}

template <size_t kRows, size_t kVectors, size_t kLength>
LR_INLINE const int8_t* add_strip(Sums<kRows, kVectors>& acc, const int16_t (&x)[kRows][kLength], size_t n,
                                  const int8_t* w) {
  const int16_t* rows[kRows];
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) rows[r] = x[r];
  for (size_t i = 0; i < n; i += 2, w += 2 * kGemmI8Columns) add_pair<kRows>(acc, rows, i, w);
  return w;
}

#else

template <bool kNarrow, size_t kRows>
LR_INLINE const int8_t* add_tap(Sums<kRows>& acc, const int8_t* const (&a)[kRows], size_t k, const int8_t* w) {
  constexpr size_t kStep = 2 * kGemmI8Columns;
  size_t i = 0;
#if defined(LR_NARROW_PAIRS)
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

#if defined(LR_STRIPS)

// The values of kRows rows as they are multiplied, from one place in the taps on: all of them, where they fit.
template <size_t kRows>
struct Strip {
  static constexpr size_t kMost = 1152;  // of a row

  // Takes what comes next; rows after `last` are that one again.
  template <class Gemm>
  LR_MEMBER void fill(const Gemm& g, size_t last) {
    fill(g.a, g.step, g.taps, g.k, last);
  }
  __attribute__((noinline)) void fill(const int8_t* const* pointers, size_t step, size_t taps, size_t all,
                                      size_t last) {
    n = 0;
    pointers += tap * step;
    while (tap < taps && n < kMost) {
      const size_t left = all - k, count = left < kMost - n ? left : kMost - n;
      const int8_t* a[kRows];
      LR_UNROLL
      for (size_t r = 0; r < kRows; ++r) a[r] = pointers[r < last ? r : last] + k;
      take(a, count, x, n);
      n += (count + kGemmI8Depth - 1) / kGemmI8Depth * kGemmI8Depth;
      k += count;
      if (k < all) continue;
      k = 0;
      ++tap;
      pointers += step;
    }
  }

  size_t tap = 0, k = 0;  // what comes next
  size_t n = 0;
  alignas(64) StripValue x[kRows][kMost + 64];  // `take` writes more than it takes
};

#endif

// kRows rows, of which the last ones may be the last row of g again unless it has so many (kWhole).
template <bool kNarrow, size_t kRows, bool kWhole, size_t kVectors = kGemmI8Vectors, class Output, class Gemm,
          class Rows>
LR_INLINE void i8_panel(const Gemm& g, const Output& output, [[maybe_unused]] Rows& rows, const int8_t* w,
                        size_t column) {
  Sums<kRows, kVectors> acc;
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    vi start = output.start(column + j * kLanes);
#if defined(__AVX512VNNI__)
    start = start + vi{_mm512_loadu_si512(w + j * sizeof start)};
#endif
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) acc[r][j] = start;
  }
#if defined(__AVX512VNNI__)
  w += kGemmI8Columns * sizeof(int32_t);
#endif
  const size_t last = kWhole ? kRows - 1 : g.rows - 1;
#if defined(LR_STRIPS)
  const bool all = rows.tap == g.taps;
  do {
    if (!all) rows.fill(g, last);
    w = add_strip(acc, rows.x, rows.n, w);
  } while (rows.tap < g.taps);
  if (!all) rows.tap = 0;
#else
#if LR_BLOCKS
  to_blocks<kRows>(acc);
#endif
  const int8_t* const* pointers = g.a;
  for (size_t t = 0; t < g.taps; ++t, pointers += g.step) {
    const int8_t* a[kRows];
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) a[r] = pointers[r < last ? r : last];
    w = add_tap<kNarrow>(acc, a, g.k, w);
  }
#if LR_BLOCKS
  to_rows<kRows>(acc);
#endif
#endif
  output.store(acc, last, column, g.n - column);
}

template <bool kNarrow, size_t kRows, class Output, bool kWhole = false, class Gemm>
static void i8_rows(const Gemm& g) {
  const Output output(g);
  const size_t depth = (g.k + kGemmI8Depth - 1) / kGemmI8Depth * kGemmI8Depth;
  const size_t panel = kGemmI8Columns * (g.taps * depth + (kGemmI8Shift != 0 ? sizeof(int32_t) : 0));
  const int8_t* w = g.w;
#if defined(LR_STRIPS)
  Strip<kRows> rows;
  if (g.taps * depth <= rows.kMost) rows.fill(g, g.rows - 1);
#else
  const int rows = 0;
#endif
  for (size_t j = 0; j < g.n; j += kGemmI8Columns, w += panel) {
#if defined(__AVX512VNNI__)
    if (g.n - j <= kLanes) {
      i8_panel<kNarrow, kRows, kWhole, 1>(g, output, rows, w, j);
      continue;
    }
#endif
    i8_panel<kNarrow, kRows, kWhole>(g, output, rows, w, j);
  }
}

template <bool kNarrow, class Output, class Gemm>
LR_INLINE void i8_product(const Gemm& g) {
#if !defined(LR_SMALL)
#if defined(__aarch64__) && !LR_IS_SCALAR  // what can be left out counts there
  if (g.rows == kGemmI8Rows) return i8_rows<kNarrow, kGemmI8Rows, Output, true>(g);
#endif
  if constexpr (kGemmI8Rows > 10) {
    if (g.rows > 7) return i8_rows<kNarrow, kGemmI8Rows, Output>(g);
    if (g.rows > 4) return i8_rows<kNarrow, 7, Output>(g);
  }
  if constexpr (kGemmI8Rows > 4) {
    if (g.rows > 4) return i8_rows<kNarrow, kGemmI8Rows, Output>(g);
  }
  constexpr size_t kFewest = LR_BLOCKS ? 2 : 1;
  if (g.rows > kFewest) return i8_rows<kNarrow, 4, Output>(g);
  i8_rows<kNarrow, kFewest, Output>(g);
#else
  i8_rows<kNarrow, kGemmI8Rows, Output>(g);
#endif
}

#if defined(LR_NARROW_PAIRS)
void gemm_i8(const GemmI8& g) { g.narrow ? i8_product<true, ToI8>(g) : i8_product<false, ToI8>(g); }
void gemm_i8_f32(const GemmI8F32& g) { g.narrow ? i8_product<true, ToF32>(g) : i8_product<false, ToF32>(g); }
#else
void gemm_i8(const GemmI8& g) { i8_product<false, ToI8>(g); }
void gemm_i8_f32(const GemmI8F32& g) { i8_product<false, ToF32>(g); }
#endif

}  // namespace LR_TIER
}  // namespace lr

#endif
