// Register tile sizes of each tier. kRows x kVectors accumulators, kVectors weights and one broadcast
// must fit the vector registers (16 on x86 and 32-bit ARM, 32 on aarch64).
#pragma once

#include "simd/simd.h"

namespace lr {
namespace LR_TIER {

struct Tile {
  size_t rows, vectors;
};

#define LR_TILE_scalar \
  Tile { 4, 4 }
#define LR_TILE_sse2 \
  Tile { 4, 2 }
#define LR_TILE_avx2 \
  Tile { 6, 2 }
#if defined(__aarch64__)
#define LR_TILE_neon \
  Tile { 8, 2 }
#else
#define LR_TILE_neon \
  Tile { 4, 2 }
#endif

#define LR_TILE_dotprod LR_TILE_neon

// The same for the integer GEMM, whose vectors hold 4-byte sums.
#define LR_TILE_I8_scalar LR_TILE_scalar
#define LR_TILE_I8_sse2 LR_TILE_sse2
#define LR_TILE_I8_avx2 LR_TILE_avx2
#if defined(__aarch64__)
#define LR_TILE_I8_neon \
  Tile { 4, 4 }
#else
#define LR_TILE_I8_neon LR_TILE_neon
#endif
#define LR_TILE_I8_dotprod \
  Tile { 8, 2 }

constexpr Tile kTile = LR_CONCAT(LR_TILE_, LR_TIER);
constexpr size_t kGemmRows = kTile.rows;
constexpr size_t kGemmVectors = kTile.vectors;
constexpr size_t kGemmColumns = kGemmVectors * kLanes;

constexpr Tile kTileI8 = LR_CONCAT(LR_TILE_I8_, LR_TIER);
constexpr size_t kGemmI8Rows = kTileI8.rows;
constexpr size_t kGemmI8Vectors = kTileI8.vectors;
constexpr size_t kGemmI8Columns = kGemmI8Vectors * kLanes;
#if defined(__ARM_FEATURE_DOTPROD)
constexpr size_t kGemmI8Depth = 4;
#else
constexpr size_t kGemmI8Depth = 2;
#endif

}  // namespace LR_TIER
}  // namespace lr
