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

constexpr Tile kTile = LR_CONCAT(LR_TILE_, LR_TIER);
constexpr size_t kGemmRows = kTile.rows;
constexpr size_t kGemmVectors = kTile.vectors;
constexpr size_t kGemmColumns = kGemmVectors * kLanes;

}  // namespace LR_TIER
}  // namespace lr
