// The integer GEMM with the dot product of quads (sdot), written by hand as that of floats is, in gemm_aarch64.cc.
//
// Four rows or fewer by two or four vectors of columns. 32 k at a time: a pair of vectors per row, of which an
// instruction uses a quad, and one load of all column vectors per quad. Registers:
//   v0-v7    rows: row r in v(2r), the next 16 k in v(2r+1); afterwards what results need
//   v8-v11, v12-v15  columns of weights, in turn
//   v16-v31  sums: column vector j of row r in v(16 + 4r + j)
#include "simd/int8.h"
#include "table.h"
#include "tile.h"

#if defined(LR_OWN_GEMM_I8)

namespace lr {
namespace LR_TIER {

// clang-format off

#define LR_ROW(r, s0, s1, s2, s3, a, l, b0, b1, b2, b3)              \
  ".if %c[rows] > " #r "\n"                                          \
  "sdot v" #s0 ".4s, v" #b0 ".16b, v" #a ".4b[" #l "]\n"             \
  "sdot v" #s1 ".4s, v" #b1 ".16b, v" #a ".4b[" #l "]\n"             \
  ".if %c[vectors] > 2\n"                                            \
  "sdot v" #s2 ".4s, v" #b2 ".16b, v" #a ".4b[" #l "]\n"             \
  "sdot v" #s3 ".4s, v" #b3 ".16b, v" #a ".4b[" #l "]\n"             \
  ".endif\n"                                                         \
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
// The same for every sum: f(sum, the place of its column).
#define LR_SUMS_OF_ROW(f, s0, s1, s2, s3) f(s0, 0) f(s1, 1) ".if %c[vectors] > 2\n" f(s2, 2) f(s3, 3) ".endif\n"
#define LR_EACH_SUM(f)                                                                       \
  LR_EACH_ROW(LR_SUMS_OF_ROW(f, 16, 17, 18, 19), LR_SUMS_OF_ROW(f, 20, 21, 22, 23),          \
              LR_SUMS_OF_ROW(f, 24, 25, 26, 27), LR_SUMS_OF_ROW(f, 28, 29, 30, 31))

// Loads or stores as many of the registers as there are vectors.
#define LR_MOVE(what, t, v0, v1, v2, v3, address)                                                            \
  ".if %c[vectors] == 2\n" what " {v" #v0 t ", v" #v1 t "}, " address "\n"                                   \
  ".else\n" what " {v" #v0 t ", v" #v1 t ", v" #v2 t ", v" #v3 t "}, " address "\n .endif\n"
#define LR_LOAD_EVEN LR_MOVE("ld1", ".16b", 8, 9, 10, 11, "[%[w]], %[next]")
#define LR_LOAD_ODD LR_MOVE("ld1", ".16b", 12, 13, 14, 15, "[%[w]], %[next]")
#define LR_MOVE_SUMS(what, address)                                                                            \
  LR_EACH_ROW(LR_MOVE(what, ".4s", 16, 17, 18, 19, address), LR_MOVE(what, ".4s", 20, 21, 22, 23, address),    \
              LR_MOVE(what, ".4s", 24, 25, 26, 27, address), LR_MOVE(what, ".4s", 28, 29, 30, 31, address))

#define LR_THIRTY_TWO                                                                              \
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
#define LR_SIXTEEN                                                                                           \
  LR_LOAD_EVEN                                                                                               \
  LR_EACH_ROW("ldr q0, [%[a0]], #16", "ldr q2, [%[a1]], #16", "ldr q4, [%[a2]], #16", "ldr q6, [%[a3]], #16")  \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 0)                                                                         \
  LR_LOAD_EVEN LR_ODD(0, 2, 4, 6, 1)                                                                         \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 2)                                                                         \
  LR_ODD(0, 2, 4, 6, 3)
#define LR_EIGHT                                                                                         \
  LR_LOAD_EVEN                                                                                           \
  LR_EACH_ROW("ldr d0, [%[a0]], #8", "ldr d2, [%[a1]], #8", "ldr d4, [%[a2]], #8", "ldr d6, [%[a3]], #8")  \
  LR_LOAD_ODD LR_EVEN(0, 2, 4, 6, 0)                                                                     \
  LR_ODD(0, 2, 4, 6, 1)
#define LR_FOUR                                                                                          \
  LR_LOAD_EVEN                                                                                           \
  LR_EACH_ROW("ldr s0, [%[a0]], #4", "ldr s2, [%[a1]], #4", "ldr s4, [%[a2]], #4", "ldr s6, [%[a3]], #4")  \
  LR_EVEN(0, 2, 4, 6, 0)
// The last one to three k, then zeros.
#define LR_BYTE(i)                                                                                        \
  LR_EACH_ROW("ld1 {v0.b}[" #i "], [%[a0]], #1", "ld1 {v2.b}[" #i "], [%[a1]], #1",                       \
              "ld1 {v4.b}[" #i "], [%[a2]], #1", "ld1 {v6.b}[" #i "], [%[a3]], #1")
#define LR_LAST                                                                                           \
  LR_LOAD_EVEN                                                                                            \
  LR_EACH_ROW("movi v0.4s, #0", "movi v2.4s, #0", "movi v4.4s, #0", "movi v6.4s, #0")                     \
  LR_BYTE(0)                                                                                              \
  "cmp %[count], #2\n"                                                                                    \
  "b.lo .Lquad%=\n"                                                                                       \
  LR_BYTE(1)                                                                                              \
  "b.eq .Lquad%=\n"                                                                                       \
  LR_BYTE(2)                                                                                              \
  ".Lquad%=:\n"                                                                                           \
  LR_EVEN(0, 2, 4, 6, 0)

// Steps from the sums of a row to bytes in its first register, or to floats.
#define LR_TO_FLOAT(s, j) "scvtf v" #s ".4s, v" #s ".4s\n"
#define LR_SCALED(s, j) "fmul v" #s ".4s, v" #s ".4s, v" #j ".4s\n"
#define LR_ROUNDED(s, j) "fcvtns v" #s ".4s, v" #s ".4s\n"
#define LR_WORDS(s0, s1) "sqxtn v" #s0 ".4h, v" #s0 ".4s\n sqxtn2 v" #s0 ".8h, v" #s1 ".4s\n"
#define LR_ADD_ZERO(s) "sqadd v" #s ".8h, v" #s ".8h, v4.8h\n"
#define LR_BYTES(s0, s1, s2, s3)                                                     \
  LR_WORDS(s0, s1) LR_ADD_ZERO(s0)                                                   \
  ".if %c[vectors] > 2\n" LR_WORDS(s2, s3) LR_ADD_ZERO(s2) ".endif\n"                \
  "sqxtn v" #s0 ".8b, v" #s0 ".8h\n"                                                 \
  ".if %c[vectors] > 2\n sqxtn2 v" #s0 ".16b, v" #s2 ".8h\n .endif\n"
#define LR_LIMIT_BYTES(f, v)                                                                        \
  LR_EACH_ROW(f " v16.16b, v16.16b, " v, f " v20.16b, v20.16b, " v, f " v24.16b, v24.16b, " v,      \
              f " v28.16b, v28.16b, " v)
#define LR_STORE_BYTES(t)                                                                                  \
  LR_EACH_ROW("st1 {v16" t "}, [%[c]], %[stride]", "st1 {v20" t "}, [%[c]], %[stride]",                    \
              "st1 {v24" t "}, [%[c]], %[stride]", "st1 {v28" t "}, [%[c]], %[stride]")
#define LR_OFFSET_0 "v4"
#define LR_OFFSET_1 "v5"
#define LR_OFFSET_2 "v6"
#define LR_OFFSET_3 "v7"
#define LR_SHIFTED(s, j) "fadd v" #s ".4s, v" #s ".4s, " LR_OFFSET_##j ".4s\n"
#define LR_AT_LEAST(s, j) "fmax v" #s ".4s, v" #s ".4s, v0.4s\n"
#define LR_AT_MOST(s, j) "fmin v" #s ".4s, v" #s ".4s, v1.4s\n"

// clang-format on

// What becomes of the sums of a panel's columns: bytes, (sum * scale) rounded, plus zero, or with an offset floats,
// sum * scale + offset; limited where `bounds` (1: below, 2: above) say that a limit can change a result.
struct Ending {
  struct {
    int16_t zero;
    int8_t low, high;
    float lo, hi;
  } values;
  const float *scale, *offset;
  size_t bounds;
};

// One panel's width of a product for `tiles` tiles of kRows rows each. The pointers of a tile's rows start at a, those
// of the next tap `rows` pointers behind.
struct Strip {
  const int8_t* const* a;
  const int32_t* start;  // what the sums of every row begin with
  const int8_t* w;       // the panel's weights
  void* c;
  size_t c_stride;  // in bytes
  size_t tiles, step, taps, k;
};

template <size_t kRows, size_t kVectors>
LR_INLINE void dot_strip(const Ending& e, Strip s) {
  const int8_t *const *a, *w, *a0, *a1, *a2, *a3;
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
      "lsr %[count], %[k], #5\n"
      "cbz %[count], .Lsixteen%=\n"
      ".Lmore%=:\n"
      "sub %[count], %[count], #1\n"
      LR_THIRTY_TWO
      "cbnz %[count], .Lmore%=\n"
      ".Lsixteen%=:\n"
      "tst %[k], #31\n"
      "b.eq .Lnext%=\n"
      "tbz %[k], #4, .Leight%=\n"
      LR_SIXTEEN
      ".else\n"
      "lsr %[count], %[k], #4\n"
      "cbz %[count], .Leight%=\n"
      ".Lmore%=:\n"
      "sub %[count], %[count], #1\n"
      LR_SIXTEEN
      "cbnz %[count], .Lmore%=\n"
      ".endif\n"
      ".Leight%=:\n"
      "tbz %[k], #3, .Lfour%=\n"
      LR_EIGHT
      ".Lfour%=:\n"
      "tbz %[k], #2, .Llast%=\n"
      LR_FOUR
      ".Llast%=:\n"
      "ands %[count], %[k], #3\n"
      "b.eq .Lnext%=\n"
      LR_LAST
      ".Lnext%=:\n"
      "subs %[taps], %[taps], #1\n"
      "b.ne .Ltap%=\n"
      ".Lsums%=:\n"
      LR_MOVE("ld1", ".4s", 0, 1, 2, 3, "[%[scale]]")
      LR_EACH_SUM(LR_TO_FLOAT)
      LR_EACH_SUM(LR_SCALED)
      "cbnz %[offset], .Lfloats%=\n"
      "ldr s7, [%[values]]\n"
      "dup v4.8h, v7.h[0]\n"
      LR_EACH_SUM(LR_ROUNDED)
      LR_EACH_ROW(LR_BYTES(16, 17, 18, 19), LR_BYTES(20, 21, 22, 23), LR_BYTES(24, 25, 26, 27), LR_BYTES(28, 29, 30, 31))
      "tbz %[bounds], #0, .Lhigh%=\n"
      "dup v5.16b, v7.b[2]\n"
      LR_LIMIT_BYTES("smax", "v5.16b")
      ".Lhigh%=:\n"
      "tbz %[bounds], #1, .Lstore%=\n"
      "dup v6.16b, v7.b[3]\n"
      LR_LIMIT_BYTES("smin", "v6.16b")
      ".Lstore%=:\n"
      ".if %c[vectors] == 2\n" LR_STORE_BYTES(".8b") ".else\n" LR_STORE_BYTES(".16b") ".endif\n"
      "b .Ldone%=\n"
      ".Lfloats%=:\n"
      LR_MOVE("ld1", ".4s", 4, 5, 6, 7, "[%[offset]]")
      LR_EACH_SUM(LR_SHIFTED)
      "cbz %[bounds], .Lput%=\n"
      "ldp s0, s1, [%[values], #4]\n"
      "dup v0.4s, v0.s[0]\n"
      "dup v1.4s, v1.s[0]\n"
      LR_EACH_SUM(LR_AT_LEAST)
      LR_EACH_SUM(LR_AT_MOST)
      ".Lput%=:\n"
      LR_MOVE_SUMS("st1", "[%[c]], %[stride]")
      ".Ldone%=:\n"
      "add %[first], %[first], #32\n"
      "subs %[tiles], %[tiles], #1\n"
      "b.ne .Ltile%=\n"
      : [first] "+r"(s.a), [c] "+r"(s.c), [tiles] "+r"(s.tiles), [w] "=&r"(w), [a] "=&r"(a), [taps] "=&r"(taps),
        [count] "=&r"(count), [a0] "=&r"(a0), [a1] "=&r"(a1), [a2] "=&r"(a2), [a3] "=&r"(a3)
      : [rows] "i"(kRows), [vectors] "i"(kVectors), [start] "r"(s.start), [weights] "r"(s.w),
        [next] "r"(4 * kGemmI8Columns), [tap] "r"(s.step * sizeof(int8_t*)), [all_taps] "r"(s.taps), [k] "r"(s.k),
        [scale] "r"(e.scale), [offset] "r"(e.offset), [bounds] "r"(e.bounds), [stride] "r"(s.c_stride),
        [values] "r"(&e.values)
      : "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
        "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
        "v31");
  // clang-format on
}

template <size_t kRows, size_t kVectors>
static void dot_strip_of(const Ending& e, const Strip& s) {
  dot_strip<kRows, kVectors>(e, s);
}
static void (*const kStrips[])(const Ending& e, const Strip& s) = {
    dot_strip_of<1, 2>, dot_strip_of<1, 4>, dot_strip_of<2, 2>, dot_strip_of<2, 4>,
    dot_strip_of<3, 2>, dot_strip_of<3, 4>, dot_strip_of<4, 2>, dot_strip_of<4, 4>};

// Up to four rows, as often as s.tiles says, by `columns` of a panel's. Where a vector would reach beyond the last
// column, results take a way round.
template <class T>
LR_INLINE void dot_rows(const Ending& e, Strip s, size_t rows, size_t columns) {
  const size_t vectors = columns <= kGemmI8Columns / 2 ? 2 : 4;
  const auto strip = kStrips[2 * (rows - 1) + vectors / 2 - 1];
  if (columns >= vectors * kLanes) return strip(e, s);
  T results[4 * kGemmI8Columns];
  auto* c = static_cast<T*>(s.c);
  const size_t stride = s.c_stride / sizeof(T), tiles = s.tiles;
  s.c = results;
  s.c_stride = kGemmI8Columns * sizeof(T);
  s.tiles = 1;
  for (size_t tile = 0; tile < tiles; ++tile, s.a += 4) {
    strip(e, s);
    for (size_t r = 0; r < rows; ++r, c += stride) {
      for (size_t j = 0; j < columns; ++j) c[j] = results[r * kGemmI8Columns + j];
    }
  }
}

template <class T, class Gemm>
LR_INLINE void dot_product(const Gemm& g, Ending e, const int32_t* start, size_t start_step) {
  const size_t panel = g.taps * ((g.k + kGemmI8Depth - 1) / kGemmI8Depth * kGemmI8Depth) * kGemmI8Columns;
  Strip s = {g.a, start, g.w, g.c, g.c_stride * sizeof(T), 0, g.step, g.taps, g.k};
  const size_t tiles = g.rows / 4, rest = g.rows % 4;
  for (size_t j = 0; j < g.n; j += kGemmI8Columns) {
    T* const c = g.c + j;
    s.c = c;
    if (tiles > 0) {
      s.a = g.a;
      s.tiles = tiles;
      dot_rows<T>(e, s, 4, g.n - j);
    }
    if (rest > 0) {
      s.a = g.a + 4 * tiles;
      s.c = c + 4 * tiles * g.c_stride;
      s.tiles = 1;
      dot_rows<T>(e, s, rest, g.n - j);
    }
    s.w += panel;
    s.start += start_step;
    e.scale += kGemmI8Columns;
    if (e.offset != nullptr) e.offset += kGemmI8Columns;
  }
}

void gemm_i8(const GemmI8& g) {
  const size_t bounds = static_cast<size_t>(g.lo > -128) + 2 * static_cast<size_t>(g.hi < 127);
  const auto zero = static_cast<int16_t>(g.zero);
  dot_product<int8_t>(g, {{zero, static_cast<int8_t>(g.lo), static_cast<int8_t>(g.hi), 0, 0}, g.scale, nullptr, bounds},
                      g.bias, kGemmI8Columns);
}

void gemm_i8_f32(const GemmI8F32& g) {
  static const int32_t zeros[kGemmI8Columns] = {};
  const size_t bounds =
      static_cast<size_t>(g.lo > -__builtin_inff()) + 2 * static_cast<size_t>(g.hi < __builtin_inff());
  dot_product<float>(g, {{0, 0, 0, g.lo, g.hi}, g.scale, g.offset, bounds}, zeros, 0);
}

}  // namespace LR_TIER
}  // namespace lr

#endif
