// Weights that stay as small as they are stored, and are expanded where they are multiplied.
#pragma once

#include "function_ref.h"
#include "ops/matmul.h"
#include "ops/workspace.h"

namespace lr {

// Integers of a matrix [n, k] and what they stand for: (q - zero) * scale + shift.
class StoredMatrix {
 public:
  virtual ~StoredMatrix() = default;
  virtual int value(int64_t row, int64_t column) const = 0;
  virtual Affine affine(int64_t row, int64_t block) const = 0;

  int64_t n = 0, k = 0;
  int64_t block = 0;  // columns that share their parameters
  int bits = 8;       // or 4: then all integers less `middle` lie in -8 .. 7
  int middle = 0;

  int64_t blocks() const { return div_up(k, block); }
};

// a * transposed weights + bias, with weights packed by panels (PanelQ).
class StoredProduct {
 public:
  // fill(row, rows, a) sets a[t * rows + r] to the k / taps values that tap t of row `row + r` reads.
  using Fill = FunctionRef<void(int64_t row, size_t rows, const float** a)>;

  // For `rows` rows of `a`. `matrix` comes from constant inputs, of which input 1 is decoded while it is packed.
  void prepare(Node& node, int64_t rows, int64_t taps, const StoredMatrix& matrix);
  // bias may be null. Without `fill` the rows of input 0 are read.
  void run(Node& node, const float* bias, const FusedActivation& activation, Fill fill = {}) const;

 private:
  // Columns that are expanded together for a part of the rows.
  struct Task {
    int64_t first, last;  // panels
    int64_t row, end;
  };
  Task task(int64_t number) const;
  PanelQ panel(int64_t i) const;
  void pack(const StoredMatrix& matrix, int64_t first, uint8_t* panel) const;
  void run_rows(Node& node, const float* bias, const Epilogue& epilogue) const;
  void run_panels(Node& node, const float* bias, const Epilogue& epilogue, Fill fill) const;
  int64_t panel_floats() const { return static_cast<int64_t>(kernels().gemm_nr) * (1 + k_); }
  int64_t blocks() const { return div_up(k_, block_); }
  int64_t digits() const {
    return static_cast<int64_t>(row_q_floats(static_cast<size_t>(k_), static_cast<size_t>(block_), kernels().quads));
  }
  int64_t panels() const { return div_up(n_, static_cast<int64_t>(kernels().gemm_nr)); }

  bool one_by_one() const;

  int64_t rows_ = 0, taps_ = 1, n_ = 0, k_ = 0, block_ = 0;
  int64_t block_panels_ = 1;  // expanded together
  int64_t task_rows_ = 1;
  Workspace workspace_;
  size_t sums_ = 0, expanded_ = 0, pointers_ = 0;
  int bits_ = 8;
  bool offsets_ = false;
  size_t panel_bytes_ = 0;
  Buffer weights_;
};

}  // namespace lr
