// How the sums of the integer GEMM become results, int8 or float.
#pragma once

#include "kernels.h"
#include "simd/int8.h"
#include "tile.h"

namespace lr {
namespace LR_TIER {

template <size_t kRows, size_t kVectors = kGemmI8Vectors>
using Sums = vi[kRows][kVectors];

// start(column) is what a vector of sums begins with; store puts kRows rows of them away, of
// which `left` columns are wanted; rows after `last` are that one again. Bytes may alias anything, so what is needed
// for every row is read before the first is stored.
struct ToI8 {
  const GemmI8& g;
  Limits limits;
  LR_MEMBER explicit ToI8(const GemmI8& gemm) : g(gemm), limits(gemm.zero, gemm.lo, gemm.hi) {}
  LR_MEMBER vi start(size_t column) const { return load_i(g.bias + column); }
  template <size_t kRows, size_t kVectors>
  LR_MEMBER void store(const Sums<kRows, kVectors>& acc, size_t last, size_t column, size_t left) const {
    constexpr size_t kColumns = kVectors * kLanes;
    const Limits bounds = limits;
    vf scale[kVectors];
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) scale[j] = load(g.scale + column + j * kLanes);
    int8_t bytes[kRows * kColumns];
    const size_t stride = g.c_stride;
    int8_t* const c = g.c + column;
    const bool whole = left >= kColumns;
    int8_t* to = whole ? c : bytes;
    const size_t step = whole ? stride : kColumns;
    constexpr size_t kPair = kTwoRows<kRows, kVectors> ? 2 : 1;
    LR_UNROLL
    for (size_t r = 0; r < kRows; r += kPair, to += r <= last ? step : 0) {
      vf x[kPair * kVectors];
      LR_UNROLL
      for (size_t i = 0; i < kPair * kVectors; ++i)
        x[i] = to_float(acc[r + i / kVectors][i % kVectors]) * scale[i % kVectors];
      int8_t* const next = to + (kPair == 2 && r < last ? step : 0);
      store_rows<kPair, kVectors>(x, bounds, to, next);
      to = next;
    }
    for (size_t r = 0; !whole && r <= last; ++r) copy_part<kColumns>(c + r * stride, bytes + r * step, left);
  }

 private:
#if defined(LR_FOUR_TOGETHER)
  // Two rows are narrowed together where one has not vectors enough.
  template <size_t kRows, size_t kVectors>
  static constexpr bool kTwoRows = kVectors == 2 && kRows % 2 == 0;
#else
  template <size_t kRows, size_t kVectors>
  static constexpr bool kTwoRows = false;
#endif
  template <size_t kPair, size_t kVectors>
  LR_MEMBER static void store_rows(const vf (&x)[kPair * kVectors], const Limits& bounds, int8_t* to,
                                   [[maybe_unused]] int8_t* next) {
#if defined(LR_FOUR_TOGETHER)
    if constexpr (kPair == 2) return store_four(to, next, x, bounds);
    if constexpr (kVectors == 4) return store_four(to, x, bounds);
#endif
    LR_UNROLL
    for (size_t j = 0; j < kVectors; j += kTogether) store_together(to + j * kLanes, x + j, bounds);
  }
};

struct ToF32 {
  const GemmI8F32& g;
  vf lo, hi;
  LR_MEMBER explicit ToF32(const GemmI8F32& gemm) : g(gemm), lo(splat(gemm.lo)), hi(splat(gemm.hi)) {}
  LR_MEMBER vi start(size_t) const { return splat_i(0); }
  template <size_t kRows, size_t kVectors>
  LR_MEMBER void store(const Sums<kRows, kVectors>& acc, size_t last, size_t column, size_t left) const {
    LR_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      LR_UNROLL
      for (size_t j = 0; j < kVectors; ++j) {
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

}  // namespace LR_TIER
}  // namespace lr
