// The instruction-set tiers of this build, best first, and what each needs from the CPU.
#pragma once

#include "kernels.h"

// X(tier, function telling whether this CPU can run it, and what else is given). A new tier is one entry here and its
// flags in CMakeLists.txt; simd/simd.h and tile.h choose by what the flags enable.
#if defined(LR_OPS) && (defined(__x86_64__) || defined(__aarch64__))
#define LR_SCALAR_TIER(X, ...)  // only for comparisons where every CPU can do better
#else
#define LR_SCALAR_TIER(X, ...) X(scalar, has_baseline, __VA_ARGS__)
#endif
#if defined(__x86_64__)
#define LR_TIERS(X, ...)             \
  X(amx, has_amx, __VA_ARGS__)       \
  X(vnni, has_vnni, __VA_ARGS__)     \
  X(avx512, has_avx512, __VA_ARGS__) \
  X(avx2, has_avx2, __VA_ARGS__) X(sse2, has_baseline, __VA_ARGS__) LR_SCALAR_TIER(X, __VA_ARGS__)
#elif defined(__aarch64__)
#define LR_TIERS(X, ...)         \
  X(i8mm, has_i8mm, __VA_ARGS__) \
  X(dotprod, has_dotprod, __VA_ARGS__) X(neon, has_baseline, __VA_ARGS__) LR_SCALAR_TIER(X, __VA_ARGS__)
#elif defined(__arm__)
#define LR_TIERS(X, ...) X(neon, has_neon_vfpv4, __VA_ARGS__) LR_SCALAR_TIER(X, __VA_ARGS__)
#else
#define LR_TIERS(X, ...) LR_SCALAR_TIER(X, __VA_ARGS__)
#endif

namespace lr {

#define LR_DECLARE_TIER(tier, ...) \
  namespace tier {                 \
  extern const Kernels table;      \
  }
LR_TIERS(LR_DECLARE_TIER)
#undef LR_DECLARE_TIER

struct Tier {
  const Kernels* table;
  bool available;  // on this CPU
};

// All tiers of this build, best first; *count of them.
const Tier* tiers(size_t* count);

// Packing for a given tier.
void pack_gemm_f32(const Kernels& tier, const float* w, size_t tap_stride, size_t k_stride, size_t n_stride,
                   const float* bias, size_t taps, size_t k, size_t n, float* packed);
void pack_depthwise_f32(const Kernels& tier, const float* w, size_t tap_stride, size_t channel_stride,
                        const float* bias, size_t taps, size_t channels, float* packed);
void pack_gemm_i8(const Kernels& tier, const int8_t* w, size_t tap_stride, size_t k_stride, size_t n_stride,
                  size_t taps, size_t k, size_t n, int8_t* packed);
size_t packed_gemm_i8_bytes(const Kernels& tier, size_t taps, size_t k, size_t n);
size_t packed_depthwise_i8_bytes(const Kernels& tier, size_t taps, size_t channels);
void pack_depthwise_i8(const Kernels& tier, const int8_t* w, size_t tap_stride, size_t channel_stride, size_t taps,
                       size_t channels, int8_t* packed);

}  // namespace lr
