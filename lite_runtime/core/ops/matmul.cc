// MatMulFusion and FullConnection: products of matrices with optional bias and activation.
#include <algorithm>

#include "ops/gemm.h"

namespace lr {

namespace {

// Columns that one vector-matrix task computes: long runs of each row of b, few enough sums for the cache.
constexpr int64_t kLeastColumns = 256, kMostColumns = 1024;

// c = activation(a * b + bias) for stacks of matrices. Derived operators set the geometry in infer.
class MatrixProduct : public Op {
 public:
  void prepare(Node& node) override;
  void run(Node& node) override;
  bool absorb(const Elementwise& next) override { return activation_.absorb(next); }

 protected:
  // Input 2, when present, is a bias of n values.
  void check_bias(const Node& node) const;

  int64_t m_ = 0, k_ = 0, n_ = 0;
  bool transpose_a_ = false, transpose_b_ = false;  // a is stored [k, m], b is stored [n, k]
  // The leading dimensions of the result; `a` and `b` are the steps in stored matrices, 0 to broadcast.
  struct Lead {
    int64_t size, a, b;
  };
  std::vector<Lead> lead_;
  int64_t products_ = 1, a_count_ = 1, b_count_ = 1;  // results and stored matrices
  FusedActivation activation_;

 private:
  GemmShape shape() const { return {products_, m_, 1, k_, n_}; }
  // Which stored matrix product i uses.
  int64_t stored(int64_t i, int64_t Lead::*step) const {
    int64_t index = 0;
    for (auto d = lead_.rbegin(); d != lead_.rend(); ++d) {
      index += i % d->size * ((*d).*step);
      i /= d->size;
    }
    return index;
  }
  void pack(const Node& node, float* packed) const;
  void transpose_a(const Node& node, float* a) const;
  void run_vectors(Node& node) const;

  GemmTiles tiles_;
  PackedWeights weights_;
  size_t pointers_ = 0, rows_ = 0;
  bool vectors_ = false;  // b is used too little to be worth packing
  int64_t vector_columns_ = kLeastColumns;
};

void MatrixProduct::check_bias(const Node& node) const {
  if (!node.has(2)) return;
  node.expect_dtype(2, DType::kFloat32);
  if (node.in[2]->count() == n_) return;
  node.invalid("bias of shape %s does not fit %lld columns", node.in[2]->shape.str().c_str(),
               static_cast<long long>(n_));
}

void MatrixProduct::prepare(Node& node) {
  Workspace workspace;
  const bool known = node.in[1]->known && (!node.has(2) || node.in[2]->known);
  if (m_ == 1) transpose_a_ = false;  // a column is stored like a row
  vectors_ = m_ == 1 && !known;
  vector_columns_ = std::clamp(div_up(n_, node.pool->threads()), kLeastColumns, kMostColumns);
  if (!vectors_) {
    const int threads = node.pool->threads();
    tiles_ = GemmTiles(shape(), threads);
    pointers_ = workspace.add(tiles_.pointer_bytes(threads));
    const size_t bytes = static_cast<size_t>(Shape{b_count_, shape().packed_floats()}.count()) * sizeof(float);
    weights_.prepare(node, {1, 2}, "gemm", bytes, workspace, [&](float* packed) { pack(node, packed); });
    if (transpose_a_) rows_ = workspace.add<float>(Shape{a_count_, m_, k_}.count());
  }
  workspace.reserve(node);
}

void MatrixProduct::pack(const Node& node, float* packed) const {
  const float* b = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto k = static_cast<size_t>(k_), n = static_cast<size_t>(n_);
  const auto nr = static_cast<int64_t>(kernels().gemm_nr);
  const int64_t panels = div_up(n_, nr), panel_floats = nr * (1 + k_);
  node.pool->run(
      b_count_ * panels, std::max<int64_t>(1, kGemmGrain / 4 / panel_floats), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t column = i % panels * nr;
          const float* from = b + i / panels * k_ * n_ + (transpose_b_ ? column * k_ : column);
          pack_gemm_f32(from, 0, transpose_b_ ? 1 : n, transpose_b_ ? k : 1, bias == nullptr ? nullptr : bias + column,
                        1, k, static_cast<size_t>(std::min(nr, n_ - column)), packed + i * panel_floats);
        }
      });
}

void MatrixProduct::transpose_a(const Node& node, float* a) const {
  const auto m = static_cast<size_t>(m_), k = static_cast<size_t>(k_);
  const auto* from = node.in[0]->as<uint32_t>();
  auto* to = reinterpret_cast<uint32_t*>(a);
  node.pool->run(a_count_, std::max<int64_t>(1, kGemmGrain / 4 / (m_ * k_ + 1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      kernels().transpose_32(from + i * m_ * k_, m, to + i * m_ * k_, k, k, m);
    }
  });
}

void MatrixProduct::run(Node& node) {
  if (node.out[0]->count() == 0) return;
  if (vectors_) return run_vectors(node);
  const float* a = node.in[0]->as<float>();
  float* c = node.out[0]->as<float>();
  const float* weights = weights_.get(node, [&](float* packed) { pack(node, packed); });
  if (transpose_a_) {
    float* rows = Workspace::at<float>(node, rows_);
    transpose_a(node, rows);
    a = rows;
  }
  const int64_t packed_floats = shape().packed_floats();
  tiles_.run(
      node, Epilogue(activation_, node), static_cast<size_t>(n_), Workspace::at<const float*>(node, pointers_),
      [&](int64_t i) { return std::pair(weights + stored(i, &Lead::b) * packed_floats, c + i * m_ * n_); },
      [&](int64_t i, int64_t row, size_t rows, const float** pointers) {
        const float* from = a + (stored(i, &Lead::a) * m_ + row) * k_;
        for (size_t r = 0; r < rows; ++r, from += k_) pointers[r] = from;
      });
}

// One row times b, read once where it lies.
void MatrixProduct::run_vectors(Node& node) const {
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const int64_t blocks = div_up(n_, vector_columns_);
  const auto k = static_cast<size_t>(k_);
  const Kernels& table = kernels();
  const Epilogue epilogue(activation_, node);
  const int64_t grain = std::max<int64_t>(1, kGemmGrain / 4 / (vector_columns_ * k_ + 1));
  node.pool->run(products_ * blocks, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t product = i / blocks, j0 = i % blocks * vector_columns_;
      const int64_t columns = std::min(vector_columns_, n_ - j0);
      const auto n = static_cast<size_t>(columns);
      const float* a = node.in[0]->as<float>() + stored(product, &Lead::a) * k_;
      const float* b = node.in[1]->as<float>() + stored(product, &Lead::b) * k_ * n_;
      float* c = node.out[0]->as<float>() + product * n_ + j0;
      for (int64_t j = 0; j < columns; ++j) c[j] = bias == nullptr ? 0.f : bias[j0 + j];
      if (transpose_b_) {
        for (int64_t j = 0; j < columns; ++j) c[j] += table.dot_f32(a, b + (j0 + j) * k_, k);
      } else {
        for (int64_t r = 0; r < k_; ++r) table.axpy_f32(a[r], b + r * n_ + j0, c, n);
      }
      epilogue.apply(c, n);
    }
  });
}

// (a, b[, bias]) with NumPy's rules: leading dimensions broadcast; a vector on the left is a row, on the
// right a column, and its dimension vanishes from the result.
class MatMul : public MatrixProduct {
 public:
  void infer(Node& node) override {
    const auto* attr = node.attr<schema::MatMulFusion>();
    node.expect_inputs(2, 3);
    node.expect_dtype(0, DType::kFloat32);
    node.expect_dtype(1, DType::kFloat32);
    Shape a = node.in[0]->shape, b = node.in[1]->shape;
    if (a.rank() == 0 || b.rank() == 0)
      node.invalid("inputs %s and %s: one is a scalar", a.str().c_str(), b.str().c_str());
    const bool row = a.rank() == 1, column = b.rank() == 1;
    if (row) a.insert(0, 1);
    if (column) b.push_back(1);
    transpose_a_ = !row && attr->transpose_a();
    transpose_b_ = !column && attr->transpose_b();
    const int ra = a.rank(), rb = b.rank();
    m_ = a[transpose_a_ ? ra - 1 : ra - 2];
    k_ = a[transpose_a_ ? ra - 2 : ra - 1];
    n_ = b[transpose_b_ ? rb - 2 : rb - 1];
    const int64_t depth = b[transpose_b_ ? rb - 1 : rb - 2];
    if (k_ != depth) {
      node.invalid("inputs %s%s and %s%s do not fit: %lld columns and %lld rows", node.in[0]->shape.str().c_str(),
                   transpose_a_ ? " (transposed)" : "", node.in[1]->shape.str().c_str(),
                   transpose_b_ ? " (transposed)" : "", static_cast<long long>(k_), static_cast<long long>(depth));
    }
    Shape out = pair_matrices(node, a, b);
    if (!row) out.push_back(a[transpose_a_ ? ra - 1 : ra - 2]);
    if (!column) out.push_back(n_);
    check_bias(node);
    activation_ = FusedActivation(node, attr->activation_type());
    node.set_out(0, DType::kFloat32, out);
  }

 private:
  // Sets which matrices are multiplied; returns the broadcast leading dimensions.
  Shape pair_matrices(const Node& node, const Shape& a, const Shape& b) {
    const int la = a.rank() - 2, lb = b.rank() - 2, rank = std::max(la, lb);
    a_count_ = a.count(0, la);
    b_count_ = b.count(0, lb);
    lead_.clear();
    Shape lead;
    int64_t a_step = a_count_, b_step = b_count_;
    for (int d = 0; d < rank; ++d) {
      const int64_t x = d < rank - la ? 1 : a[d - (rank - la)], y = d < rank - lb ? 1 : b[d - (rank - lb)];
      if (x != y && x != 1 && y != 1) {
        node.invalid("the leading dimensions of %s and %s do not broadcast", a.str().c_str(), b.str().c_str());
      }
      lead.push_back(x == 1 ? y : x);
      a_step /= std::max<int64_t>(1, x);
      b_step /= std::max<int64_t>(1, y);
      lead_.push_back({lead[d], x == 1 ? 0 : a_step, y == 1 ? 0 : b_step});
    }
    products_ = lead.count();
    if (b_count_ == 1 && !transpose_a_) {  // one tall product is faster than many that share b
      m_ *= a_count_;
      a_count_ = products_ = 1;
      lead_.clear();
    }
    return lead;
  }
};

// (x, weights [n, k][, bias]): x as rows of k values. With use_axis the dimensions from `axis` on form a row.
class FullConnection : public MatrixProduct {
 public:
  void infer(Node& node) override {
    const auto* attr = node.attr<schema::FullConnection>();
    node.expect_inputs(attr->has_bias() ? 3 : 2, 3);
    node.expect_dtype(0, DType::kFloat32);
    node.expect_dtype(1, DType::kFloat32);
    const Shape& x = node.in[0]->shape;
    const Shape& w = node.in[1]->shape;
    if (w.rank() != 2) node.invalid("weights %s need 2 dimensions", w.str().c_str());
    n_ = w[0];
    k_ = w[1];
    Shape out;
    if (attr->use_axis()) {
      const int axis = normalize_axis(attr->axis(), x.rank());
      for (int d = 0; d < axis; ++d) out.push_back(x[d]);
      m_ = x.count(0, axis);
      if (x.count(axis, x.rank()) != k_) {
        node.invalid("input %s from axis %d on does not fit weights %s", x.str().c_str(), axis, w.str().c_str());
      }
    } else {
      if (k_ == 0 || x.count() % k_ != 0) {
        node.invalid("input %s does not divide into rows for weights %s", x.str().c_str(), w.str().c_str());
      }
      m_ = x.count() / k_;
      out.push_back(m_);
    }
    out.push_back(n_);
    transpose_b_ = true;
    check_bias(node);
    activation_ = FusedActivation(node, attr->activation_type());
    node.set_out(0, DType::kFloat32, out);
  }
};

LR_REGISTER_OP(FullConnection, FullConnection)
LR_REGISTER_OP(MatMulFusion, MatMul)

}  // namespace
}  // namespace lr
