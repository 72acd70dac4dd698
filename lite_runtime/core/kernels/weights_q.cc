// Products with weights that are kept as small integers: expanded in registers for one row, by panels for many.
#include "weights_q.h"

#include "simd/int8.h"
#include "table.h"

#if !LR_QUADS

namespace lr {
namespace LR_TIER {

constexpr size_t kVectors = kGemmVectors;

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

template <int kBits>
LR_INLINE void multiply_row(const PanelQ& p, const RowQ& row, float* y) {
  vf total[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) total[j] = splat(0.f);
  each_block<kBits>(
      p, [&](const Block& b) __attribute__((always_inline)) {
        const int8_t* w = b.w;
        vf sums[2][kVectors];
        LR_UNROLL
        for (size_t j = 0; j < kVectors; ++j) sums[0][j] = sums[1][j] = splat(0.f);
        const float* x = row.a + b.start;
        for (size_t i = 0; i < b.n; i += 2, w += kTogetherBytes<kBits>) {
          const vf x0 = splat(x[i]), x1 = splat(i + 1 < b.n ? x[i + 1] : 0.f);
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
          total[j] = fma(sums[0][j] + sums[1][j], load(b.scale + j * kLanes), total[j]);
          if (b.offset != nullptr)
            total[j] = fma(splat(row.sums[b.start / p.block]), load(b.offset + j * kLanes), total[j]);
        }
      });
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) store(y + j * kLanes, total[j]);
}

template <int kBits>
LR_INLINE void expand(const PanelQ& p, float* y) {
  each_block<kBits>(
      p, [&](const Block& b) __attribute__((always_inline)) {
        const int8_t* w = b.w;
        for (size_t i = 0; i < b.n; i += 2, w += kTogetherBytes<kBits>) {
          LR_UNROLL
          for (size_t j = 0; j < kVectors; ++j) {
            vf v[2];
            load_two<kBits>(w + j * kLanes, v[0], v[1]);
            const vf by = load(b.scale + j * kLanes);
            const vf from = b.offset == nullptr ? splat(0.f) : load(b.offset + j * kLanes);
            store(y + j * kLanes, fma(v[0], by, from));
            if (i + 1 < b.n) store(y + kGemmColumns + j * kLanes, fma(v[1], by, from));
          }
          y += 2 * kGemmColumns;
        }
        if (b.n % 2 != 0) y -= kGemmColumns;
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
