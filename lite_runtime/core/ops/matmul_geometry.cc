#include <algorithm>

#include "ops/matmul.h"

namespace lr {

namespace {

void check_bias(const Node& node, int64_t n) {
  if (!node.has(2) || node.in[2]->count() == n) return;
  node.invalid("bias of shape %s does not fit %lld columns", node.in[2]->shape.str().c_str(),
               static_cast<long long>(n));
}

// Sets which matrices are multiplied; returns the broadcast leading dimensions.
Shape pair_matrices(const Node& node, const Shape& a, const Shape& b, MatrixGeometry& g) {
  const int la = a.rank() - 2, lb = b.rank() - 2, rank = std::max(la, lb);
  g.a_count = a.count(0, la);
  g.b_count = b.count(0, lb);
  Shape lead;
  int64_t a_step = g.a_count, b_step = g.b_count;
  for (int d = 0; d < rank; ++d) {
    const int64_t x = d < rank - la ? 1 : a[d - (rank - la)], y = d < rank - lb ? 1 : b[d - (rank - lb)];
    if (x != y && x != 1 && y != 1) {
      node.invalid("the leading dimensions of %s and %s do not broadcast", a.str().c_str(), b.str().c_str());
    }
    lead.push_back(x == 1 ? y : x);
    a_step /= std::max<int64_t>(1, x);
    b_step /= std::max<int64_t>(1, y);
    g.lead.push_back({lead[d], x == 1 ? 0 : a_step, y == 1 ? 0 : b_step});
  }
  g.products = lead.count();
  if (g.b_count == 1 && !g.transpose_a) {  // one tall product is faster than many that share b
    g.m *= g.a_count;
    g.a_count = g.products = 1;
    g.lead.clear();
  }
  return lead;
}

}  // namespace

MatrixGeometry fit_matmul(const Node& node) {
  const auto* attr = node.attr<schema::MatMulFusion>();
  node.expect_inputs(2, 3);
  MatrixGeometry g;
  Shape a = node.in[0]->shape, b = node.in[1]->shape;
  if (a.rank() == 0 || b.rank() == 0) {
    node.invalid("inputs %s and %s: one is a scalar", a.str().c_str(), b.str().c_str());
  }
  const bool row = a.rank() == 1, column = b.rank() == 1;
  if (row) a.insert(0, 1);
  if (column) b.push_back(1);
  g.transpose_a = !row && attr->transpose_a();
  g.transpose_b = !column && attr->transpose_b();
  const int ra = a.rank(), rb = b.rank();
  const int64_t rows = a[g.transpose_a ? ra - 1 : ra - 2], depth = b[g.transpose_b ? rb - 1 : rb - 2];
  g.m = rows;
  g.k = a[g.transpose_a ? ra - 2 : ra - 1];
  g.n = b[g.transpose_b ? rb - 2 : rb - 1];
  if (g.k != depth) {
    node.invalid("inputs %s%s and %s%s do not fit: %lld columns and %lld rows", node.in[0]->shape.str().c_str(),
                 g.transpose_a ? " (transposed)" : "", node.in[1]->shape.str().c_str(),
                 g.transpose_b ? " (transposed)" : "", static_cast<long long>(g.k), static_cast<long long>(depth));
  }
  g.out = pair_matrices(node, a, b, g);
  if (!row) g.out.push_back(rows);
  if (!column) g.out.push_back(g.n);
  check_bias(node, g.n);
  return g;
}

MatrixGeometry fit_full_connection(const Node& node) {
  const auto* attr = node.attr<schema::FullConnection>();
  node.expect_inputs(attr->has_bias() ? 3 : 2, 3);
  MatrixGeometry g;
  const Shape& x = node.in[0]->shape;
  const Shape& w = node.in[1]->shape;
  if (w.rank() != 2) node.invalid("weights %s need 2 dimensions", w.str().c_str());
  g.n = w[0];
  g.k = w[1];
  if (attr->use_axis()) {
    const int axis = normalize_axis(attr->axis(), x.rank());
    for (int d = 0; d < axis; ++d) g.out.push_back(x[d]);
    g.m = x.count(0, axis);
    if (x.count(axis, x.rank()) != g.k) {
      node.invalid("input %s from axis %d on does not fit weights %s", x.str().c_str(), axis, w.str().c_str());
    }
  } else {
    if (g.k == 0 || x.count() % g.k != 0) {
      node.invalid("input %s does not divide into rows for weights %s", x.str().c_str(), w.str().c_str());
    }
    g.m = x.count() / g.k;
    g.out.push_back(g.m);
  }
  g.out.push_back(g.n);
  g.transpose_b = true;
  check_bias(node, g.n);
  return g;
}

}  // namespace lr
