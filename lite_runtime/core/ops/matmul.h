// The geometry of MatMulFusion and FullConnection, for any element type.
#pragma once

#include "ops/gemm.h"

namespace lr {

// c = a * b + bias for stacks of matrices: which are multiplied, and how they are stored.
struct MatrixGeometry {
  int64_t m = 0, k = 0, n = 0;
  bool transpose_a = false, transpose_b = false;  // a is stored [k, m], b is stored [n, k]
  // The leading dimensions of the result; `a` and `b` are the steps in stored matrices, 0 to broadcast.
  struct Lead {
    int64_t size, a, b;
  };
  std::vector<Lead> lead;
  int64_t products = 1, a_count = 1, b_count = 1;  // results and stored matrices
  Shape out;

  GemmShape gemm() const { return {products, m, 1, k, n}; }
  // Which stored matrix product i uses.
  int64_t stored(int64_t i, int64_t Lead::*step) const {
    int64_t index = 0;
    for (auto d = lead.rbegin(); d != lead.rend(); ++d) {
      index += i % d->size * ((*d).*step);
      i /= d->size;
    }
    return index;
  }
};

// (a, b[, bias]) with NumPy's rules: leading dimensions broadcast; a vector on the left is a row, on the
// right a column, and its dimension vanishes from the result. Checks shapes only.
MatrixGeometry fit_matmul(const Node& node);
// (x, weights [n, k][, bias]): x as rows of k values. With use_axis the dimensions from `axis` on form a row.
MatrixGeometry fit_full_connection(const Node& node);

}  // namespace lr
