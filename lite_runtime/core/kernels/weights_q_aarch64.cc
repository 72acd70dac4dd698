// Products with weights that are kept as small integers on 64-bit ARM, in integers: a row of floats becomes one of two
// digits of 8 bits each, which the integers of the weights are multiplied with as they are, and a sum becomes a float
// once for each part of a block. That takes fewer instructions than making floats of weights.
#include "simd/int8.h"
#include "table.h"
#include "weights_q.h"

#if LR_QUADS

namespace lr {
namespace LR_TIER {

constexpr size_t kVectors = kGemmVectors;
static_assert(kVectors == 4 && kLanes == 4, "a vector of bytes is a row of a panel");

// The greatest value of a part is 127.49 times the base: its first digit must not be rounded to 128.
constexpr int32_t kBase = 254;
constexpr float kGreatest = 127.49f;
// Rows with a part that has a greatest value outside lose too much in digits, or are not finite.
constexpr float kLeast = 0x1p-90f, kMost = 0x1p120f;

// Values of k in four vectors of integers.
template <int kBits>
constexpr size_t kGroup = 32 / kBits;

// body(k, the integers of all columns as floats) for the values of k of a block.
template <int kBits, class Body>
LR_INLINE void each_k(const Block& b, const Body& body) {
  const auto call = [&](size_t k, int8x16_t q) __attribute__((always_inline)) {
    const int16x8_t low = vmovl_s8(vget_low_s8(q)), high = vmovl_high_s8(q);
    const vf v[kVectors] = {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low)))},
                            {vcvtq_f32_s32(vmovl_high_s16(low))},
                            {vcvtq_f32_s32(vmovl_s16(vget_low_s16(high)))},
                            {vcvtq_f32_s32(vmovl_high_s16(high))}};
    if (k < b.n) body(k, v);
  };
  const int8_t* w = b.w;
  for (size_t k = 0; k < b.n; k += kGroup<kBits>, w += 64) {
    const int8x16x4_t quads = vld4q_s8(w);
    LR_UNROLL
    for (size_t i = 0; i < 4; ++i) {
      const int8x16_t q = quads.val[i];
      call(k + i, kBits == 8 ? q : vsubq_s8(vandq_s8(q, vdupq_n_s8(15)), vdupq_n_s8(8)));
    }
    LR_UNROLL
    for (size_t i = 0; kBits == 4 && i < 4; ++i) call(k + 4 + i, vshrq_n_s8(quads.val[i], 4));
  }
}

template <int kBits>
LR_INLINE void expand(const PanelQ& p, float* y) {
  each_block<kBits>(
      p, [&](const Block& b) __attribute__((always_inline)) {
        each_k<kBits>(
            b, [&](size_t k, const vf(&v)[kVectors]) __attribute__((always_inline)) {
              float* to = y + (b.start + k) * kGemmColumns;
              LR_UNROLL
              for (size_t j = 0; j < kVectors; ++j) {
                const vf from = b.offset == nullptr ? splat(0.f) : load(b.offset + j * kLanes);
                store(to + j * kLanes, fma(v[j], load(b.scale + j * kLanes), from));
              }
            });
      });
}

LR_INLINE void add_offsets(vf (&total)[kVectors], float sum, const float* offset) {
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) total[j] = fma(splat(sum), load(offset + j * kLanes), total[j]);
}

// For rows that have no digits.
template <int kBits>
static void multiply_floats(const PanelQ& p, const RowQ& row, float* y) {
  vf total[kVectors] = {splat(0.f), splat(0.f), splat(0.f), splat(0.f)};
  each_block<kBits>(
      p, [&](const Block& b) __attribute__((always_inline)) {
        vf sums[kVectors] = {splat(0.f), splat(0.f), splat(0.f), splat(0.f)};
        each_k<kBits>(
            b, [&](size_t k, const vf(&v)[kVectors]) __attribute__((always_inline)) {
              LR_UNROLL
              for (size_t j = 0; j < kVectors; ++j) sums[j] = fma(splat(row.a[b.start + k]), v[j], sums[j]);
            });
        LR_UNROLL
        for (size_t j = 0; j < kVectors; ++j) total[j] = fma(sums[j], load(b.scale + j * kLanes), total[j]);
        if (b.offset != nullptr) add_offsets(total, row.sums[b.start / p.block], b.offset);
      });
  store_all(y, total);
}

// Moves a pointer on with what is loaded from it: seen as a whole, compilers compute each address beside the loads.
LR_INLINE void advance(const int8_t*& p, size_t bytes) {
  p += bytes;
  asm("" : "+r"(p));
}
LR_INLINE int8x16x4_t next_group(const int8_t*& w) {
  const int8x16x4_t q = vld1q_s8_x4(w);
  advance(w, 64);
  return q;
}

// part_sums: the sums over a part, in units of the second digit. Moves to the end of its digits and of its weights.
#if defined(__ARM_FEATURE_DOTPROD)

template <int kQuad>
LR_INLINE void add_quad(int32x4_t& first, int32x4_t& second, int8x16_t w, const int8x16x2_t& digits) {
  first = vdotq_laneq_s32(first, w, digits.val[0], kQuad);
  second = vdotq_laneq_s32(second, w, digits.val[1], kQuad);
}

template <int kBits, int kFrom>
LR_INLINE void add_group(int32x4_t (&first)[kVectors], int32x4_t (&second)[kVectors], const int8x16x2_t& digits,
                         const int8_t*& w) {
  const int8x16x4_t q = next_group(w);
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    if constexpr (kBits == 8) {
      add_quad<kFrom>(first[j], second[j], q.val[j], digits);
    } else {
      add_quad<kFrom>(first[j], second[j], vandq_s8(q.val[j], vdupq_n_s8(15)), digits);
      add_quad<kFrom + 1>(first[j], second[j], vshrq_n_s8(q.val[j], 4), digits);
    }
  }
}

template <int kBits>
LR_INLINE void part_sums(int32x4_t (&sums)[kVectors], int32x4_t start, size_t steps, const int8_t*& digits,
                         const int8_t*& w) {
  int32x4_t first[kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    first[j] = vdupq_n_s32(0);
    sums[j] = start;
  }
  do {
    const int8x16x2_t d = vld1q_s8_x2(digits);
    advance(digits, 2 * kPartStep);
    if constexpr (kBits == 8) {
      add_group<8, 0>(first, sums, d, w);
      add_group<8, 1>(first, sums, d, w);
      add_group<8, 2>(first, sums, d, w);
      add_group<8, 3>(first, sums, d, w);
    } else {
      add_group<4, 0>(first, sums, d, w);
      add_group<4, 2>(first, sums, d, w);
    }
  } while (--steps > 0);
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) sums[j] = vmlaq_n_s32(sums[j], first[j], kBase);
}

#else

// Products of two columns, four values of k each, in a vector.
template <class Sum>
using Halves = Sum[2 * kVectors];

// The integers of 4 bits: a part's products add up within 16 bits, see kPart.
template <bool kFirst>
LR_INLINE void add_products(Halves<int16x8_t>& sums, size_t j, int8x16_t w, int8x16_t x) {
  if constexpr (kFirst) {
    sums[2 * j] = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    sums[2 * j + 1] = vmull_high_s8(w, x);
  } else {
    sums[2 * j] = vmlal_s8(sums[2 * j], vget_low_s8(w), vget_low_s8(x));
    sums[2 * j + 1] = vmlal_high_s8(sums[2 * j + 1], w, x);
  }
}

// Of eight values of k the digits, each quad repeated.
struct Quads {
  int8x16_t first[2], second[2];
};
// Those of half a step; `half` is 0, then 1.
LR_INLINE Quads next_quads(const int8_t*& digits, size_t half) {
  const auto* at = reinterpret_cast<const int32_t*>(digits);
  const int32x4x2_t x = vld2q_dup_s32(at), y = vld2q_dup_s32(at + kPartStep / 4);
  advance(digits, half == 0 ? 8 : 2 * kPartStep - 8);
  return {{vreinterpretq_s8_s32(x.val[0]), vreinterpretq_s8_s32(x.val[1])},
          {vreinterpretq_s8_s32(y.val[0]), vreinterpretq_s8_s32(y.val[1])}};
}

template <bool kFirst>
LR_INLINE void add_group(Halves<int16x8_t>& first, Halves<int16x8_t>& second, const Quads& x, const int8_t*& w) {
  const int8x16x4_t q = next_group(w);
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    const int8x16_t low = vandq_s8(q.val[j], vdupq_n_s8(15)), high = vshrq_n_s8(q.val[j], 4);
    add_products<kFirst>(first, j, low, x.first[0]);
    add_products<kFirst>(second, j, low, x.second[0]);
    add_products<false>(first, j, high, x.first[1]);
    add_products<false>(second, j, high, x.second[1]);
  }
}

LR_INLINE int32x4_t of_columns(int16x8_t a, int16x8_t b) { return vpaddq_s32(vpaddlq_s16(a), vpaddlq_s16(b)); }
LR_INLINE int32x4_t of_columns(int32x4_t a, int32x4_t b) { return vpaddq_s32(a, b); }

template <class Sum>
LR_INLINE void to_columns(int32x4_t (&sums)[kVectors], int32x4_t start, const Halves<Sum>& first,
                          const Halves<Sum>& second) {
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    const int32x4_t low = vaddq_s32(of_columns(second[2 * j], second[2 * j + 1]), start);
    sums[j] = vmlaq_n_s32(low, of_columns(first[2 * j], first[2 * j + 1]), kBase);
  }
}

// Two groups of integers of 8 bits, whose products add up within 16 bits.
LR_INLINE void add_bytes(Halves<int32x4_t>& first, Halves<int32x4_t>& second, const Quads& x, const int8_t*& w) {
  const int8x16x4_t q0 = next_group(w), q1 = next_group(w);
  const auto add = [&](Halves<int32x4_t> & sums, size_t j, const int8x16_t(&d)[2]) __attribute__((always_inline)) {
    Halves<int16x8_t> products;
    add_products<true>(products, 0, q0.val[j], d[0]);
    add_products<false>(products, 0, q1.val[j], d[1]);
    sums[2 * j] = vpadalq_s16(sums[2 * j], products[0]);
    sums[2 * j + 1] = vpadalq_s16(sums[2 * j + 1], products[1]);
  };
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    add(first, j, x.first);
    add(second, j, x.second);
  }
}

template <int kBits>
LR_INLINE void part_sums(int32x4_t (&sums)[kVectors], int32x4_t start, size_t steps, const int8_t*& digits,
                         const int8_t*& w) {
  if constexpr (kBits == 8) {
    Halves<int32x4_t> first, second;
    LR_UNROLL
    for (size_t j = 0; j < 2 * kVectors; ++j) first[j] = second[j] = vdupq_n_s32(0);
    do {
      add_bytes(first, second, next_quads(digits, 0), w);
      add_bytes(first, second, next_quads(digits, 1), w);
    } while (--steps > 0);
    to_columns(sums, start, first, second);
  } else {
    Halves<int16x8_t> first, second;
    add_group<true>(first, second, next_quads(digits, 0), w);
    add_group<false>(first, second, next_quads(digits, 1), w);
    while (--steps > 0) {
      add_group<false>(first, second, next_quads(digits, 0), w);
      add_group<false>(first, second, next_quads(digits, 1), w);
    }
    to_columns(sums, start, first, second);
  }
}

#endif

template <int kBits>
static void multiply_digits(const PanelQ& p, const RowQ& row, float* y) {
  const auto* digits = static_cast<const int8_t*>(row.digits);
  const auto* w = static_cast<const int8_t*>(p.packed);
  const float* sum = row.sums;
  vf total[kVectors] = {splat(0.f), splat(0.f), splat(0.f), splat(0.f)};
  for (PartQ::Place place = PartQ::kInBlock; place != PartQ::kEndsRow;) {
    const auto* const scales = reinterpret_cast<const float*>(w);
    w += (p.offsets ? 2 : 1) * kGemmColumns * sizeof(float);
    do {
      const auto* part = reinterpret_cast<const PartQ*>(digits);
      const vf scale = splat(part->scale);
      place = part->place;
      digits += sizeof(PartQ);
      int32x4_t sums[kVectors];
      part_sums<kBits>(sums, vdupq_n_s32(part->start), part->steps, digits, w);
      LR_UNROLL
      for (size_t j = 0; j < kVectors; ++j)
        total[j] = fma(to_float(vi{sums[j]}) * scale, load(scales + j * kLanes), total[j]);
    } while (place == PartQ::kInBlock);
    if (p.offsets) add_offsets(total, *sum++, scales + kGemmColumns);
  }
  store_all(y, total);
}

// Digits of a step; adds up the values, in units of the second digit, that meet lower halves of bytes.
LR_INLINE void split_step(const float* x, vf inverse, int8_t* digits, int32x4_t& low) {
  int16x4_t words[2][kVectors];
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) {
    const vf t = load(x + j * kLanes) * inverse;
    const int32x4_t first = vcvtnq_s32_f32(t.v);
    const vf rest = (t - to_float(vi{first})) * splat(static_cast<float>(kBase));
    const int32x4_t second = vcvtnq_s32_f32(rest.v);
    if (j % 2 == 0) low = vaddq_s32(vmlaq_n_s32(low, first, kBase), second);
    words[0][j] = vmovn_s32(first);
    words[1][j] = vmovn_s32(second);
  }
  LR_UNROLL
  for (size_t d = 0; d < 2; ++d) {
    const int8x8_t left = vmovn_s16(vcombine_s16(words[d][0], words[d][1]));
    vst1q_s8(digits + d * kPartStep, vcombine_s8(left, vmovn_s16(vcombine_s16(words[d][2], words[d][3]))));
  }
}

// n <= kPart values of k, with zeros up to a whole number of steps.
LR_INLINE bool split_part(const float* x, size_t n, int bits, PartQ::Place place, PartQ* part) {
  const size_t steps = (n + kPartStep - 1) / kPartStep;
  float padded[kPart];
  if (n < steps * kPartStep) {
    for (size_t i = 0; i < steps * kPartStep; ++i) padded[i] = i < n ? x[i] : 0.f;
    x = padded;
  }
  vf greatest = splat(0.f);
  for (size_t i = 0; i < steps * kPartStep; i += kLanes) greatest = max(greatest, abs(load(x + i)));
  const float most = hmax(greatest);
  if (most != 0.f && !(most > kLeast && most < kMost)) return false;
  const vf inverse = splat(most == 0.f ? 0.f : kGreatest / most);
  auto* digits = reinterpret_cast<int8_t*>(part + 1);
  int32x4_t low = vdupq_n_s32(0);
  for (size_t i = 0; i < steps; ++i) split_step(x + i * kPartStep, inverse, digits + 2 * i * kPartStep, low);
  const float unit = most / (kGreatest * static_cast<float>(kBase));
  *part = {unit, bits == 8 ? 0 : -8 * vaddvq_s32(low), static_cast<uint32_t>(steps), place};
  return true;
}

bool split_row_q(const PanelQ& p, const float* a, void* digits) {
  auto* at = static_cast<char*>(digits);
  for (size_t start = 0; start < p.k; start += p.block) {
    const size_t end = p.k - start < p.block ? p.k : start + p.block;
    for (size_t i = start; i < end; i += kPart) {
      const size_t n = end - i < kPart ? end - i : kPart;
      const auto place = i + n < end ? PartQ::kInBlock : end < p.k ? PartQ::kEndsBlock : PartQ::kEndsRow;
      if (!split_part(a + i, n, p.bits, place, reinterpret_cast<PartQ*>(at))) return false;
      at += part_q_bytes(n);
    }
  }
  return true;
}

void multiply_row_q(const PanelQ& p, const RowQ& row, float* y) {
  if (row.digits != nullptr) return p.bits == 8 ? multiply_digits<8>(p, row, y) : multiply_digits<4>(p, row, y);
  p.bits == 8 ? multiply_floats<8>(p, row, y) : multiply_floats<4>(p, row, y);
}

void expand_q(const PanelQ& p, float* y) { p.bits == 8 ? expand<8>(p, y) : expand<4>(p, y); }

}  // namespace LR_TIER
}  // namespace lr

#endif
