// Weights that stay as small as they are stored, and are expanded where they are multiplied.
#pragma once

#include <string>

#include "function_ref.h"
#include "ops/activation.h"
#include "ops/quantized/quantized.h"
#include "ops/workspace.h"
#include "storage.h"

namespace lr {

// Whether the node's quantised constants are stored so by WEIGHT_QUANT.
inline bool is_stored(const NodeDef& node) {
  return node.quant_type == schema::QuantType_QUANT_WEIGHT || node.quant_type == schema::QuantType_WeightQuant;
}

// The integers of an int8 constant: where they lie in the file, or decoded where they have no places there.
StoredIntegers stored_integers(const TensorDef& def);

// Integers of a matrix [n, k] and what they stand for: (q - zero) * scale + shift.
class StoredMatrix {
 public:
  virtual ~StoredMatrix() = default;
  // The integers of `rows` rows from `row` on, [rows, k].
  virtual void read(int64_t row, int64_t rows, int8_t* out) const = 0;
  virtual Affine affine(int64_t row, int64_t block) const = 0;

  int64_t n = 0, k = 0;
  int64_t block = 0;  // columns that share their parameters
  int bits = 8;       // or 4: then all integers less `middle` lie in -8 .. 7
  int middle = 0;

  int64_t blocks() const { return div_up(k, block); }
};

// c = a * transposed weights + bias, with weights packed by panels (PanelQ).
class StoredProduct {
 public:
  // fill(row, rows, a) sets a[t * rows + r] to the k / taps values that tap t of row `row + r` reads.
  using Fill = FunctionRef<void(int64_t row, size_t rows, const float** a)>;

  // For `rows` rows of `a`. `matrix` comes from constant inputs; `layout` tells the packed matrices of a node apart.
  void prepare(Node& node, Workspace& workspace, int64_t rows, int64_t taps, const StoredMatrix& matrix,
               const std::string& layout = "panels of integers");
  // bias may be null. Without `fill` the rows of `a` lie one behind the other, as those of `c` do.
  void run(const Node& node, const float* a, const float* bias, const Epilogue& epilogue, float* c,
           Fill fill = {}) const;

 private:
  // Columns that are expanded together for a part of the rows.
  struct Task {
    int64_t first, last;  // panels
    int64_t row, end;
  };
  Task task(int64_t number) const;
  PanelQ panel(int64_t i) const;
  // `rows` has place for the integers of a panel.
  void pack(const StoredMatrix& matrix, int64_t first, int8_t* rows, uint8_t* panel) const;
  void run_rows(const Node& node, const float* a, const float* bias, const Epilogue& epilogue, float* c) const;
  void run_panels(const Node& node, const float* bias, const Epilogue& epilogue, float* c, Fill fill) const;
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
  size_t sums_ = 0, expanded_ = 0, pointers_ = 0;
  int bits_ = 8;
  bool offsets_ = false;
  size_t panel_bytes_ = 0;
  Buffer weights_;
};

}  // namespace lr
