// MatMulFusion and FullConnection: products of matrices with optional bias and activation.
#include "ops/matmul.h"

#include <algorithm>

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
  // Of floats, the geometry being g.
  void infer_product(Node& node, const MatrixGeometry& g, schema::ActivationType activation);

  MatrixGeometry g_;
  FusedActivation activation_;

 private:
  void pack(const Node& node, float* packed) const;
  void transpose_a(const Node& node, float* a) const;
  void run_vectors(Node& node) const;

  GemmTiles tiles_;
  PackedWeights weights_;
  size_t pointers_ = 0, rows_ = 0;
  bool vectors_ = false;  // b is used too little to be worth packing
  int64_t vector_columns_ = kLeastColumns;
};

void MatrixProduct::infer_product(Node& node, const MatrixGeometry& g, schema::ActivationType activation) {
  for (size_t i = 0; i < node.inputs(); ++i) node.expect_dtype(i, DType::kFloat32);
  g_ = g;
  activation_ = FusedActivation(node, activation);
  node.set_out(0, DType::kFloat32, g.out);
}

void MatrixProduct::prepare(Node& node) {
  Workspace workspace;
  const bool known = node.in[1]->known && (!node.has(2) || node.in[2]->known);
  if (g_.m == 1) g_.transpose_a = false;  // a column is stored like a row
  vectors_ = g_.m == 1 && !known;
  vector_columns_ = std::clamp(div_up(g_.n, node.pool->threads()), kLeastColumns, kMostColumns);
  if (!vectors_) {
    const int threads = node.pool->threads();
    tiles_ = GemmTiles(g_.gemm(), threads);
    pointers_ = workspace.add(tiles_.pointer_bytes(threads));
    const size_t bytes = static_cast<size_t>(Shape{g_.b_count, g_.gemm().packed_floats()}.count()) * sizeof(float);
    weights_.prepare(node, {1, 2}, "gemm", bytes, workspace, [&](float* packed) { pack(node, packed); });
    if (g_.transpose_a) rows_ = workspace.add<float>(Shape{g_.a_count, g_.m, g_.k}.count());
  }
  workspace.reserve(node);
}

void MatrixProduct::pack(const Node& node, float* packed) const {
  const float* b = node.in[1]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const auto k = static_cast<size_t>(g_.k), n = static_cast<size_t>(g_.n);
  const auto nr = static_cast<int64_t>(kernels().gemm_nr);
  const int64_t panels = div_up(g_.n, nr), panel_floats = nr * (1 + g_.k);
  node.pool->run(g_.b_count * panels, std::max<int64_t>(1, kGemmGrain / 16 / panel_floats),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t column = i % panels * nr;
                     const float* from = b + i / panels * g_.k * g_.n + (g_.transpose_b ? column * g_.k : column);
                     pack_gemm_f32(from, 0, g_.transpose_b ? 1 : n, g_.transpose_b ? k : 1,
                                   bias == nullptr ? nullptr : bias + column, 1, k,
                                   static_cast<size_t>(std::min(nr, g_.n - column)), packed + i * panel_floats);
                   }
                 });
}

void MatrixProduct::transpose_a(const Node& node, float* a) const {
  const auto m = static_cast<size_t>(g_.m), k = static_cast<size_t>(g_.k);
  const auto* from = node.in[0]->as<uint32_t>();
  auto* to = reinterpret_cast<uint32_t*>(a);
  node.pool->run(g_.a_count, std::max<int64_t>(1, kGemmGrain / 4 / (g_.m * g_.k + 1)),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) {
                     kernels().transpose_32(from + i * g_.m * g_.k, m, to + i * g_.m * g_.k, k, k, m);
                   }
                 });
}

void MatrixProduct::run(Node& node) {
  if (node.out[0]->count() == 0) return;
  if (vectors_) return run_vectors(node);
  const float* a = node.in[0]->as<float>();
  float* c = node.out[0]->as<float>();
  const float* weights = weights_.get(node, [&](float* packed) { pack(node, packed); });
  if (g_.transpose_a) {
    float* rows = Workspace::at<float>(node, rows_);
    transpose_a(node, rows);
    a = rows;
  }
  const int64_t packed_floats = g_.gemm().packed_floats();
  tiles_.run(
      node, Epilogue(activation_, node), static_cast<size_t>(g_.n), Workspace::at<const float*>(node, pointers_),
      [&](int64_t i) {
        return std::pair(weights + g_.stored(i, &MatrixGeometry::Lead::b) * packed_floats, c + i * g_.m * g_.n);
      },
      [&](int64_t i, int64_t row, size_t rows, const float** pointers) {
        const float* from = a + (g_.stored(i, &MatrixGeometry::Lead::a) * g_.m + row) * g_.k;
        for (size_t r = 0; r < rows; ++r, from += g_.k) pointers[r] = from;
      });
}

// One row times b, read once where it lies.
void MatrixProduct::run_vectors(Node& node) const {
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const int64_t blocks = div_up(g_.n, vector_columns_);
  const auto k = static_cast<size_t>(g_.k);
  const Kernels& table = kernels();
  const Epilogue epilogue(activation_, node);
  const int64_t grain = std::max<int64_t>(1, kGemmGrain / 4 / (vector_columns_ * g_.k + 1));
  node.pool->run(g_.products * blocks, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t product = i / blocks, j0 = i % blocks * vector_columns_;
      const int64_t columns = std::min(vector_columns_, g_.n - j0);
      const auto n = static_cast<size_t>(columns);
      const float* a = node.in[0]->as<float>() + g_.stored(product, &MatrixGeometry::Lead::a) * g_.k;
      const float* b = node.in[1]->as<float>() + g_.stored(product, &MatrixGeometry::Lead::b) * g_.k * g_.n;
      float* c = node.out[0]->as<float>() + product * g_.n + j0;
      for (int64_t j = 0; j < columns; ++j) c[j] = bias == nullptr ? 0.f : bias[j0 + j];
      if (g_.transpose_b) {
        for (int64_t j = 0; j < columns; ++j) c[j] += table.dot_f32(a, b + (j0 + j) * g_.k, k);
      } else {
        for (int64_t r = 0; r < g_.k; ++r) table.axpy_f32(a[r], b + r * g_.n + j0, c, n);
      }
      epilogue.apply(c, n);
    }
  });
}

class MatMul : public MatrixProduct {
 public:
  void infer(Node& node) override {
    infer_product(node, fit_matmul(node), node.attr<schema::MatMulFusion>()->activation_type());
  }
};

class FullConnection : public MatrixProduct {
 public:
  void infer(Node& node) override {
    infer_product(node, fit_full_connection(node), node.attr<schema::FullConnection>()->activation_type());
  }
};

LR_REGISTER_OP(FullConnection, FullConnection)
LR_REGISTER_OP(MatMulFusion, MatMul)

}  // namespace
}  // namespace lr
