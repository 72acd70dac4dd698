// Weights that stay as small as they are stored, and are expanded where they are multiplied.
#pragma once

#include "ops/matmul.h"

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
  // For `rows` rows of `a`. `matrix` comes from constant inputs, of which input 1 is decoded while it is packed.
  void prepare(Node& node, int64_t rows, const StoredMatrix& matrix);
  // bias may be null.
  void run(Node& node, const float* bias, const FusedActivation& activation) const;

 private:
  PanelQ panel(int64_t i) const;
  void pack(const StoredMatrix& matrix, int64_t first, uint8_t* panel) const;
  void run_rows(Node& node, const float* bias, const Epilogue& epilogue) const;
  void run_panels(Node& node, const float* bias, const Epilogue& epilogue) const;
  int64_t panel_floats() const { return static_cast<int64_t>(kernels().gemm_nr) * (1 + k_); }
  int64_t panels() const { return div_up(n_, static_cast<int64_t>(kernels().gemm_nr)); }

  int64_t rows_ = 0, n_ = 0, k_ = 0, block_ = 0;
  int64_t block_panels_ = 1;  // expanded together
  int bits_ = 8;
  bool offsets_ = false;
  size_t panel_bytes_ = 0;
  Buffer weights_;
};

}  // namespace lr
