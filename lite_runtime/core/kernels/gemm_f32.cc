// The float GEMM micro-kernel: a register tile of kGemmRows rows by kGemmVectors vectors of columns.
#include "simd/simd.h"
#include "table.h"
#include "tile.h"

namespace lr {
namespace LR_TIER {

// One panel of columns for kRows rows; `columns` <= kGemmColumns of it are stored.
template <size_t kRows>
static void gemm_panel(const GemmF32& g, const float* w, float* c, size_t columns) {
  vf acc[kRows][kGemmVectors];
  LR_UNROLL
  for (size_t j = 0; j < kGemmVectors; ++j) {
    const vf bias = load(w + j * kLanes);
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) acc[r][j] = bias;
  }
  w += kGemmColumns;
  for (size_t t = 0; t < g.taps; ++t) {
    const float* a[kRows];
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) a[r] = g.a[t * kRows + r];
    for (size_t k = 0; k < g.k; ++k, w += kGemmColumns) {
      vf b[kGemmVectors];
      LR_UNROLL
      for (size_t j = 0; j < kGemmVectors; ++j) b[j] = load(w + j * kLanes);
      LR_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        const vf x = splat(a[r][k]);
        LR_UNROLL
        for (size_t j = 0; j < kGemmVectors; ++j) acc[r][j] = fma(x, b[j], acc[r][j]);
      }
    }
  }
  const vf lo = splat(g.lo), hi = splat(g.hi);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    float* row = c + r * g.c_stride;
    LR_UNROLL
    for (size_t j = 0; j < kGemmVectors; ++j) {
      const vf y = clamp(acc[r][j], lo, hi);
      if (columns >= (j + 1) * kLanes) {
        store(row + j * kLanes, y);
      } else if (columns > j * kLanes) {
        store_part(row + j * kLanes, y, columns - j * kLanes);
      }
    }
  }
}

template <size_t kRows>
static void gemm_rows(const GemmF32& g) {
  if constexpr (kRows > 1) {
    if (g.rows < kRows) return gemm_rows<kRows - 1>(g);
  }
  const size_t panel = kGemmColumns * (1 + g.taps * g.k);
  const float* w = g.w;
  for (size_t j = 0; j < g.n; j += kGemmColumns, w += panel) gemm_panel<kRows>(g, w, g.c + j, g.n - j);
}

void gemm_f32(const GemmF32& g) { gemm_rows<kGemmRows>(g); }

}  // namespace LR_TIER
}  // namespace lr
