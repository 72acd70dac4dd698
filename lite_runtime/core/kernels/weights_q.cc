// Products with weights that are kept as small integers: expanded in registers for one row, by panels for many.
#include "simd/int8.h"
#include "table.h"
#include "tile.h"

#if !LR_QUADS

namespace lr {
namespace LR_TIER {

constexpr size_t kVectors = kGemmVectors;

template <int kBits>
constexpr size_t pair_bytes() {
  return kBits == 8 ? 2 * kGemmColumns : kGemmColumns;
}

// kLanes columns of two neighbouring values of k.
template <int kBits>
LR_INLINE void load_two(const int8_t* w, vf& first, vf& second) {
  if constexpr (kBits == 8) {
    first = to_float(load_i8(w));
    second = to_float(load_i8(w + kGemmColumns));
  } else {
    const vi both = load_i8(w);
    first = to_float(shift_right<28>(shift_left<28>(both)));
    second = to_float(shift_right<4>(both));
  }
}

// body(first value of k, values, scales, offsets or null, weights) for all blocks.
template <int kBits, class Body>
LR_INLINE void each_block(const PanelQ& p, const Body& body) {
  const auto* at = static_cast<const char*>(p.packed);
  for (size_t start = 0; start < p.k; start += p.block) {
    const size_t n = p.k - start < p.block ? p.k - start : p.block;
    const auto* scale = reinterpret_cast<const float*>(at);
    const float* offset = p.offsets ? scale + kGemmColumns : nullptr;
    at += (p.offsets ? 2 : 1) * kGemmColumns * sizeof(float);
    body(start, n, scale, offset, reinterpret_cast<const int8_t*>(at));
    at += (n + 1) / 2 * pair_bytes<kBits>();
  }
}

template <int kBits>
LR_INLINE void multiply_row(const PanelQ& p, const RowQ& row, float* y) {
  vf total[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) total[j] = splat(0.f);
  size_t block = 0;
  each_block<kBits>(
      p, [&](size_t start, size_t n, const float* scale, const float* offset, const int8_t* w)
             __attribute__((always_inline)) {
               vf sums[2][kVectors];
               LR_UNROLL
               for (size_t j = 0; j < kVectors; ++j) sums[0][j] = sums[1][j] = splat(0.f);
               const float* x = row.a + start;
               for (size_t i = 0; i < n; i += 2, w += pair_bytes<kBits>()) {
                 const vf x0 = splat(x[i]), x1 = splat(i + 1 < n ? x[i + 1] : 0.f);
                 LR_UNROLL
                 for (size_t j = 0; j < kVectors; ++j) {
                   vf first, second;
                   load_two<kBits>(w + j * kLanes, first, second);
                   sums[0][j] = fma(x0, first, sums[0][j]);
                   sums[1][j] = fma(x1, second, sums[1][j]);
                 }
               }
               LR_UNROLL
               for (size_t j = 0; j < kVectors; ++j) {
                 total[j] = fma(sums[0][j] + sums[1][j], load(scale + j * kLanes), total[j]);
                 if (offset != nullptr) total[j] = fma(splat(row.sums[block]), load(offset + j * kLanes), total[j]);
               }
               ++block;
             });
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) store(y + j * kLanes, total[j]);
}

template <int kBits>
LR_INLINE void expand(const PanelQ& p, float* y) {
  each_block<kBits>(
      p, [&](size_t, size_t n, const float* scale, const float* offset, const int8_t* w)
             __attribute__((always_inline)) {
               for (size_t i = 0; i < n; i += 2, w += pair_bytes<kBits>()) {
                 LR_UNROLL
                 for (size_t j = 0; j < kVectors; ++j) {
                   vf v[2];
                   load_two<kBits>(w + j * kLanes, v[0], v[1]);
                   const vf by = load(scale + j * kLanes);
                   const vf from = offset == nullptr ? splat(0.f) : load(offset + j * kLanes);
                   store(y + j * kLanes, fma(v[0], by, from));
                   if (i + 1 < n) store(y + kGemmColumns + j * kLanes, fma(v[1], by, from));
                 }
                 y += 2 * kGemmColumns;
               }
               if (n % 2 != 0) y -= kGemmColumns;
             });
}

bool split_row_q(const PanelQ&, const float*, void*) { return false; }

void multiply_row_q(const PanelQ& p, const RowQ& row, float* y) {
  p.bits == 8 ? multiply_row<8>(p, row, y) : multiply_row<4>(p, row, y);
}

void expand_q(const PanelQ& p, float* y) { p.bits == 8 ? expand<8>(p, y) : expand<4>(p, y); }

}  // namespace LR_TIER
}  // namespace lr

#endif
