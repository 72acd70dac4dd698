// Matrix products over packed weights, cut into tiles for the threads.
#pragma once

#include <algorithm>

#include "ops/activation.h"
#include "ops/workspace.h"

namespace lr {

// `batches` products of rows x (taps * k) by (taps * k) x n.
struct GemmShape {
  int64_t batches = 1, rows = 0, taps = 1, k = 0, n = 0;
  int64_t cost() const { return std::max<int64_t>(1, taps * k); }  // multiply-adds per result
  int64_t packed_floats() const {                                  // of one product's weights
    return static_cast<int64_t>(
        packed_gemm_f32_bytes(static_cast<size_t>(taps), static_cast<size_t>(k), static_cast<size_t>(n)) /
        sizeof(float));
  }
};

// Multiply-adds worth a thread.
constexpr int64_t kGemmGrain = 1 << 16;

// One task computes gemm_mr rows by `columns` columns. Tasks that follow each other share the weights of
// their columns, which fit the second-level cache.
class GemmTiles {
 public:
  GemmTiles() = default;
  GemmTiles(const GemmShape& shape, int threads);

  // Bytes of all threads' pointer arrays.
  size_t pointer_bytes(int threads) const;

  // Computes all products on the node's threads.
  //   operands(batch) -> {packed weights, first result row}; rows of results lie c_stride apart.
  //   fill(batch, row, rows, a) sets a[t * rows + r] to the k floats that tap t of row `row + r` reads.
  template <class Operands, class Fill>
  void run(const Node& node, const Epilogue& epilogue, size_t c_stride, const float** pointers,
           const Operands& operands, const Fill& fill) const {
    node.pool->run(tasks(), grain_, [&](int64_t begin, int64_t end, int thread) {
      const float** a = pointers + static_cast<size_t>(thread) * pointers_per_thread();
      for (int64_t task = begin; task < end; ++task) {
        const int64_t row = task % row_tiles_ * mr_;
        const int64_t column = task / row_tiles_ % column_blocks_ * columns_;
        const int64_t batch = task / row_tiles_ / column_blocks_;
        const auto [w, c] = operands(batch);
        GemmF32 g;
        g.a = a;
        g.rows = static_cast<size_t>(std::min(mr_, shape_.rows - row));
        g.taps = static_cast<size_t>(shape_.taps);
        g.k = static_cast<size_t>(shape_.k);
        g.n = static_cast<size_t>(std::min(columns_, shape_.n - column));
        g.w = w + column * (1 + shape_.taps * shape_.k);
        g.c = c + row * static_cast<int64_t>(c_stride) + column;
        g.c_stride = c_stride;
        g.lo = epilogue.low();
        g.hi = epilogue.high();
        fill(batch, row, g.rows, a);
        kernels().gemm_f32(g);
        epilogue.finish_rows(g.c, g.rows, c_stride, g.n);
      }
    });
  }

 private:
  int64_t tasks() const { return shape_.n > 0 ? shape_.batches * row_tiles_ * column_blocks_ : 0; }
  size_t pointers_per_thread() const { return static_cast<size_t>(shape_.taps * mr_); }

  GemmShape shape_;
  int64_t mr_ = 1, columns_ = 1;
  int64_t row_tiles_ = 0, column_blocks_ = 0;
  int64_t grain_ = 1;
};

}  // namespace lr
