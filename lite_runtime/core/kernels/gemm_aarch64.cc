// The tile of the GEMM on 64-bit ARM, of float32 and of float16, written by hand: compilers form neither loads of
// several registers nor loads that advance their address, and these are what is left to save beside the multiply-adds.
//
// Four rows or fewer by up to four vectors of columns. Eight k at a time: a pair of vectors per row, one of float16,
// used lane by lane, and one load of all column vectors per k. Registers:
//   v0-v7    rows: row r in v(2r), the next four k of float32 in v(2r+1)
//   v8-v11, v12-v15  columns of weights, in turn
//   v16-v31  sums: column vector j of row r in v(16 + 4r + j)
#include "tile.h"

#if defined(LR_OWN_GEMM)

#include "half.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// clang-format off

// Vectors and elements.
#if LR_IS_HALF
#define LR_V(v) "v" #v ".8h"
#define LR_E(v, lane) "v" #v ".h[" #lane "]"
#else
#define LR_V(v) "v" #v ".4s"
#define LR_E(v, lane) "v" #v ".s[" #lane "]"
#endif

// One row of a step: its sums += the vectors b of weights * lane `l` of v(a).
#define LR_ROW(r, s0, s1, s2, s3, a, l, b0, b1, b2, b3)                                         \
  ".if %c[rows] > " #r "\n"                                                                     \
  "fmla " LR_V(s0) ", " LR_V(b0) ", " LR_E(a, l) "\n"                                           \
  ".if %c[vectors] > 1\n fmla " LR_V(s1) ", " LR_V(b1) ", " LR_E(a, l) "\n .endif\n"  \
  ".if %c[vectors] > 2\n fmla " LR_V(s2) ", " LR_V(b2) ", " LR_E(a, l) "\n .endif\n"  \
  ".if %c[vectors] > 3\n fmla " LR_V(s3) ", " LR_V(b3) ", " LR_E(a, l) "\n .endif\n"  \
  ".endif\n"
#define LR_ROWS(a0, a1, a2, a3, l, b0, b1, b2, b3)  \
  LR_ROW(0, 16, 17, 18, 19, a0, l, b0, b1, b2, b3)  \
  LR_ROW(1, 20, 21, 22, 23, a1, l, b0, b1, b2, b3)  \
  LR_ROW(2, 24, 25, 26, 27, a2, l, b0, b1, b2, b3)  \
  LR_ROW(3, 28, 29, 30, 31, a3, l, b0, b1, b2, b3)
#define LR_EVEN(a0, a1, a2, a3, l) LR_ROWS(a0, a1, a2, a3, l, 8, 9, 10, 11)
#define LR_ODD(a0, a1, a2, a3, l) LR_ROWS(a0, a1, a2, a3, l, 12, 13, 14, 15)

// The same instruction for every row.
#define LR_EACH_ROW(row0, row1, row2, row3)  \
  row0 "\n"                                  \
  ".if %c[rows] > 1\n" row1 "\n .endif\n"    \
  ".if %c[rows] > 2\n" row2 "\n .endif\n"    \
  ".if %c[rows] > 3\n" row3 "\n .endif\n"

// Loads or stores as many of the registers as there are vectors.
#define LR_MOVE(what, v0, v1, v2, v3, address)                                                         \
  ".if %c[vectors] == 1\n" what " {" LR_V(v0) "}, " address "\n .endif\n"                              \
  ".if %c[vectors] == 2\n" what " {" LR_V(v0) ", " LR_V(v1) "}, " address "\n .endif\n"                \
  ".if %c[vectors] == 3\n" what " {" LR_V(v0) ", " LR_V(v1) ", " LR_V(v2) "}, " address "\n .endif\n"  \
  ".if %c[vectors] == 4\n" what " {" LR_V(v0) ", " LR_V(v1) ", " LR_V(v2) ", " LR_V(v3) "}, " address "\n .endif\n"
#define LR_LOAD_EVEN LR_MOVE("ld1", 8, 9, 10, 11, "[%[w]], %[next]")
#define LR_LOAD_ODD LR_MOVE("ld1", 12, 13, 14, 15, "[%[w]], %[next]")
#define LR_MOVE_SUMS(what, address)                                                            \
  LR_EACH_ROW(LR_MOVE(what, 16, 17, 18, 19, address), LR_MOVE(what, 20, 21, 22, 23, address),  \
              LR_MOVE(what, 24, 25, 26, 27, address), LR_MOVE(what, 28, 29, 30, 31, address))

// Eight k: a pair of vectors of each row and as many loads of weights.
#if LR_IS_HALF
#define LR_EIGHT_STEPS                                                                                         \
  LR_LOAD_EVEN                                                                                                 \
  LR_EACH_ROW("ldr q0, [%[a0]], #16", "ldr q2, [%[a1]], #16", "ldr q4, [%[a2]], #16", "ldr q6, [%[a3]], #16")  \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 0)                                                                           \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 1)                                                                           \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 2)                                                                           \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 3)                                                                           \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 4)                                                                           \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 5)                                                                           \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 6)                                                                           \
  LR_ODD(0, 2, 4, 6, 7)
#define LR_FOUR_OF_ROWS  \
  LR_EACH_ROW("ldr d0, [%[a0]], #8", "ldr d2, [%[a1]], #8", "ldr d4, [%[a2]], #8", "ldr d6, [%[a3]], #8")
#define LR_ONE_OF_ROWS  \
  LR_EACH_ROW("ldr h0, [%[a0]], #2", "ldr h2, [%[a1]], #2", "ldr h4, [%[a2]], #2", "ldr h6, [%[a3]], #2")
#define LR_LOAD_LIMITS "ldp s0, s1, [%[limits]]\n fcvt h0, s0\n fcvt h1, s1\n"
#else
#define LR_EIGHT_STEPS                                                                             \
  LR_LOAD_EVEN                                                                                     \
  LR_EACH_ROW("ldp q0, q1, [%[a0]], #32", "ldp q2, q3, [%[a1]], #32", "ldp q4, q5, [%[a2]], #32",  \
              "ldp q6, q7, [%[a3]], #32")                                                          \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 0)                                                               \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 1)                                                               \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 2)                                                               \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 3)                                                               \
  LR_LOAD_ODD LR_EVEN(1, 3, 5, 7, 0)                                                               \
  LR_LOAD_EVEN LR_ODD(1, 3, 5, 7, 1)                                                               \
  LR_LOAD_ODD LR_EVEN(1, 3, 5, 7, 2)                                                               \
  LR_ODD(1, 3, 5, 7, 3)
#define LR_FOUR_OF_ROWS  \
  LR_EACH_ROW("ldr q0, [%[a0]], #16", "ldr q2, [%[a1]], #16", "ldr q4, [%[a2]], #16", "ldr q6, [%[a3]], #16")
#define LR_ONE_OF_ROWS  \
  LR_EACH_ROW("ldr s0, [%[a0]], #4", "ldr s2, [%[a1]], #4", "ldr s4, [%[a2]], #4", "ldr s6, [%[a3]], #4")
#define LR_LOAD_LIMITS "ldp s0, s1, [%[limits]]\n"
#endif

// The sums of a row += what its results hold so far.
#define LR_ADD_ROW(s0, s1, s2, s3)                                                 \
  LR_MOVE("ld1", 0, 1, 2, 3, "[%[a]], %[stride]")                                  \
  "fadd " LR_V(s0) ", " LR_V(s0) ", " LR_V(0) "\n"                                 \
  ".if %c[vectors] > 1\n fadd " LR_V(s1) ", " LR_V(s1) ", " LR_V(1) "\n .endif\n"  \
  ".if %c[vectors] > 2\n fadd " LR_V(s2) ", " LR_V(s2) ", " LR_V(2) "\n .endif\n"  \
  ".if %c[vectors] > 3\n fadd " LR_V(s3) ", " LR_V(s3) ", " LR_V(3) "\n .endif\n"
#define LR_ADD_RESULTS                                                 \
  LR_EACH_ROW(LR_ADD_ROW(16, 17, 18, 19), LR_ADD_ROW(20, 21, 22, 23),  \
              LR_ADD_ROW(24, 25, 26, 27), LR_ADD_ROW(28, 29, 30, 31))

// All sums = f(sum, v0).
#define LR_LIMIT_ROW(f, s0, s1, s2, s3)                                            \
  f " " LR_V(s0) ", " LR_V(s0) ", " LR_V(0) "\n"                                   \
  ".if %c[vectors] > 1\n" f " " LR_V(s1) ", " LR_V(s1) ", " LR_V(0) "\n .endif\n"  \
  ".if %c[vectors] > 2\n" f " " LR_V(s2) ", " LR_V(s2) ", " LR_V(0) "\n .endif\n"  \
  ".if %c[vectors] > 3\n" f " " LR_V(s3) ", " LR_V(s3) ", " LR_V(0) "\n .endif\n"
#define LR_LIMIT(f)                                                              \
  LR_EACH_ROW(LR_LIMIT_ROW(f, 16, 17, 18, 19), LR_LIMIT_ROW(f, 20, 21, 22, 23),  \
              LR_LIMIT_ROW(f, 24, 25, 26, 27), LR_LIMIT_ROW(f, 28, 29, 30, 31))

// clang-format on

// One panel's width of a product for `tiles` tiles of kRows rows each; kVectors vectors of row r go to c + r *
// c_stride. The pointers of a tile's rows start at a, those of the next tap g.rows pointers behind.
struct Strip {
  const real* const* a;
  const real *start, *w;  // what the sums of every row begin with, and the panel's weights
  real* c;
  size_t c_stride, tiles;
  bool adds;  // to what is there, in place of setting it
};

// The bounds that can change a sum: 1 for the lower, 2 for the upper.
LR_INLINE size_t bounds(const Gemm<real>& g) {
  return static_cast<size_t>(g.lo > -__builtin_inff()) + 2 * static_cast<size_t>(g.hi < __builtin_inff());
}
static_assert(offsetof(Gemm<real>, hi) == offsetof(Gemm<real>, lo) + sizeof(float), "loaded as a pair");

template <size_t kRows, size_t kVectors>
LR_INLINE void gemm_strip(const Gemm<real>& g, size_t bounds, Strip s) {
  const real *const *a, *w, *a0, *a1, *a2, *a3;
  size_t taps, count;
  // clang-format off
  asm volatile(
      ".Ltile%=:\n"
      LR_MOVE_SUMS("ld1", "[%[start]]")
      "mov %[w], %[weights]\n"
      "mov %[a], %[first]\n"
      "mov %[taps], %[all_taps]\n"
      "cbz %[taps], .Lsums%=\n"
      ".Ltap%=:\n"
      ".if %c[rows] == 1\n"
      "ldr %[a0], [%[a]]\n"
      ".else\n"
      "ldp %[a0], %[a1], [%[a]]\n"
      ".endif\n"
      ".if %c[rows] == 3\n"
      "ldr %[a2], [%[a], #16]\n"
      ".elseif %c[rows] == 4\n"
      "ldp %[a2], %[a3], [%[a], #16]\n"
      ".endif\n"
      "add %[a], %[a], %[tap]\n"
      ".if %c[rows] == 4 && %c[vectors] == 4\n"
      // 32 k a turn, the first of which may begin in the middle.
      "add %[count], %[k], #16\n"
      "lsr %[count], %[count], #5\n"
      "tbnz %[k], #4, .Lsixteen%=\n"
      "cbz %[count], .Lless%=\n"
      ".Lthirtytwo%=:\n"
      LR_EIGHT_STEPS
      LR_EIGHT_STEPS
      ".Lsixteen%=:\n"
      "subs %[count], %[count], #1\n"
      LR_EIGHT_STEPS
      LR_EIGHT_STEPS
      "b.ne .Lthirtytwo%=\n"
      ".Lless%=:\n"
      "tst %[k], #15\n"
      "b.eq .Lnext%=\n"
      "tbz %[k], #3, .Lfour%=\n"
      LR_EIGHT_STEPS
      ".else\n"
      "lsr %[count], %[k], #3\n"
      "cbz %[count], .Lfour%=\n"
      ".Leight%=:\n"
      LR_EIGHT_STEPS
      "subs %[count], %[count], #1\n"
      "b.ne .Leight%=\n"
      ".endif\n"
      ".Lfour%=:\n"
      "tbz %[k], #2, .Lrest%=\n"
      LR_LOAD_EVEN
      LR_FOUR_OF_ROWS
      LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 0)
      LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 1)
      LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 2)
      LR_ODD(0, 2, 4, 6, 3)
      ".Lrest%=:\n"
      "ands %[count], %[k], #3\n"
      "b.eq .Lnext%=\n"
      ".Lone%=:\n"
      LR_LOAD_EVEN
      LR_ONE_OF_ROWS
      LR_EVEN(0, 2, 4, 6, 0)
      "subs %[count], %[count], #1\n"
      "b.ne .Lone%=\n"
      ".Lnext%=:\n"
      "subs %[taps], %[taps], #1\n"
      "b.ne .Ltap%=\n"
      ".Lsums%=:\n"
      ".if %c[parts]\n"
      "cbz %[adds], .Llimit%=\n"
      "mov %[a], %[c]\n"
      LR_ADD_RESULTS
      ".Llimit%=:\n"
      ".endif\n"
      "cbz %[bounds], .Lstore%=\n"
      LR_LOAD_LIMITS
      "tbz %[bounds], #0, .Lhigh%=\n"
      "dup " LR_V(0) ", " LR_E(0, 0) "\n"
      LR_LIMIT("fmax")
      ".Lhigh%=:\n"
      "tbz %[bounds], #1, .Lstore%=\n"
      "dup " LR_V(0) ", " LR_E(1, 0) "\n"
      LR_LIMIT("fmin")
      ".Lstore%=:\n"
      LR_MOVE_SUMS("st1", "[%[c]], %[stride]")
      "add %[first], %[first], #32\n"
      "subs %[tiles], %[tiles], #1\n"
      "b.ne .Ltile%=\n"
      : [first] "+r"(s.a), [c] "+r"(s.c), [tiles] "+r"(s.tiles), [w] "=&r"(w), [a] "=&r"(a), [taps] "=&r"(taps),
        [count] "=&r"(count), [a0] "=&r"(a0), [a1] "=&r"(a1), [a2] "=&r"(a2), [a3] "=&r"(a3)
      : [rows] "i"(kRows), [vectors] "i"(kVectors), [parts] "i"(sizeof(real) < sizeof(float)), [start] "r"(s.start), [weights] "r"(s.w),
        [next] "r"(kGemmColumns * sizeof(real)), [adds] "r"(size_t{s.adds}), [tap] "r"(g.rows * sizeof(real*)), [all_taps] "r"(g.taps), [k] "r"(g.k), [bounds] "r"(bounds),
        [stride] "r"(s.c_stride * sizeof(real)), [limits] "r"(&g.lo)
      : "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
        "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
        "v31");
  // clang-format on
}

// As a function, of which there is one of each size.
template <size_t kRows, size_t kVectors>
__attribute__((noinline)) static void strip(const Gemm<real>& g, size_t bounds, const Strip& s) {
  gemm_strip<kRows, kVectors>(g, bounds, s);
}
using RunStrip = void (*)(const Gemm<real>& g, size_t bounds, const Strip& s);
static const RunStrip kOneRow[] = {strip<1, 1>, strip<1, 2>, strip<1, 3>, strip<1, 4>};
static const RunStrip kFourRows[] = {strip<4, 1>, strip<4, 2>, strip<4, 3>, strip<4, 4>};
static const RunStrip kAllColumns[] = {strip<1, 4>, strip<2, 4>, strip<3, 4>, strip<4, 4>};

// The same for fewer rows or the last columns of the matrix.
static void gemm_edge(const Gemm<real>& g, size_t bounds, Strip s, size_t rows, size_t columns) {
  const size_t vectors = columns < kGemmColumns ? (columns + kLanes - 1) / kLanes : kGemmVectors;
  if (vectors < kGemmVectors && (rows == 2 || rows == 3)) {  // seldom
    for (size_t r = 0; r < rows; ++r, ++s.a, s.c += s.c_stride) gemm_edge(g, bounds, s, 1, columns);
    return;
  }
  const RunStrip run = vectors == kGemmVectors ? kAllColumns[rows - 1] : (rows == 1 ? kOneRow : kFourRows)[vectors - 1];
  if (columns >= vectors * kLanes) return run(g, bounds, s);
  real results[4 * kGemmColumns] = {};
  for (size_t tile = 0; tile < s.tiles; ++tile) {
    real* c = s.c + tile * rows * s.c_stride;
    for (size_t r = 0; s.adds && r < rows; ++r) {
      for (size_t j = 0; j < columns; ++j) results[r * kGemmColumns + j] = c[r * s.c_stride + j];
    }
    run(g, bounds, {s.a + 4 * tile, s.start, s.w, results, kGemmColumns, 1, s.adds});
    for (size_t r = 0; r < rows; ++r) {
      for (size_t j = 0; j < columns; ++j) c[r * s.c_stride + j] = results[r * kGemmColumns + j];
    }
  }
}

// All rows of a panel's width.
static void gemm_panel(const Gemm<real>& g, size_t bounds, Strip s, size_t columns) {
  s.tiles = g.rows / 4;
  const size_t rest = g.rows % 4;
  if (s.tiles > 0 && columns >= kGemmColumns) {
    strip<4, kGemmVectors>(g, bounds, s);
  } else if (s.tiles > 0) {
    gemm_edge(g, bounds, s, 4, columns);
  }
  s.a += 4 * s.tiles;
  s.c += 4 * s.tiles * s.c_stride;
  s.tiles = 1;
  if (rest > 0) gemm_edge(g, bounds, s, rest, columns);
}

#if LR_IS_HALF

// A panel's width as the sum of parts: as many taps, or as many k of a tap, as make about kHalfTerms products.
static void gemm_parts(const Gemm<real>& g, size_t limits, const real* panel, real* c, size_t columns) {
  static const real zeros[kGemmColumns] = {};
  const size_t k_parts = (g.k + kHalfTerms - 1) / kHalfTerms, k_most = ((g.k + k_parts - 1) / k_parts + 7) / 8 * 8;
  const size_t taps_most = k_parts > 1 ? 1 : kHalfTerms / g.k;
  const real* a[kGemmRows];
  for (size_t tap = 0; tap < g.taps; tap += taps_most) {
    Gemm<real> part = g;
    part.taps = g.taps - tap < taps_most ? g.taps - tap : taps_most;
    const real* const* rows = g.a + tap * g.rows;
    for (size_t k = 0; k < g.k; k += k_most) {
      part.k = g.k - k < k_most ? g.k - k : k_most;
      for (size_t r = 0; k > 0 && r < g.rows; ++r) a[r] = rows[r] + k;
      const bool first = tap + k == 0, last = tap + part.taps == g.taps && k + part.k == g.k;
      const real* w = panel + kGemmColumns * (1 + tap * g.k + k);
      gemm_panel(part, last ? limits : 0, {k > 0 ? a : rows, first ? panel : zeros, w, c, g.c_stride, 0, !first},
                 columns);
    }
  }
}

#endif

void LR_OF_TYPE(gemm)(const Gemm<real>& g) {
  const size_t panel = kGemmColumns * (1 + g.taps * g.k), limits = bounds(g);
  const real* w = g.w;
  real* c = g.c;
  for (size_t j = 0; j < g.n; j += kGemmColumns, w += panel, c += kGemmColumns) {
#if LR_IS_HALF
    if (g.taps * g.k > kHalfTerms) {
      gemm_parts(g, limits, w, c, g.n - j);
      continue;
    }
#endif
    gemm_panel(g, limits, {g.a, w, w + kGemmColumns, c, g.c_stride, 0, false}, g.n - j);
  }
}

}  // namespace LR_TIER
}  // namespace lr

#endif
