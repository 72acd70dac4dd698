// MatMulFusion and FullConnection on int8, in two forms:
//   static   activations with parameters in the file, constant symmetric weights, int32 bias, int8 result
//   dynamic  activations quantised in every run (DynamicQuant), constant weights or activations of the same kind on
//            the right, float32 bias and result
#include "ops/matmul.h"

#include <algorithm>

#include "ops/either.h"
#include "ops/quantized/quantized.h"

namespace lr {
namespace {

MatrixGeometry fit(const Node& node) {
  const bool is_matmul = node.def->primitive == schema::PrimitiveType_MatMulFusion;
  return is_matmul ? fit_matmul(node) : fit_full_connection(node);
}

schema::ActivationType activation_of(const NodeDef& node) {
  const auto* matmul = node.attributes->value_as<schema::MatMulFusion>();
  if (matmul != nullptr) return matmul->activation_type();
  return node.attributes->value_as<schema::FullConnection>()->activation_type();
}

// Packing and tiling of the right-hand matrices.
class Int8Product : public Op {
 protected:
  // Bytes of one packed matrix.
  int64_t packed_bytes() const {
    return static_cast<int64_t>(packed_gemm_i8_bytes(1, static_cast<size_t>(g_.k), static_cast<size_t>(g_.n)));
  }
  // Steps between the columns and between the values of a column, in stored b.
  int64_t column_step() const { return g_.transpose_b ? g_.k : 1; }
  int64_t depth_step() const { return g_.transpose_b ? 1 : g_.n; }

  void pack(const Node& node, int8_t* packed) const {
    const auto k = static_cast<size_t>(g_.k), n = static_cast<size_t>(g_.n);
    for (int64_t i = 0; i < g_.b_count; ++i) {
      pack_gemm_i8(node.in[1]->as<int8_t>() + i * g_.k * g_.n, 0, static_cast<size_t>(depth_step()),
                   static_cast<size_t>(column_step()), 1, k, n, packed + i * packed_bytes());
    }
  }

  // Fills in what both kernels need for `rows` rows at a and the columns from `column` on.
  template <class Gemm>
  Gemm product(const int8_t* const* a, size_t rows, const int8_t* packed, int64_t column, size_t columns) const {
    Gemm p;
    p.a = a;
    p.step = p.rows = rows;
    p.taps = 1;
    p.k = static_cast<size_t>(g_.k);
    p.n = columns;
    p.w = packed + packed_gemm_i8_bytes(1, p.k, static_cast<size_t>(column));
    return p;
  }

  MatrixGeometry g_;
  GemmTiles tiles_;
  Packed<int8_t> weights_;
  size_t pointers_ = 0;
};

class MatMulInt8 : public Int8Product {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    if (node.inputs.size() < 2) return false;
    const TensorDef& weight = input_of(node, 1, model);
    const auto* matmul = node.attributes->value_as<schema::MatMulFusion>();
    return is_int8(input_of(node, 0, model)) && is_symmetric_weight(weight) && weight.shape.rank() == 2 &&
           is_bias(node, 2, model) && is_int8(output_of(node, 0, model)) && is_clamp(activation_of(node)) &&
           (matmul == nullptr || !matmul->transpose_a());
  }

  void infer(Node& node) override {
    g_ = fit(node);
    node.expect_dtype(0, DType::kInt8);
    node.set_out(0, DType::kInt8, g_.out);
    x_ = affine_of(node, *node.in[0], DType::kInt8);
    y_ = affine_of(node, *node.out[0], DType::kInt8);
    range_ = clamped_range(activation_of(*node.def), y_);
  }

  void prepare(Node& node) override {
    const Tensor& w = *node.in[1];
    const Quantization weights = quantization_of(node, w, DType::kInt8, quantized_axis(*node.def, 1, *w.def));
    if (!weights.per_tensor() &&
        (weights.inner != column_step() || static_cast<int64_t>(weights.channels.size()) != g_.n)) {
      node.invalid("the %zu scales of the weights do not belong to the %lld columns of the result",
                   weights.channels.size(), static_cast<long long>(g_.n));
    }
    const int32_t* bias = node.has(2) ? node.in[2]->as<int32_t>() : nullptr;
    constants_ = product_constants(w.as<int8_t>(), g_.n, column_step(), g_.k, depth_step(), bias, x_, weights, y_,
                                   g_.n + static_cast<int64_t>(kernels().gemm_i8_nr));
    Workspace workspace;
    const int threads = node.pool->threads();
    tiles_ = GemmTiles(g_.gemm(), threads, i8_tile());
    pointers_ = workspace.add(tiles_.pointer_bytes(threads));
    weights_.prepare(node, {1}, "gemm_i8", static_cast<size_t>(packed_bytes()), workspace,
                     [&](int8_t* packed) { pack(node, packed); });
    workspace.reserve(node);
  }

  void run(Node& node) override {
    const int8_t* x = node.in[0]->as<int8_t>();
    int8_t* y = node.out[0]->as<int8_t>();
    if (node.out[0]->count() == 0) return;
    const int8_t* weights = weights_.get(node, [&](int8_t* packed) { pack(node, packed); });
    tiles_.each(
        node, Workspace::at<const int8_t*>(node, pointers_),
        [&](int64_t, int64_t row, size_t rows, const int8_t** a) {
          for (size_t r = 0; r < rows; ++r) a[r] = x + (row + static_cast<int64_t>(r)) * g_.k;
        },
        [&](int64_t, int64_t row, size_t rows, int64_t column, size_t columns, const int8_t* const* a) {
          GemmI8 p = product<GemmI8>(a, rows, weights, column, columns);
          p.bias = constants_.bias.data() + column;
          p.scale = constants_.scale.data() + column;
          p.narrow = constants_.narrow;
          p.c = y + row * g_.n + column;
          p.c_stride = static_cast<size_t>(g_.n);
          p.zero = y_.zero;
          p.lo = range_.lo;
          p.hi = range_.hi;
          kernels().gemm_i8(p);
        });
  }

 private:
  Affine x_, y_;
  Range range_ = {-128, 127};
  ProductConstants constants_;
};

// a and b less their zero points: the products with a zero point are sums over columns of b, which become part of
// the offsets, and over rows of a.
class DynamicMatMul : public Int8Product {
 public:
  static bool accepts(const NodeDef& node, const Model&) {
    return node.quant_type == schema::QuantType_QUANT_DYNAMIC && node.inputs.size() >= 2;
  }

  void infer(Node& node) override {
    g_ = fit(node);
    node.expect_dtype(0, DType::kInt8);
    node.expect_dtype(1, DType::kInt8);
    if (node.has(2)) node.expect_dtype(2, DType::kFloat32);
    if (node.in[1]->is_const() && !is_symmetric_weight(*node.in[1]->def)) {
      node.unsupported("constant weights with a zero point or a mean correction");
    }
    activation_ = FusedActivation(node, activation_of(*node.def));
    node.set_out(0, DType::kFloat32, g_.out);
  }

  bool absorb(const Elementwise& next) override { return activation_.absorb(next); }

  void prepare(Node& node) override {
    Workspace workspace;
    const int threads = node.pool->threads();
    if (g_.m == 1) g_.transpose_a = false;  // a column is stored like a row
    tiles_ = GemmTiles(g_.gemm(), threads, i8_tile());
    pointers_ = workspace.add(tiles_.pointer_bytes(threads));
    padded_n_ = round_up(g_.n, static_cast<int64_t>(kernels().gemm_i8_nr));
    scale_ = workspace.add<float>(padded_n_);
    offset_ = workspace.add<float>(Shape{g_.b_count, padded_n_}.count());
    if (g_.transpose_a) rows_ = workspace.add<int8_t>(Shape{g_.a_count, g_.m, g_.k}.count());
    const int64_t bytes = Shape{g_.b_count, packed_bytes() + padded_n_ * int64_t{sizeof(int32_t)}}.count();
    weights_.prepare(node, {1}, "gemm_i8 and sums", static_cast<size_t>(bytes), workspace,
                     [&](int8_t* packed) { pack_with_sums(node, packed); });
    narrow_ = node.in[1]->is_const() && !has_least(node);
    workspace.reserve(node);
  }

  void run(Node& node) override {
    float* y = node.out[0]->as<float>();
    if (node.out[0]->count() == 0) return;
    const Affine a = affine_of(node, *node.in[0], DType::kInt8);
    const Quantization b = right_quantization(node);
    const int8_t* packed = weights_.get(node, [&](int8_t* to) { pack_with_sums(node, to); });
    set_constants(node, packed, a, b);
    const int8_t* x = left(node);
    const float* scale = Workspace::at<float>(node, scale_);
    const float* offset = Workspace::at<float>(node, offset_);
    const float b_zero = static_cast<float>(b.channels[0].zero);
    const Epilogue epilogue(activation_, node);
    tiles_.each(
        node, Workspace::at<const int8_t*>(node, pointers_),
        [&](int64_t i, int64_t row, size_t rows, const int8_t** pointers) {
          const int8_t* from = x + (g_.stored(i, &MatrixGeometry::Lead::a) * g_.m + row) * g_.k;
          for (size_t r = 0; r < rows; ++r, from += g_.k) pointers[r] = from;
        },
        [&](int64_t i, int64_t row, size_t rows, int64_t column, size_t columns, const int8_t* const* pointers) {
          const int64_t matrix = g_.stored(i, &MatrixGeometry::Lead::b);
          auto p = product<GemmI8F32>(pointers, rows, packed + matrix * packed_bytes(), column, columns);
          p.scale = scale + column;
          p.offset = offset + matrix * padded_n_ + column;
          p.narrow = narrow_;
          p.c = y + (i * g_.m + row) * g_.n + column;
          p.c_stride = static_cast<size_t>(g_.n);
          if (b_zero == 0.f) {
            p.lo = epilogue.low();
            p.hi = epilogue.high();
            kernels().gemm_i8_f32(p);
            return epilogue.finish_rows(p.c, rows, p.c_stride, columns);
          }
          p.lo = -__builtin_inff();
          p.hi = __builtin_inff();
          kernels().gemm_i8_f32(p);
          for (size_t r = 0; r < rows; ++r) {
            subtract_row_sum(pointers[r], b_zero, p.scale, p.c + r * p.c_stride, columns);
            epilogue.apply(p.c + r * p.c_stride, columns);
          }
        });
  }

 private:
  // The packed matrices, then for each the sums of its columns.
  void pack_with_sums(const Node& node, int8_t* packed) const {
    pack(node, packed);
    int8_t* sums = packed + g_.b_count * packed_bytes();
    const int8_t* b = node.in[1]->as<int8_t>();
    for (int64_t i = 0; i < g_.b_count; ++i, b += g_.k * g_.n) {
      for (int64_t j = 0; j < padded_n_; ++j, sums += sizeof(int32_t)) {
        int32_t sum = 0;
        for (int64_t r = 0; j < g_.n && r < g_.k; ++r) sum += b[j * column_step() + r * depth_step()];
        std::memcpy(sums, &sum, sizeof sum);
      }
    }
  }

  bool has_least(const Node& node) const {
    const int8_t* b = node.in[1]->as<int8_t>();
    return std::find(b, b + node.in[1]->count(), int8_t{-128}) != b + node.in[1]->count();
  }

  Quantization right_quantization(const Node& node) const {
    const Tensor& b = *node.in[1];
    if (b.run_time_quantization.scale != 0.f) return {{b.run_time_quantization}, 1};
    const Quantization all = quantization_of(node, b, DType::kInt8, quantized_axis(*node.def, 1, *b.def));
    const bool by_column = all.inner == column_step() && static_cast<int64_t>(all.channels.size()) == g_.n;
    if (!all.per_tensor() && !by_column) {
      node.invalid("the %zu scales of the weights do not belong to the %lld columns of the result", all.channels.size(),
                   static_cast<long long>(g_.n));
    }
    return all;
  }

  void set_constants(const Node& node, const int8_t* packed, const Affine& a, const Quantization& b) const {
    float* scale = Workspace::at<float>(node, scale_);
    float* offset = Workspace::at<float>(node, offset_);
    const int8_t* sums = packed + g_.b_count * packed_bytes();
    const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
    for (int64_t j = 0; j < padded_n_; ++j) scale[j] = j < g_.n ? a.scale * b.of(j * b.inner).scale : 0.f;
    for (int64_t i = 0; i < g_.b_count * padded_n_; ++i) {
      const int64_t j = i % padded_n_;
      int32_t sum;
      std::memcpy(&sum, sums + i * int64_t{sizeof sum}, sizeof sum);
      // Sum of a_zero * (b - b_zero): one part of (a - a_zero) * (b - b_zero); the other is a row's sum.
      const double zeros =
          static_cast<double>(a.zero) * (static_cast<double>(sum) - static_cast<double>(g_.k) * b.channels[0].zero);
      const double start = bias == nullptr || j >= g_.n ? 0.0 : static_cast<double>(bias[j]);
      offset[i] = static_cast<float>(start - zeros * static_cast<double>(scale[j]));
    }
  }

  // a as rows of k values.
  const int8_t* left(const Node& node) const {
    const int8_t* a = node.in[0]->as<int8_t>();
    if (!g_.transpose_a) return a;
    int8_t* rows = Workspace::at<int8_t>(node, rows_);
    for (int64_t i = 0; i < g_.a_count * g_.k; ++i) {
      const int64_t matrix = i / g_.k, column = i % g_.k;
      for (int64_t r = 0; r < g_.m; ++r) rows[(matrix * g_.m + r) * g_.k + column] = a[i * g_.m + r];
    }
    return rows;
  }

  void subtract_row_sum(const int8_t* a, float b_zero, const float* scale, float* c, size_t n) const {
    int32_t sum = 0;
    for (int64_t i = 0; i < g_.k; ++i) sum += a[i];
    const float part = static_cast<float>(sum) * b_zero;
    for (size_t j = 0; j < n; ++j) c[j] -= part * scale[j];
  }

  FusedActivation activation_;
  int64_t padded_n_ = 0;
  size_t scale_ = 0, offset_ = 0, rows_ = 0;
  bool narrow_ = false;
};

using QuantizedMatMul = Either<DynamicMatMul, MatMulInt8>;

LR_REGISTER_QUANTIZED_OP(MatMulFusion, QuantizedMatMul)
LR_REGISTER_QUANTIZED_OP(FullConnection, QuantizedMatMul)

}  // namespace
}  // namespace lr
