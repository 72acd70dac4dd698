// Matrix products over packed weights, cut into tiles for the threads.
#pragma once

#include <algorithm>
#include <cstring>

#include "ops/activation.h"
#include "ops/workspace.h"

namespace lr {

// `batches` products of rows x (taps * k) by (taps * k) x n.
struct GemmShape {
  int64_t batches = 1, rows = 0, taps = 1, k = 0, n = 0;
  bool scaled = false;                                             // rows are multiplied by a factor for each k first
  int64_t cost() const { return std::max<int64_t>(1, taps * k); }  // multiply-adds per result
  int64_t packed_floats() const {                                  // of one product's weights
    return static_cast<int64_t>(
        packed_gemm_f32_bytes(static_cast<size_t>(taps), static_cast<size_t>(k), static_cast<size_t>(n)) /
        sizeof(float));
  }
};

// Multiply-adds worth a thread.
constexpr int64_t kGemmGrain = 1 << 16;

// The tile of a micro-kernel.
struct GemmTile {
  size_t rows, columns, weight_bytes;
};
inline GemmTile f32_tile() { return {kernels().gemm_mr, kernels().gemm_nr, sizeof(float)}; }
inline GemmTile i8_tile() { return {kernels().gemm_i8_mr, kernels().gemm_i8_nr, sizeof(int8_t)}; }

// One task computes a tile's rows by `columns` columns. Tasks that follow each other share the weights of
// their columns, which fit the second-level cache. Where there are rows enough, each thread begins with a group of
// neighbouring ones and all their columns: what it reads it has often written itself.
class GemmTiles {
 public:
  GemmTiles() = default;
  GemmTiles(const GemmShape& shape, int threads, const GemmTile& tile = f32_tile());

  // Whether each thread begins with rows of its own.
  static bool shares_rows(int64_t rows, int threads, const GemmTile& tile = f32_tile());

  // Whether scaling rows as they are read is better than a pass of its own: there are many, read just once.
  static bool pays_to_scale(const GemmShape& shape);
  static constexpr bool kScales = has_op(schema::PrimitiveType_MulFusion);

  // Bytes of all threads' pointer arrays.
  size_t pointer_bytes(int threads) const;

  // For `fill`, of a shape that is scaled: has the rows times these factors read instead of the rows.
  void scale(const float** a, size_t rows, const float* factors) const {
    const auto k = static_cast<size_t>(shape_.k);
    replace(a, rows, [=](const float* row, float* to) { kernels().binary.mul.vv(row, factors, to, k); });
  }

  // Calls compute(batch, row, rows, column, columns, a) for all tiles, on the node's threads.
  //   fill(batch, row, rows, a) sets a[t * rows + r] to the k values that tap t of row `row + r` reads.
  template <class T, class Fill, class Compute>
  void each(const Node& node, const T** pointers, const Fill& fill, const Compute& compute) const {
    node.pool->run(tasks(), grain_, [&](int64_t begin, int64_t end, int thread) {
      const T** a = pointers + static_cast<size_t>(thread) * pointers_per_thread();
      // The rows of a group, block of columns by block; then the next group's.
      int64_t tile = begin % group_tiles_, rest = begin / group_tiles_;
      int64_t block = rest % column_blocks_;
      rest /= column_blocks_;
      int64_t group = rest % groups_, batch = rest / groups_;
      for (int64_t task = begin; task < end; ++task) {
        const int64_t row = (group * group_tiles_ + tile) * mr_, column = block * columns_;
        if (row < shape_.rows) {
          const auto rows = static_cast<size_t>(std::min(mr_, shape_.rows - row));
          fill(batch, row, rows, a);
          if (spreads_) spread(a, rows);
          compute(batch, row, rows, column, static_cast<size_t>(std::min(columns_, shape_.n - column)),
                  static_cast<const T* const*>(a));
        }
        if (++tile < group_tiles_) continue;
        tile = 0;
        if (++block < column_blocks_) continue;
        block = 0;
        if (++group < groups_) continue;
        group = 0;
        ++batch;
      }
    });
  }

  // Computes all products of floats.
  //   operands(batch) -> {packed weights, first result row}; rows of results lie c_stride apart.
  //   fill(batch, row, rows, a) sets a[t * rows + r] to the k floats that tap t of row `row + r` reads.
  template <class Operands, class Fill>
  void run(const Node& node, const Epilogue& epilogue, size_t c_stride, const float** pointers,
           const Operands& operands, const Fill& fill) const {
    each(node, pointers, fill,
         [&](int64_t batch, int64_t row, size_t rows, int64_t column, size_t columns, const float* const* a) {
           const auto [w, c] = operands(batch);
           GemmF32 g;
           g.a = a;
           g.rows = rows;
           g.taps = static_cast<size_t>(shape_.taps);
           g.k = static_cast<size_t>(shape_.k);
           g.n = columns;
           g.w = w + column * (1 + shape_.taps * shape_.k);
           g.c = c + row * static_cast<int64_t>(c_stride) + column;
           g.c_stride = c_stride;
           g.lo = epilogue.low();
           g.hi = epilogue.high();
           look_ahead(g, row, column);
           kernels().gemm_f32(g);
           epilogue.finish_rows(g.c, g.rows, c_stride, g.n);
         });
  }

 private:
  // The tasks of a block of columns bring the next block's weights, which follow its own, into the cache, each a part.
  void look_ahead(GemmF32& g, int64_t row, int64_t column) const {
    const bool last = column + columns_ >= shape_.n;
    if (last && shape_.batches == 1) return;
    const auto* own = reinterpret_cast<const char*>(g.w);
    const int64_t of_group = row % (group_tiles_ * mr_);
    g.ahead = own + static_cast<int64_t>(g.n * sizeof(float)) * shape_.cost() + of_group * ahead_per_row_;
    g.ahead_step = ahead_step_;
  }
  // Moves rows a multiple of 4096 bytes apart away from each other: they would push each other out of the first-level
  // cache, whose sets are chosen by the address within so many.
  template <class T>
  void spread(const T** a, size_t rows) const {
    if (rows < kMostInSet ||
        (reinterpret_cast<uintptr_t>(a[1]) - reinterpret_cast<uintptr_t>(a[0])) % kSetDistance != 0)
      return;
    const auto k = static_cast<size_t>(shape_.k);
    replace(a, rows, [=](const T* row, T* to) { std::memcpy(to, row, k * sizeof(T)); });
  }
  // Calls copy(row, to) for all rows, and has the copies read instead.
  template <class T, class Copy>
  void replace(const T** a, size_t rows, const Copy& copy) const {
    T* to = reinterpret_cast<T*>(const_cast<T**>(a) + mr_);
    for (size_t r = 0; r < rows; ++r, to += shape_.k + static_cast<int64_t>(kSpread)) {
      copy(a[r], to);
      a[r] = to;
    }
  }
  int64_t tasks() const { return shape_.n > 0 ? shape_.batches * groups_ * column_blocks_ * group_tiles_ : 0; }
  // With places for copies of rows of floats, half a pointer each, behind them.
  size_t pointers_per_thread() const {
    const int64_t copied = spreads_ || (kScales && shape_.scaled) ? shape_.k + static_cast<int64_t>(kSpread) : 0;
    return static_cast<size_t>(shape_.taps * mr_ + div_up(mr_ * copied, 2));
  }
  static constexpr size_t kSetDistance = 4096, kMostInSet = 8, kSpread = 16;

  GemmShape shape_;
  int64_t mr_ = 1, columns_ = 1;
  int64_t column_blocks_ = 0;
  int64_t groups_ = 1, group_tiles_ = 0;  // of neighbouring rows, and tiles of rows in each
  int64_t grain_ = 1;
  bool spreads_ = false;
  size_t ahead_step_ = 0;      // bytes of the next block's weights per step of a panel
  int64_t ahead_per_row_ = 0;  // and per row of a whole block
};

}  // namespace lr
