#include "ops/gemm.h"

namespace lr {

namespace {
// Weights of one block of columns; leaves room in a 512 KB second-level cache for the rows streaming by.
constexpr int64_t kBlockBytes = 256 * 1024;
// Where a thread has no rows of its own.
constexpr int64_t kTasksPerThread = 12;
// A thread's rows of its own are at least so many tiles.
constexpr int64_t kGroupTiles = 3;
constexpr int64_t kScaledRows = 512;
}  // namespace

GemmTiles::GemmTiles(const GemmShape& shape, int threads, const GemmTile& tile)
    : shape_(shape), mr_(static_cast<int64_t>(tile.rows)) {
  const int64_t row_tiles = div_up(shape.rows, mr_);
  const auto nr = static_cast<int64_t>(tile.columns);
  const int64_t panels = std::max<int64_t>(1, div_up(shape.n, nr));
  int64_t blocks = 1;
  if (row_tiles > 1) {
    const int64_t bytes = static_cast<int64_t>(tile.weight_bytes) * panels * nr * shape.cost();
    blocks = div_up(bytes, kBlockBytes);
  }
  if (shape.batches == 1 && shares_rows(shape.rows, threads, tile)) groups_ = threads;
  const int64_t products = shape.batches * row_tiles;
  if (threads > groups_ && products > 0) blocks = std::max(blocks, div_up(kTasksPerThread * threads, products));
  columns_ = div_up(panels, std::min(blocks, panels)) * nr;
  column_blocks_ = div_up(panels * nr, columns_);
  group_tiles_ = div_up(row_tiles, groups_);
  if (row_tiles > 0) {
    ahead_step_ = tile.columns * tile.weight_bytes / static_cast<size_t>(group_tiles_);
    ahead_per_row_ = columns_ / nr * shape.cost() * static_cast<int64_t>(ahead_step_) / mr_;
  }
#if defined(__x86_64__)
  const size_t row = static_cast<size_t>(shape.k) * tile.weight_bytes;
  spreads_ = shape.taps == 1 && tile.weight_bytes == sizeof(float) && row > 0 && 2 * row % kSetDistance == 0;
#endif
  grain_ = std::max<int64_t>(1, kGemmGrain / (std::min(mr_, shape.rows) * columns_ * shape.cost() + 1));
}

bool GemmTiles::shares_rows(int64_t rows, int threads, const GemmTile& tile) {
  return div_up(rows, static_cast<int64_t>(tile.rows)) >= kGroupTiles * threads;
}

bool GemmTiles::pays_to_scale(const GemmShape& shape) {
  return shape.rows >= kScaledRows && shape.n * shape.cost() * static_cast<int64_t>(sizeof(float)) <= kBlockBytes;
}

size_t GemmTiles::pointer_bytes(int threads) const {
  const Shape pointers{threads, static_cast<int64_t>(pointers_per_thread())};
  return static_cast<size_t>(pointers.count()) * sizeof(const float*);
}

}  // namespace lr
