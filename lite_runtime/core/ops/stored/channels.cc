// MatMulFusion, FullConnection, Conv2DFusion and Gather with weights stored as int8 by WEIGHT_QUANT, which stay int8.
#include <algorithm>

#include "ops/convolution.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/stored/weights.h"

namespace lr {
namespace {

// One set of parameters for each row (axis 0) or column (axis 1), or a single one.
bool is_matrix(const TensorDef& weight, int axis) {
  if (weight.dtype != DType::kInt8 || !weight.is_const() || weight.quant.empty() || weight.shape.rank() != 2 ||
      weight.shape.count() == 0) {
    return false;
  }
  return weight.quant.size() == 1 || static_cast<int64_t>(weight.quant.size()) == weight.shape[axis];
}

class ByChannel : public StoredMatrix {
 public:
  ByChannel(const Node& node, const Tensor& weight, bool transposed) : weight_(*weight.def), transposed_(transposed) {
    n = weight.shape[transposed ? 0 : 1];
    k = weight.count() / n;
    block = k;
    affine_ = quantization_of(node, weight, DType::kInt8, transposed ? 0 : 1);
    bits = weight_.quant[0].bits <= 4 ? 4 : 8;
  }
  void read(int64_t row, int64_t rows, int8_t* out) const override {
    if (integers_.data() == nullptr) integers_ = stored_integers(weight_);
    if (transposed_) return integers_.read(row * k, rows * k, out);
    std::vector<int8_t> column(static_cast<size_t>(rows));
    for (int64_t i = 0; i < k; ++i) {
      integers_.read(i * n + row, rows, column.data());
      for (int64_t r = 0; r < rows; ++r) out[r * k + i] = column[static_cast<size_t>(r)];
    }
  }
  Affine affine(int64_t row, int64_t) const override { return affine_.of(row * affine_.inner); }

 private:
  const TensorDef& weight_;
  bool transposed_;
  Quantization affine_;
  mutable StoredIntegers integers_;
};

class StoredMatMul : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    if (!is_stored(node) || node.inputs.size() < 2 || model.tensors()[node.inputs[0]].is_const()) return false;
    const auto* matmul = node.attributes->value_as<schema::MatMulFusion>();
    if (matmul != nullptr && matmul->transpose_a()) return false;
    const bool transposed = matmul == nullptr || matmul->transpose_b();
    const TensorDef& weight = input_of(node, 1, model);
    return is_matrix(weight, transposed ? 0 : 1) && weight.shape.count() > 0 &&
           (node.inputs.size() < 3 || model.tensors()[node.inputs[2]].quant.empty());
  }

  void infer(Node& node) override {
    const auto* matmul = node.def->attributes->value_as<schema::MatMulFusion>();
    g_ = matmul != nullptr ? fit_matmul(node) : fit_full_connection(node);
    node.expect_dtype(0, DType::kFloat32);
    if (node.has(2)) node.expect_dtype(2, DType::kFloat32);
    activation_ = FusedActivation(
        node, matmul != nullptr ? matmul->activation_type() : node.attr<schema::FullConnection>()->activation_type());
    node.set_out(0, DType::kFloat32, g_.out);
  }

  void prepare(Node& node) override {
    Workspace workspace;
    product_.prepare(node, workspace, g_.products * g_.m, 1, ByChannel(node, *node.in[1], g_.transpose_b));
    workspace.reserve(node);
  }

  void run(Node& node) override {
    const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
    product_.run(node, node.in[0]->as<float>(), bias, Epilogue(activation_, node), node.out[0]->as<float>());
  }

  bool absorb(const Elementwise& next) override { return activation_.absorb(next); }

 private:
  MatrixGeometry g_;
  FusedActivation activation_;
  StoredProduct product_;
};

// Where there are few weights, more is lost by expanding them in every run than the memory is worth.
class StoredConv2D : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    if (!is_stored(node) || node.inputs.size() < 2 || model.tensors()[node.inputs[0]].is_const()) return false;
    const TensorDef& weight = input_of(node, 1, model);
    return weight.dtype == DType::kInt8 && weight.is_const() && !weight.quant.empty() && weight.shape.rank() == 4 &&
           weight.shape.count() >= kLeastWeights && node.attributes->value_as<schema::Conv2DFusion>()->group() <= 1 &&
           (weight.quant.size() == 1 || static_cast<int64_t>(weight.quant.size()) == weight.shape[0]) &&
           (node.inputs.size() < 3 || model.tensors()[node.inputs[2]].quant.empty());
  }

  void infer(Node& node) override {
    node.expect_dtype(0, DType::kFloat32);
    if (node.has(2)) node.expect_dtype(2, DType::kFloat32);
    conv_ = fit_convolution(node);
    const Window& w = conv_.window;
    activation_ = FusedActivation(node, node.attr<schema::Conv2DFusion>()->activation_type());
    node.set_out(0, DType::kFloat32, {w.batch, w.out_h, w.out_w, conv_.out_channels});
  }

  void prepare(Node& node) override {
    const Window& w = conv_.window;
    zeros_.assign(static_cast<size_t>(w.channels), 0.f);
    Workspace workspace;
    product_.prepare(node, workspace, w.batch * w.out_pixels(), w.taps(), ByChannel(node, *node.in[1], true));
    workspace.reserve(node);
  }

  void run(Node& node) override {
    const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
    const Epilogue epilogue(activation_, node);
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    if (conv_.pointwise()) return product_.run(node, x, bias, epilogue, y);
    product_.run(node, x, bias, epilogue, y, [&](int64_t row, size_t rows, const float** a) {
      conv_.fill_pointers(x, row, rows, zeros_.data(), a);
    });
  }

  bool absorb(const Elementwise& next) override { return activation_.absorb(next); }

 private:
  static constexpr int64_t kLeastWeights = 1 << 14;
  Convolution conv_;
  std::vector<float> zeros_;  // what taps in the padding read
  FusedActivation activation_;
  StoredProduct product_;
};

class StoredGather : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    if (!is_stored(node) && node.quant_type != schema::QuantType_QUANT_DYNAMIC) return false;
    if (node.inputs.size() < 2 || node.inputs.size() > 3 || !is_matrix(input_of(node, 0, model), 0)) return false;
    if (node.inputs.size() == 2) return true;
    const TensorDef& axis = input_of(node, 2, model);
    return axis.data != nullptr && axis.dtype == DType::kInt32 && axis.shape.count() == 1 &&
           *static_cast<const int32_t*>(axis.data) == 0;
  }

  void infer(Node& node) override {
    Indices::expect(node, 1);
    table_ = quantization_of(node, *node.in[0], DType::kInt8, 0);
    Shape out = node.in[1]->shape;
    out.push_back(node.in[0]->shape[1]);
    node.set_out(0, DType::kFloat32, out);
  }

  // Rows that have a place of their own in the file are read there.
  void prepare(Node& node) override {
    const Tensor& table = *node.in[0];
    integers_ = StoredIntegers(*table.def);
    if (integers_.data() != nullptr) return;
    integers_ = {*table.def,
                 node.packed("integers", small_bytes(*table.def), [&] { return decode_small(*table.def); })};
  }

  void run(Node& node) override {
    const Tensor& table = *node.in[0];
    const Indices index(*node.in[1]);
    const int64_t columns = table.shape[1];
    constexpr int64_t kPart = 512;
    int8_t part[kPart];
    float* y = node.out[0]->as<float>();
    for (int64_t i = 0; i < node.in[1]->count(); ++i) {
      const int64_t first = index.position(i, table.shape[0]) * columns;
      row_.channels.assign(1, table_.of(first));
      for (int64_t column = 0; column < columns; column += kPart) {
        const int64_t n = std::min(kPart, columns - column);
        integers_.read(first + column, n, part);
        dequantize(DType::kInt8, part, y, n, row_, 0);
        y += n;
      }
    }
  }

 private:
  Quantization table_, row_;
  StoredIntegers integers_;
};

LR_REGISTER_STORED_OP(MatMulFusion, StoredMatMul)
LR_REGISTER_STORED_OP(FullConnection, StoredMatMul)
LR_REGISTER_STORED_OP(Conv2DFusion, StoredConv2D)
LR_REGISTER_STORED_OP(Gather, StoredGather)

}  // namespace
}  // namespace lr
