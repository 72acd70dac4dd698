// The tile of the float GEMM on 64-bit ARM, written by hand: compilers form neither loads of several registers nor
// loads that advance their address, and these are what is left to save beside the multiply-adds.
//
// Four rows or fewer by up to four vectors of columns. Eight k at a time: a pair of vectors per row, used lane
// by lane, and one load of all column vectors per k. Registers:
//   v0-v7    rows: row r in v(2r), the next four k in v(2r+1)
//   v8-v11, v12-v15  columns of weights, in turn
//   v16-v31  sums: column vector j of row r in v(16 + 4r + j)
#include "tile.h"

#if defined(LR_OWN_GEMM)

#include "table.h"

namespace lr {
namespace LR_TIER {

// clang-format off

// One row of a step: its sums += the vectors b of weights * lane `l` of v(a).
#define LR_ROW(r, s0, s1, s2, s3, a, l, b0, b1, b2, b3)                                      \
  ".if %c[rows] > " #r "\n"                                                                  \
  "fmla v" #s0 ".4s, v" #b0 ".4s, v" #a ".s[" #l "]\n"                                       \
  ".if %c[vectors] > 1\n fmla v" #s1 ".4s, v" #b1 ".4s, v" #a ".s[" #l "]\n .endif\n"        \
  ".if %c[vectors] > 2\n fmla v" #s2 ".4s, v" #b2 ".4s, v" #a ".s[" #l "]\n .endif\n"        \
  ".if %c[vectors] > 3\n fmla v" #s3 ".4s, v" #b3 ".4s, v" #a ".s[" #l "]\n .endif\n"        \
  ".endif\n"
#define LR_ROWS(a0, a1, a2, a3, l, b0, b1, b2, b3) \
  LR_ROW(0, 16, 17, 18, 19, a0, l, b0, b1, b2, b3) \
  LR_ROW(1, 20, 21, 22, 23, a1, l, b0, b1, b2, b3) \
  LR_ROW(2, 24, 25, 26, 27, a2, l, b0, b1, b2, b3) \
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
#define LR_MOVE(what, v0, v1, v2, v3, address)                                                                      \
  ".if %c[vectors] == 1\n" what " {v" #v0 ".4s}, " address "\n .endif\n"                                            \
  ".if %c[vectors] == 2\n" what " {v" #v0 ".4s, v" #v1 ".4s}, " address "\n .endif\n"                               \
  ".if %c[vectors] == 3\n" what " {v" #v0 ".4s, v" #v1 ".4s, v" #v2 ".4s}, " address "\n .endif\n"                  \
  ".if %c[vectors] == 4\n" what " {v" #v0 ".4s, v" #v1 ".4s, v" #v2 ".4s, v" #v3 ".4s}, " address "\n .endif\n"
#define LR_LOAD_EVEN LR_MOVE("ld1", 8, 9, 10, 11, "[%[w]], %[next]")
#define LR_LOAD_ODD LR_MOVE("ld1", 12, 13, 14, 15, "[%[w]], %[next]")
#define LR_MOVE_SUMS(what, address)                                                                \
  LR_EACH_ROW(LR_MOVE(what, 16, 17, 18, 19, address), LR_MOVE(what, 20, 21, 22, 23, address),      \
              LR_MOVE(what, 24, 25, 26, 27, address), LR_MOVE(what, 28, 29, 30, 31, address))

// Eight k: a pair of vectors of each row and as many loads of weights.
#define LR_EIGHT_STEPS                                                                                     \
  LR_LOAD_EVEN                                                                                             \
  LR_EACH_ROW("ldp q0, q1, [%[a0]], #32", "ldp q2, q3, [%[a1]], #32", "ldp q4, q5, [%[a2]], #32",          \
              "ldp q6, q7, [%[a3]], #32")                                                                  \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 0)                                                                       \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 1)                                                                       \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 2)                                                                       \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 3)                                                                       \
  LR_LOAD_ODD LR_EVEN(1, 3, 5, 7, 0)                                                                       \
  LR_LOAD_EVEN LR_ODD(1, 3, 5, 7, 1)                                                                       \
  LR_LOAD_ODD LR_EVEN(1, 3, 5, 7, 2)                                                                       \
  LR_ODD(1, 3, 5, 7, 3)

// All sums = f(sum, v0).
#define LR_LIMIT_ROW(f, s0, s1, s2, s3)                                                        \
  f " v" #s0 ".4s, v" #s0 ".4s, v0.4s\n"                                                       \
  ".if %c[vectors] > 1\n" f " v" #s1 ".4s, v" #s1 ".4s, v0.4s\n .endif\n"                      \
  ".if %c[vectors] > 2\n" f " v" #s2 ".4s, v" #s2 ".4s, v0.4s\n .endif\n"                      \
  ".if %c[vectors] > 3\n" f " v" #s3 ".4s, v" #s3 ".4s, v0.4s\n .endif\n"
#define LR_LIMIT(f)                                                                 \
  LR_EACH_ROW(LR_LIMIT_ROW(f, 16, 17, 18, 19), LR_LIMIT_ROW(f, 20, 21, 22, 23),     \
              LR_LIMIT_ROW(f, 24, 25, 26, 27), LR_LIMIT_ROW(f, 28, 29, 30, 31))

// clang-format on

// One panel's width of a product for `tiles` tiles of kRows rows each; kVectors vectors of row r go to c + r *
// c_stride. The pointers of a tile's rows start at a, those of the next tap g.rows pointers behind.
struct Strip {
  const float* const* a;
  const float* w;  // the panel
  float* c;
  size_t c_stride, tiles;
};

// The bounds that can change a sum: 1 for the lower, 2 for the upper.
LR_INLINE size_t bounds(const GemmF32& g) {
  return static_cast<size_t>(g.lo > -__builtin_inff()) + 2 * static_cast<size_t>(g.hi < __builtin_inff());
}
static_assert(offsetof(GemmF32, hi) == offsetof(GemmF32, lo) + sizeof(float), "loaded as a pair");

template <size_t kRows, size_t kVectors>
LR_INLINE void gemm_strip(const GemmF32& g, size_t bounds, Strip s) {
  const float *const *a, *w, *a0, *a1, *a2, *a3;
  size_t taps, count;
  // clang-format off
  asm volatile(
      ".Ltile%=:\n"
      "mov %[w], %[panel]\n"
      "mov %[a], %[first]\n"
      LR_MOVE_SUMS("ld1", "[%[w]]")
      "add %[w], %[w], %[next]\n"
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
      "lsr %[count], %[k], #4\n"
      "cbz %[count], .Lless%=\n"
      ".Lsixteen%=:\n"
      LR_EIGHT_STEPS
      "subs %[count], %[count], #1\n"
      LR_EIGHT_STEPS
      "b.ne .Lsixteen%=\n"
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
      LR_EACH_ROW("ldr q0, [%[a0]], #16", "ldr q2, [%[a1]], #16", "ldr q4, [%[a2]], #16", "ldr q6, [%[a3]], #16")
      LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 0)
      LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 1)
      LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 2)
      LR_ODD(0, 2, 4, 6, 3)
      ".Lrest%=:\n"
      "ands %[count], %[k], #3\n"
      "b.eq .Lnext%=\n"
      ".Lone%=:\n"
      LR_LOAD_EVEN
      LR_EACH_ROW("ldr s0, [%[a0]], #4", "ldr s2, [%[a1]], #4", "ldr s4, [%[a2]], #4", "ldr s6, [%[a3]], #4")
      LR_EVEN(0, 2, 4, 6, 0)
      "subs %[count], %[count], #1\n"
      "b.ne .Lone%=\n"
      ".Lnext%=:\n"
      "subs %[taps], %[taps], #1\n"
      "b.ne .Ltap%=\n"
      ".Lsums%=:\n"
      "cbz %[bounds], .Lstore%=\n"
      "ldp s0, s1, [%[limits]]\n"
      "tbz %[bounds], #0, .Lhigh%=\n"
      "dup v0.4s, v0.s[0]\n"
      LR_LIMIT("fmax")
      ".Lhigh%=:\n"
      "tbz %[bounds], #1, .Lstore%=\n"
      "dup v0.4s, v1.s[0]\n"
      LR_LIMIT("fmin")
      ".Lstore%=:\n"
      LR_MOVE_SUMS("st1", "[%[c]], %[stride]")
      "add %[first], %[first], #32\n"
      "subs %[tiles], %[tiles], #1\n"
      "b.ne .Ltile%=\n"
      : [first] "+r"(s.a), [c] "+r"(s.c), [tiles] "+r"(s.tiles), [w] "=&r"(w), [a] "=&r"(a), [taps] "=&r"(taps),
        [count] "=&r"(count), [a0] "=&r"(a0), [a1] "=&r"(a1), [a2] "=&r"(a2), [a3] "=&r"(a3)
      : [rows] "i"(kRows), [vectors] "i"(kVectors), [panel] "r"(s.w), [next] "r"(kGemmColumns * sizeof(float)),
        [tap] "r"(g.rows * sizeof(float*)), [all_taps] "r"(g.taps), [k] "r"(g.k), [bounds] "r"(bounds),
        [stride] "r"(s.c_stride * sizeof(float)), [limits] "r"(&g.lo)
      : "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
        "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
        "v31");
  // clang-format on
}

template <size_t kRows, size_t kVectors>
static void edge_strip(const GemmF32& g, size_t bounds, const Strip& s) {
  gemm_strip<kRows, kVectors>(g, bounds, s);
}
#define LR_EDGES(rows) edge_strip<rows, 1>, edge_strip<rows, 2>, edge_strip<rows, 3>, edge_strip<rows, 4>
static void (*const kEdges[])(const GemmF32& g, size_t bounds, const Strip& s) = {LR_EDGES(1), LR_EDGES(2), LR_EDGES(3),
                                                                                  LR_EDGES(4)};

// The same for fewer rows or the last columns of the matrix.
static void gemm_edge(const GemmF32& g, size_t bounds, Strip s, size_t rows, size_t columns) {
  const size_t vectors = columns < kGemmColumns ? (columns + kLanes - 1) / kLanes : kGemmVectors;
  const auto strip = kEdges[(rows - 1) * kGemmVectors + vectors - 1];
  if (columns >= vectors * kLanes) return strip(g, bounds, s);
  float results[4 * kGemmColumns];
  for (size_t tile = 0; tile < s.tiles; ++tile) {
    strip(g, bounds, {s.a + 4 * tile, s.w, results, kGemmColumns, 1});
    for (size_t r = 0; r < rows; ++r, s.c += s.c_stride) {
      for (size_t j = 0; j < columns; ++j) s.c[j] = results[r * kGemmColumns + j];
    }
  }
}

void gemm_f32(const GemmF32& g) {
  const size_t panel = kGemmColumns * (1 + g.taps * g.k), limits = bounds(g);
  const size_t tiles = g.rows / 4, rest = g.rows % 4;
  Strip s = {g.a, g.w, g.c, g.c_stride, tiles};
  for (size_t j = 0; j < g.n; j += kGemmColumns, s.w += panel, s.c += kGemmColumns) {
    const size_t columns = g.n - j;
    if (tiles > 0 && columns >= kGemmColumns) {
      gemm_strip<4, kGemmVectors>(g, limits, s);
    } else if (tiles > 0) {
      gemm_edge(g, limits, s, 4, columns);
    }
    if (rest > 0)
      gemm_edge(g, limits, {g.a + 4 * tiles, s.w, s.c + 4 * tiles * g.c_stride, g.c_stride, 1}, rest, columns);
  }
}

}  // namespace LR_TIER
}  // namespace lr

#endif
