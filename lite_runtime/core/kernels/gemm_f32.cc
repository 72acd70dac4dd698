// The float GEMM micro-kernel: a register tile of kGemmRows rows by kGemmVectors vectors of columns, and one
// of a single vector for last columns that need no more.
#include "simd/simd.h"
#include "table.h"
#include "tile.h"

#if !defined(LR_OWN_GEMM)

namespace lr {
namespace LR_TIER {

template <size_t kRows, size_t kVectors>
using Accumulators = vf[kRows][kVectors];

// acc[r] += a[r][k] * w[k] for one k; w holds kGemmColumns weights.
template <size_t kRows, size_t kVectors>
LR_INLINE void add_step(Accumulators<kRows, kVectors>& acc, const float* const (&a)[kRows], size_t k, const float* w) {
  vf b[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) b[j] = load(w + j * kLanes);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    const vf x = splat(a[r][k]);
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) acc[r][j] = fma(x, b[j], acc[r][j]);
  }
}

#if defined(LR_LANE_FMA)
template <int kLane, size_t kRows, size_t kVectors>
LR_INLINE void add_lane(Accumulators<kRows, kVectors>& acc, const vf (&x)[kRows], const float* w) {
  vf b[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) b[j] = load(w + j * kLanes);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) acc[r][j] = fma_lane<kLane>(acc[r][j], b[j], x[r]);
  }
}

// Four steps of k: one vector load per row, used lane by lane.
template <size_t kRows, size_t kVectors>
LR_INLINE void add_four_steps(Accumulators<kRows, kVectors>& acc, const float* const (&a)[kRows], size_t k,
                              const float* w) {
  vf x[kRows];
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) x[r] = load(a[r] + k);
  add_lane<0>(acc, x, w);
  add_lane<1>(acc, x, w + kGemmColumns);
  add_lane<2>(acc, x, w + 2 * kGemmColumns);
  add_lane<3>(acc, x, w + 3 * kGemmColumns);
}
#endif

// The first kVectors vectors of a panel for kRows of g.rows rows; the first `columns` (at most kVectors * kLanes) are
// stored.
template <size_t kRows, size_t kVectors>
static void gemm_panel(const GemmF32& g, const float* const* rows, const float* w, float* c, size_t columns) {
  Accumulators<kRows, kVectors> acc;
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    const vf bias = load(w + j * kLanes);
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) acc[r][j] = bias;
  }
  w += kGemmColumns;
  for (size_t t = 0; t < g.taps; ++t) {
    const float* a[kRows];
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) a[r] = rows[t * g.rows + r];
    size_t k = 0;
#if defined(LR_LANE_FMA)
    for (; k + 4 <= g.k; k += 4, w += 4 * kGemmColumns) add_four_steps(acc, a, k, w);
#endif
    for (; k < g.k; ++k, w += kGemmColumns) add_step(acc, a, k, w);
  }
  const vf lo = splat(g.lo), hi = splat(g.hi);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    float* row = c + r * g.c_stride;
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) {
      const vf y = clamp(acc[r][j], lo, hi);
      if (columns >= (j + 1) * kLanes) {
        store(row + j * kLanes, y);
      } else if (columns > j * kLanes) {
        store_part(row + j * kLanes, y, columns - j * kLanes);
      }
    }
  }
}

// The heights of tile in use: all up to the largest, or where that would be much code, some.
constexpr size_t next_smaller(size_t rows) {
  if (kGemmRows <= 8) return rows - 1;
  return rows > 10 ? 10 : rows > 7 ? 7 : rows > 5 ? 5 : rows > 3 ? 3 : rows - 1;
}

// The rows from `first` on.
template <size_t kRows>
static void gemm_rows(const GemmF32& g, size_t first) {
  if constexpr (kRows > 1) {
    if (g.rows - first < kRows) return gemm_rows<next_smaller(kRows)>(g, first);
  }
  const size_t panel = kGemmColumns * (1 + g.taps * g.k);
  const float* w = g.w;
  float* c = g.c + first * g.c_stride;
  for (size_t j = 0; j < g.n; j += kGemmColumns, w += panel) {
    const size_t columns = g.n - j;
    (columns <= kLanes ? gemm_panel<kRows, 1> : gemm_panel<kRows, kGemmVectors>)(g, g.a + first, w, c + j, columns);
  }
  if constexpr (kRows > 1) {
    if (first + kRows < g.rows) gemm_rows<next_smaller(kRows)>(g, first + kRows);
  }
}

void gemm_f32(const GemmF32& g) { gemm_rows<kGemmRows>(g, 0); }

}  // namespace LR_TIER
}  // namespace lr

#endif
