// The integer GEMM with AMX: an instruction adds the product of up to 16 rows by 64 k and of 64 k by 16 columns to a
// tile of sums. Weights are packed as for VNNI, whose kernel computes what is too little for this one: a tile has 14
// rows, as its own has.
//
// Tiles: tmm0 and tmm1 have the sums of the first 14 rows and two vectors of columns, tmm2 and tmm3 those of the
// others; tmm4 and tmm5 the rows, tmm6 and tmm7 the columns.
#include "sums_i8.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

constexpr size_t kRows = kGemmI8Rows, kColumns = kGemmI8Columns;
constexpr size_t kTileRows = kRows / 2, kTileColumns = 16, kBlock = 64;  // of a tile, and its values of k
constexpr size_t kGroup = 4;                                             // values of k packed together
constexpr size_t kColumnStride = kGroup * kColumns;
constexpr size_t kGathered = 18 * kBlock;  // of a row in all taps: 36 KB of all rows, which the stack bears
constexpr size_t kFewRows = 8, kFewMultiplyAdds = 1 << 12;  // of a row: are left to VNNI

LR_INLINE size_t depth_of(size_t k) { return (k + kGroup - 1) / kGroup * kGroup; }

// What LDTILECFG reads.
struct TileShapes {
  uint8_t palette = 1, start = 0, unused[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

// The compiler is told that memory is read; no other code of this tier touches a tile.
#define LR_LOAD_TILE(tile, at, stride) \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(at), "r"(stride) : "memory")
#define LR_STORE_TILE(tile, at, stride) \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(at), "r"(stride) : "memory")
#define LR_CLEAR_TILE(tile) __asm__ volatile("tilezero %%tmm" #tile : : : "memory")
#define LR_ADD_PRODUCT(sums, rows, columns) \
  __asm__ volatile("tdpbssd %%tmm" #columns ", %%tmm" #rows ", %%tmm" #sums : : : "memory")

// The rows of a tile, as one tap reads them. It loads them where they lie if they are evenly spaced.
class RowTile {
 public:
  LR_MEMBER RowTile(const int8_t* const* a, size_t rows) : a_(a), rows_(rows) {
    const auto at = [a](size_t r) { return reinterpret_cast<intptr_t>(a[r]); };
    stride_ = rows > 1 ? at(1) - at(0) : 0;
    for (size_t r = 2; r < rows; ++r) even_ &= at(r) - at(r - 1) == stride_;
    if (!even_) stride_ = kBlock;
  }
  LR_MEMBER intptr_t stride() const { return stride_; }
  // The 64 values from k = i on.
  LR_MEMBER const int8_t* at(size_t i) {
    if (even_) return a_[0] + i;
    for (size_t r = 0; r < rows_; ++r) _mm512_store_si512(copy_[r], _mm512_loadu_si512(a_[r] + i));
    return copy_[0];
  }

 private:
  const int8_t* const* a_;
  size_t rows_;
  intptr_t stride_;
  bool even_ = true;
  alignas(64) int8_t copy_[kTileRows][kBlock];
};

using SumsOfPanel = int32_t[kRows][kColumns];

// The sums of all rows and kVectors vectors of columns, whose last tile of weights is at `last` at the latest.
template <size_t kVectors, class Gemm>
LR_INLINE void add_panel(const Gemm& g, const int8_t* w, const int8_t* last, SumsOfPanel& sums) {
  const size_t low = g.rows < kTileRows ? g.rows : kTileRows, high = g.rows - low;
  LR_CLEAR_TILE(0);
  LR_CLEAR_TILE(1);
  LR_CLEAR_TILE(2);
  LR_CLEAR_TILE(3);
  const int8_t* const* a = g.a;
  for (size_t t = 0; t < g.taps; ++t, a += g.step) {
    RowTile first(a, low), second(a + low, high);
    for (size_t i = 0; i < g.k; i += kBlock, w += kBlock * kColumns) {
      const int8_t* columns = w < last ? w : last;
      LR_LOAD_TILE(6, columns, kColumnStride);
      LR_LOAD_TILE(4, first.at(i), first.stride());
      LR_ADD_PRODUCT(0, 4, 6);
      if constexpr (kVectors > 1) {
        LR_LOAD_TILE(7, columns + kGroup * kTileColumns, kColumnStride);
        LR_ADD_PRODUCT(1, 4, 7);
      }
      if (high > 0) {
        LR_LOAD_TILE(5, second.at(i), second.stride());
        LR_ADD_PRODUCT(2, 5, 6);
        if constexpr (kVectors > 1) LR_ADD_PRODUCT(3, 5, 7);
      }
    }
  }
  LR_STORE_TILE(0, sums[0], sizeof sums[0]);
  if constexpr (kVectors > 1) LR_STORE_TILE(1, sums[0] + kTileColumns, sizeof sums[0]);
  if (high > 0) {
    LR_STORE_TILE(2, sums[kTileRows], sizeof sums[0]);
    if constexpr (kVectors > 1) LR_STORE_TILE(3, sums[kTileRows] + kTileColumns, sizeof sums[0]);
  }
}

template <class Output, size_t kVectors, class Gemm>
LR_INLINE void finish_panel(const Gemm& g, const SumsOfPanel& sums, size_t column) {
  constexpr size_t kChunk = 4;
  Gemm rows = g;
  const Output output(rows);
  vi start[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) start[j] = output.start(column + j * kLanes);
  for (size_t r = 0; r < g.rows; r += kChunk, rows.c += kChunk * g.c_stride) {
    const size_t last = g.rows - r < kChunk ? g.rows - r - 1 : kChunk - 1;
    Sums<kChunk, kVectors> acc;
    LR_UNROLL
    for (size_t i = 0; i < kChunk; ++i) {
      LR_UNROLL
      for (size_t j = 0; j < kVectors; ++j) acc[i][j] = start[j] + load_i(sums[r + (i < last ? i : last)] + j * kLanes);
    }
    output.store(acc, last, column, g.n - column);
  }
}

// g.k is a multiple of 64; of weights there may be fewer: the last 64 meet the last 64 of the rows.
template <class Output, class Gemm>
static void amx_panels(const Gemm& g, size_t weights) {
  TileShapes shapes;
  const auto low = static_cast<uint8_t>(g.rows < kTileRows ? g.rows : kTileRows);
  const auto high = static_cast<uint8_t>(g.rows > kTileRows ? g.rows - kTileRows : kTileRows);
  const uint8_t rows[8] = {low, low, high, high, low, high, kBlock / kGroup, kBlock / kGroup};
  for (size_t i = 0; i < 8; ++i) {
    shapes.bytes[i] = kBlock;
    shapes.rows[i] = rows[i];
  }
  __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
  alignas(64) SumsOfPanel sums[2];
  const int8_t* w = g.w;
  size_t turn = 0;
  for (size_t j = 0; j < g.n; j += kColumns, turn ^= 1) {
    w += kColumns * sizeof(int32_t);  // what VNNI begins with
    const int8_t* last = w + (weights - kBlock) * kColumns;
    g.n - j <= kLanes ? add_panel<1>(g, w, last, sums[turn]) : add_panel<2>(g, w, last, sums[turn]);
    w += weights * kColumns;
    // The panel before, while the tiles of this one are on their way.
    if (j > 0) finish_panel<Output, 2>(g, sums[turn ^ 1], j - kColumns);
  }
  const size_t column = (g.n - 1) / kColumns * kColumns;
  turn ^= 1;
  g.n - column <= kLanes ? finish_panel<Output, 1>(g, sums[turn], column)
                         : finish_panel<Output, 2>(g, sums[turn], column);
  __asm__ volatile("tilerelease");
}

LR_INLINE __mmask64 first_bytes(size_t n) { return n < 64 ? (__mmask64{1} << n) - 1 : ~__mmask64{0}; }

// The same product with all taps of a row brought together. What is beyond the last whole block of 64 comes last in a
// block that begins with zeros, for weights that the block before has met.
template <class Output, class Gemm>
static void gathered_panels(const Gemm& g) {
  alignas(64) int8_t together[kRows][kGathered];
  const int8_t* a[kRows];
  const size_t depth = depth_of(g.k), all = g.taps * depth, rest = all % kBlock;
  const size_t whole = all - rest, skip = rest != 0 ? kBlock - rest : 0;
  for (size_t r = 0; r < g.rows; ++r) {
    a[r] = together[r];
    if (rest != 0) _mm512_store_si512(together[r] + whole, _mm512_setzero_si512());
  }
  for (size_t t = 0; t < g.taps; ++t) {
    for (size_t i = 0; i < depth; i += kBlock) {
      const size_t at = t * depth + i;
      const __mmask64 inside = first_bytes(g.k - i), part = first_bytes(depth - i);
      const __mmask64 low = part & first_bytes(at < whole ? whole - at : 0), high = part & ~low;
      for (size_t r = 0; r < g.rows; ++r) {
        const __m512i x = _mm512_maskz_loadu_epi8(inside, g.a[t * g.step + r] + i);
        if (low != 0) _mm512_mask_storeu_epi8(together[r] + at, low, x);
        if (high != 0) _mm512_mask_storeu_epi8(together[r] + at + skip, high, x);
      }
    }
  }
  Gemm one = g;
  one.a = a;
  one.taps = 1;
  one.k = all + skip;
  amx_panels<Output>(one, all);
}

template <class Output, class Gemm>
LR_INLINE void amx_product(const Gemm& g, void (*otherwise)(const Gemm&)) {
  const size_t all = g.taps * depth_of(g.k);
  const bool whole = g.k % kBlock == 0;
  if (g.rows > kFewRows && all >= kBlock && all * g.n >= kFewMultiplyAdds && (whole || all <= kGathered)) {
    return whole ? amx_panels<Output>(g, all) : gathered_panels<Output>(g);
  }
  Gemm slice = g;
  for (size_t r = 0; r < g.rows; r += kTileRows, slice.a += kTileRows, slice.c += kTileRows * g.c_stride) {
    slice.rows = g.rows - r < kTileRows ? g.rows - r : kTileRows;
    otherwise(slice);
  }
}

void gemm_i8(const GemmI8& g) { amx_product<ToI8>(g, vnni::gemm_i8); }
void gemm_i8_f32(const GemmI8F32& g) { amx_product<ToF32>(g, vnni::gemm_i8_f32); }

}  // namespace LR_TIER
}  // namespace lr
