// Register tiles of the GEMMs on each tier. Their rows x vectors accumulators, a vector of weights per column of
// vectors and a broadcast must fit the vector registers (16 on x86 and 32-bit ARM, 32 on aarch64 and with AVX-512).
#pragma once

#include "simd/simd.h"

namespace lr {
namespace LR_TIER {

// Of the float and of the integer kernels, which a tier may have from different tiers (table.h).
#if defined(__AVX512F__) && !LR_IS_SCALAR
constexpr size_t kFloatLanes = 16;
#if defined(__AVX512VNNI__)
constexpr size_t kIntegerLanes = 16;
#else
constexpr size_t kIntegerLanes = 8;
#endif
#else
constexpr size_t kFloatLanes = kLanes, kIntegerLanes = kLanes;
#endif

#if LR_IS_SCALAR
constexpr size_t kGemmRows = 4, kGemmVectors = 4;
#elif defined(__AVX512F__)
constexpr size_t kGemmRows = 14, kGemmVectors = 2;
#elif defined(__AVX2__)
constexpr size_t kGemmRows = 6, kGemmVectors = 2;
#elif defined(__aarch64__)
// gemm_aarch64.cc, whose tile has 4 rows
#define LR_OWN_GEMM 1
constexpr size_t kGemmRows = 16, kGemmVectors = 4;
#else  // SSE2 and 32-bit NEON
constexpr size_t kGemmRows = 4, kGemmVectors = 2;
#endif
constexpr size_t kGemmColumns = kGemmVectors * kFloatLanes;

// The same for the integer GEMM, whose vectors hold 4-byte sums of kGemmI8Depth products each.
#if defined(__ARM_FEATURE_MATMUL_INT8) && !LR_IS_SCALAR
#define LR_BLOCKS 1  // the instruction multiplies two rows by two columns
constexpr size_t kGemmI8Rows = 8, kGemmI8Vectors = 2, kGemmI8Depth = 8;
#elif defined(__ARM_FEATURE_DOTPROD) && !LR_IS_SCALAR
// gemm_i8_aarch64.cc, whose tile has 4 rows
#define LR_OWN_GEMM_I8 1
constexpr size_t kGemmI8Rows = 16, kGemmI8Vectors = 4, kGemmI8Depth = 4;
#elif defined(LR_TILES)
constexpr size_t kGemmI8Rows = 28, kGemmI8Vectors = 2, kGemmI8Depth = 4;
#elif defined(__AVX512VNNI__)
constexpr size_t kGemmI8Rows = 14, kGemmI8Vectors = 2, kGemmI8Depth = 4;
#elif defined(__AVX2__)
constexpr size_t kGemmI8Rows = 6, kGemmI8Vectors = 2, kGemmI8Depth = 2;
#elif defined(__aarch64__) && !LR_IS_SCALAR
constexpr size_t kGemmI8Rows = 4, kGemmI8Vectors = 4, kGemmI8Depth = 2;
#else
constexpr size_t kGemmI8Rows = kGemmRows, kGemmI8Vectors = kGemmVectors, kGemmI8Depth = 2;
#endif
#if !defined(LR_BLOCKS)
#define LR_BLOCKS 0
#endif
constexpr size_t kGemmI8Columns = kGemmI8Vectors * kIntegerLanes;
#if defined(__AVX512VNNI__)  // its dot product takes unsigned values on one side
constexpr int32_t kGemmI8Shift = 128;
#else
constexpr int32_t kGemmI8Shift = 0;
#endif

// Groups of channels (vectors) that the float depthwise kernel computes together, for seven pixels.
#if defined(__aarch64__) && !LR_IS_SCALAR
constexpr size_t kDepthwiseGroups = 2;
#else
constexpr size_t kDepthwiseGroups = 1;
#endif

// The order of integers that stored weights have in panels (PanelQ).
#if defined(__aarch64__) && !LR_IS_SCALAR
#define LR_QUADS 1  // weights_q_aarch64.cc
#else
#define LR_QUADS 0
#endif

// Taps of a column that the integer depthwise kernel multiplies together.
#if defined(__ARM_FEATURE_DOTPROD) && !LR_IS_SCALAR
constexpr size_t kDepthwiseI8Depth = 4;
#else
constexpr size_t kDepthwiseI8Depth = 2;
#endif

}  // namespace LR_TIER
}  // namespace lr
