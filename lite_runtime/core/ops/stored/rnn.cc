// LSTM and GRU with weights stored as int8 by WEIGHT_QUANT, which stay int8.
#include "ops/rnn.h"

#include "ops/stored/weights.h"

namespace lr {
namespace {

// The integers of one constant at a time: the matrices of a node lie in one or two.
class OpenIntegers {
 public:
  const StoredIntegers& of(const TensorDef& def) {
    if (def_ != &def) integers_ = stored_integers(def);
    def_ = &def;
    return integers_;
  }
  void close() {
    def_ = nullptr;
    integers_ = {};
  }

 private:
  const TensorDef* def_ = nullptr;
  StoredIntegers integers_;
};

class GateRows : public StoredMatrix {
 public:
  GateRows(const GateMatrix& matrix, const TensorDef& weight, const Quantization& affine, OpenIntegers& integers)
      : matrix_(matrix), weight_(weight), affine_(affine), integers_(integers) {
    n = matrix.n();
    k = block = matrix.k;
    bits = weight.quant[0].bits <= 4 ? 4 : 8;
  }
  void read(int64_t row, int64_t rows, int8_t* out) const override {
    const StoredIntegers& integers = integers_.of(weight_);
    for (int64_t end = row + rows; row < end; ++row, out += k) integers.read(matrix_.row(row), k, out);
  }
  Affine affine(int64_t row, int64_t) const override { return affine_.of(matrix_.row(row)); }

 private:
  const GateMatrix& matrix_;
  const TensorDef& weight_;
  const Quantization& affine_;
  OpenIntegers& integers_;
};

class StoredGateProduct : public GateProduct {
 public:
  StoredGateProduct(GateMatrix matrix, OpenIntegers& integers) : m_(std::move(matrix)), integers_(integers) {}

  void prepare(Node& node, Workspace& workspace) override {
    const Tensor& weight = *node.in[m_.input];
    const Quantization affine = quantization_of(node, weight, DType::kInt8, 0);
    product_.prepare(node, workspace, m_.rows, 1, GateRows(m_, *weight.def, affine, integers_), m_.name);
    if (m_.biases.empty()) return;
    const size_t bytes = static_cast<size_t>(m_.n()) * sizeof(float);
    biases_ = node.packed(m_.name + ", biases", bytes, [&] { return biases(node); });
  }

  void run(const Node& node, const float* a, float* c) const override {
    product_.run(node, a, static_cast<const float*>(biases_.get()), Epilogue(), c);
  }

 private:
  Buffer biases(const Node& node) const {
    const Tensor& tensor = *node.in[kBiases];
    const bool floats = tensor.dtype == DType::kFloat32;
    const Quantization affine = floats ? Quantization() : quantization_of(node, tensor, DType::kInt8, 0);
    const auto value = [&](int64_t i) {
      if (floats) return tensor.as<float>()[i];
      int8_t q;
      float x;
      integers_.of(*tensor.def).read(i, 1, &q);
      dequantize(DType::kInt8, &q, &x, 1, affine, i);
      return x;
    };
    Buffer buffer = allocate_buffer(static_cast<size_t>(m_.n()) * sizeof(float));
    for (int64_t row = 0; row < m_.n(); ++row) static_cast<float*>(buffer.get())[row] = m_.bias(row, value);
    return buffer;
  }

  GateMatrix m_;
  OpenIntegers& integers_;
  StoredProduct product_;
  Buffer biases_;
};

// Layer: Lstm or Gru, one of whose weights may be floats.
template <class Layer>
class Stored : public Layer {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    if (!is_stored(node) || node.inputs.size() < 3) return false;
    const bool flat = Layer::is_flat(node.inputs.size(), input_of(node, node.inputs.size() - 1, model).shape.rank());
    bool any = false;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorDef& tensor = input_of(node, i, model);
      const bool matrix = flat ? i == 3 : i == 1 || i == 2;
      if ((matrix || i == kBiases) && !tensor.is_const()) return false;
      if (tensor.quant.empty() || tensor.dtype == DType::kFloat32) continue;
      if (!matrix || tensor.dtype != DType::kInt8 || !has_scale_for_each(tensor, flat)) return false;
      any = true;
    }
    return any;
  }

  void prepare(Node& node) override {
    Layer::prepare(node);
    integers_.close();
  }

 protected:
  void expect_weights(const Node& node, size_t input) const override {
    if (node.in[input]->dtype != DType::kInt8) Layer::expect_weights(node, input);
  }
  std::unique_ptr<GateProduct> product(const Node& node, GateMatrix matrix) override {
    if (node.in[matrix.input]->dtype != DType::kInt8) return Layer::product(node, std::move(matrix));
    return std::make_unique<StoredGateProduct>(std::move(matrix), integers_);
  }

 private:
  // Of its directions, or one for all.
  static bool has_scale_for_each(const TensorDef& weight, bool flat) {
    if (weight.shape.count() == 0) return false;
    if (weight.quant.size() == 1) return true;
    return !flat && weight.shape.rank() == 3 && static_cast<int64_t>(weight.quant.size()) == weight.shape[0];
  }

  OpenIntegers integers_;
};

using StoredLstm = Stored<Lstm>;
using StoredGru = Stored<Gru>;

LR_REGISTER_STORED_OP(LSTM, StoredLstm)
LR_REGISTER_STORED_OP(GRU, StoredGru)

}  // namespace
}  // namespace lr
