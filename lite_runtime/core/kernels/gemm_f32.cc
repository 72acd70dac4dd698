// The float GEMM micro-kernel: a register tile of kGemmRows rows by kGemmVectors vectors of columns, and one
// of a single vector for last columns that need no more. Fewer rows take the next of a few smaller tiles, which repeats
// the last of them.
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

// The first kVectors vectors of a panel for g.rows <= kRows rows, of which the first `columns` are stored.
template <size_t kRows, size_t kVectors>
static void gemm_panel(const GemmF32& g, const float* w, float* c, size_t columns, [[maybe_unused]] const char* ahead) {
  Accumulators<kRows, kVectors> acc;
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    const vf bias = load(w + j * kLanes);
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) acc[r][j] = bias;
  }
  w += kGemmColumns;
  const size_t last = g.rows - 1;
  const float* const* pointers = g.a;
  for (size_t t = 0; t < g.taps; ++t, pointers += g.rows) {
    const float* a[kRows];
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) a[r] = pointers[r < last ? r : last];
    size_t k = 0;
#if defined(LR_LANE_FMA)
    for (; k + 4 <= g.k; k += 4, w += 4 * kGemmColumns) add_four_steps(acc, a, k, w);
#endif
    for (; k < g.k; ++k, w += kGemmColumns) {
#if defined(__x86_64__)
      __builtin_prefetch(ahead, 0, 2);
      ahead += g.ahead_step;
#endif
      add_step(acc, a, k, w);
    }
  }
  const vf lo = splat(g.lo), hi = splat(g.hi);
  LR_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    float* row = c + (r < last ? r : last) * g.c_stride;
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

template <size_t kRows>
static void gemm_rows(const GemmF32& g) {
  const size_t panel = kGemmColumns * (1 + g.taps * g.k);
  const float* w = g.w;
  const char* ahead = g.ahead;
  for (size_t j = 0; j < g.n; j += kGemmColumns, w += panel, ahead += g.taps * g.k * g.ahead_step) {
    const size_t columns = g.n - j;
    (columns <= kLanes ? gemm_panel<kRows, 1> : gemm_panel<kRows, kGemmVectors>)(g, w, g.c + j, columns, ahead);
  }
}

void gemm_f32(const GemmF32& g) {
#if defined(__AVX512F__)
  if (g.rows == 11 && g.taps == 1) {  // sooner done as seven and four than as fourteen
    GemmF32 part = g;
    part.rows = 7;
    gemm_f32(part);
    part.rows = 4;
    part.a += 7;
    part.c += 7 * g.c_stride;
    return gemm_f32(part);
  }
  if (g.rows > 10) return gemm_rows<kGemmRows>(g);
  if (g.rows > 7) return gemm_rows<10>(g);
  if (g.rows > 4) return gemm_rows<7>(g);
#else
  if (g.rows > 4) return gemm_rows<kGemmRows>(g);
#endif
  if (g.rows > 2) return gemm_rows<4>(g);
  if (g.rows > 1) return gemm_rows<2>(g);
  gemm_rows<1>(g);
}

}  // namespace LR_TIER
}  // namespace lr

#endif
