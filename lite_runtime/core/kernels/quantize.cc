// Between float and int8, and element-wise arithmetic on int8. Nothing here is fused, so that every tier
// rounds alike.
#include "simd/int8.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// y[i .. i + kLanes) = f(i), the last vector in part; f gets the index and the number of elements left.
template <class F>
LR_INLINE void map_to_i8(int8_t* y, size_t n, F f) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_i8(y + i, f(i, kLanes));
  if (i < n) store_i8_part(y + i, f(i, n - i), n - i);
}

LR_INLINE vi load_i8_part(const int8_t* x, size_t n) {
  if (n >= kLanes) return load_i8(x);
  int8_t values[kLanes] = {};
  for (size_t i = 0; i < n; ++i) values[i] = x[i];
  return load_i8(values);
}

#if defined(__AVX512VBMI__) && !LR_IS_SCALAR

// 64 values: each half of the table takes seven bits of them.
struct Table {
  __m512i entries[4];
  LR_MEMBER explicit Table(const uint8_t* table) {
    for (size_t i = 0; i < 4; ++i) entries[i] = _mm512_loadu_si512(table + 64 * i);
  }
  static constexpr size_t kBytes = 64;
  LR_MEMBER void operator()(const uint8_t* x, uint8_t* y) const {
    const __m512i at = _mm512_loadu_si512(x);
    const __m512i low = _mm512_permutex2var_epi8(entries[0], at, entries[1]);
    const __m512i high = _mm512_permutex2var_epi8(entries[2], at, entries[3]);
    _mm512_storeu_si512(y, _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, high));
  }
};

#elif defined(__AVX2__) && !LR_IS_SCALAR

// 32 values: of each 16 entries those whose number has the same upper half are picked, the others give 0.
struct Table {
  __m256i entries[16];
  LR_MEMBER explicit Table(const uint8_t* table) {
    for (size_t i = 0; i < 16; ++i) {
      entries[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
    }
  }
  static constexpr size_t kBytes = 32;
  LR_MEMBER void operator()(const uint8_t* x, uint8_t* y) const {
    const __m256i at = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)), past = _mm256_set1_epi8(0x70);
    __m256i found = _mm256_setzero_si256();
    LR_UNROLL
    for (size_t i = 0; i < 16; ++i) {
      const __m256i other = _mm256_xor_si256(at, _mm256_set1_epi8(static_cast<char>(16 * i)));
      found = _mm256_or_si256(found, _mm256_shuffle_epi8(entries[i], _mm256_adds_epu8(other, past)));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), found);
  }
};

#elif defined(__aarch64__) && !LR_IS_SCALAR

// 16 values, in four tables of 64: an index outside leaves what was there.
struct Table {
  uint8x16x4_t entries[4];
  LR_MEMBER explicit Table(const uint8_t* table) {
    for (size_t i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) entries[i].val[j] = vld1q_u8(table + 64 * i + 16 * static_cast<size_t>(j));
    }
  }
  static constexpr size_t kBytes = 16;
  LR_MEMBER void operator()(const uint8_t* x, uint8_t* y) const {
    const uint8x16_t step = vdupq_n_u8(64);
    uint8x16_t at = vld1q_u8(x);
    uint8x16_t found = vqtbl4q_u8(entries[0], at);
    LR_UNROLL
    for (size_t i = 1; i < 4; ++i) {
      at = vsubq_u8(at, step);
      found = vqtbx4q_u8(found, entries[i], at);
    }
    vst1q_u8(y, found);
  }
};

#else

struct Table {
  const uint8_t* entries;
  LR_MEMBER explicit Table(const uint8_t* table) : entries(table) {}
  static constexpr size_t kBytes = 4;
  LR_MEMBER void operator()(const uint8_t* x, uint8_t* y) const {
    const uint8_t found[kBytes] = {entries[x[0]], entries[x[1]], entries[x[2]], entries[x[3]]};
    __builtin_memcpy(y, found, kBytes);
  }
};

#endif

void look_up_u8(const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table) {
  const Table find(table);
  size_t i = 0;
  for (; i + Table::kBytes <= n; i += Table::kBytes) find(x + i, y + i);
  for (; i < n; ++i) y[i] = table[x[i]];
}

// Vectors whose results are narrowed together.
#if defined(LR_FOUR_TOGETHER)
constexpr size_t kVectors = 4;
LR_INLINE void store_block(int8_t* y, const vf (&x)[kVectors], const Limits& limits) { store_four(y, x, limits); }
#else
constexpr size_t kVectors = kTogether;
LR_INLINE void store_block(int8_t* y, const vf (&x)[kVectors], const Limits& limits) { store_together(y, x, limits); }
#endif
#if defined(LR_FOUR_TOGETHER) && defined(__aarch64__)
LR_INLINE void load_less(const int8_t* x, int32_t zero, vf (&y)[kVectors]) {
  const int8x16_t bytes = vld1q_s8(x);
  const int8x8_t z = vdup_n_s8(static_cast<int8_t>(zero));
  const int16x8_t low = vsubl_s8(vget_low_s8(bytes), z), high = vsubl_s8(vget_high_s8(bytes), z);
  y[0] = to_float({vmovl_s16(vget_low_s16(low))});
  y[1] = to_float({vmovl_high_s16(low)});
  y[2] = to_float({vmovl_s16(vget_low_s16(high))});
  y[3] = to_float({vmovl_high_s16(high)});
}
#else
LR_INLINE void load_less(const int8_t* x, int32_t zero, vf (&y)[kVectors]) {
  LR_UNROLL
  for (size_t j = 0; j < kVectors; ++j) y[j] = to_float(load_i8(x + j * kLanes) - splat_i(zero));
}
#endif
constexpr size_t kBlock = kVectors * kLanes;

void quantize_i8(const float* x, int8_t* y, size_t n, float scale, int32_t zero) {
  const vf divisor = splat(scale), nothing = splat(0.f);
  size_t done = 0;
#if defined(LR_FOUR_TOGETHER) && defined(__aarch64__)  // whose conversion makes 0 of not-a-number
  const Limits limits(zero, -128, 127);
  for (; zero == static_cast<int8_t>(zero) && done + kBlock <= n; done += kBlock) {
    vf v[kVectors];
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) v[j] = load(x + done + j * kLanes) / divisor;
    store_block(y + done, v, limits);
  }
#endif
  const Requantize requantize(zero, -128, 127);
  map_to_i8(y + done, n - done, [&](size_t i, size_t left) {
    const float* from = x + done + i;
    const vf v = left >= kLanes ? load(from) : load_part(from, left);
    return requantize(select(v == v, v / divisor, nothing));
  });
}

void dequantize_i8(const int8_t* x, float* y, size_t n, float scale, int32_t zero) {
  const vi z = splat_i(zero);
  const vf s = splat(scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, to_float(load_i8(x + i) - z) * s);
  if (i < n) store_part(y + i, to_float(load_i8_part(x + i, n - i) - z) * s, n - i);
}

// z = f(x, y) of what remains of each value less its zero point.
template <class F>
LR_INLINE void map2_i8(const int8_t* x, const int8_t* y, int8_t* z, size_t n, const BinaryI8& b, const F& f) {
  const Limits limits(b.zero, b.lo, b.hi);
  const auto block = [&](const int8_t* from_x, const int8_t* from_y, int8_t* to) __attribute__((always_inline)) {
    vf u[kVectors], v[kVectors];
    load_less(from_x, b.x_zero, u);
    load_less(from_y, b.y_zero, v);
    LR_UNROLL
    for (size_t j = 0; j < kVectors; ++j) u[j] = f(u[j], v[j]);
    store_block(to, u, limits);
  };
  int8_t last[3][kBlock] = {};
  for (size_t i = 0; i < n; i += kBlock) {
    const size_t left = n - i;
    const bool whole = left >= kBlock;
    for (size_t j = 0; !whole && j < left; ++j) {
      last[0][j] = x[i + j];
      last[1][j] = y[i + j];
    }
    block(whole ? x + i : last[0], whole ? y + i : last[1], whole ? z + i : last[2]);
    if (!whole) copy_part<kBlock>(z + i, last[2], left);
  }
}

void add_i8(const int8_t* x, const int8_t* y, int8_t* z, size_t n, const BinaryI8& b) {
  const vf x_scale = splat(b.x_scale), y_scale = splat(b.y_scale);
  map2_i8(
      x, y, z, n, b, [&](vf p, vf q) __attribute__((always_inline)) { return p * x_scale + q * y_scale; });
}

void mul_i8(const int8_t* x, const int8_t* y, int8_t* z, size_t n, const BinaryI8& b) {
  const vf scale = splat(b.x_scale);
  map2_i8(
      x, y, z, n, b, [&](vf p, vf q) __attribute__((always_inline)) { return p * q * scale; });
}

}  // namespace LR_TIER
}  // namespace lr
