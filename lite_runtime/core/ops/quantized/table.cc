// Functions of one value on int8 and uint8: a table of all 256 results, made by the float operator.
#include "ops/quantized/through_float.h"
#include "ops/strided.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 65536, kEntries = 256;

bool is_byte(const TensorDef& tensor) {
  return (tensor.dtype == DType::kInt8 || tensor.dtype == DType::kUInt8) && tensor.quant.size() == 1;
}

class TableFunction : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    return is_byte(input_of(node, 0, model)) && is_byte(output_of(node, 0, model));
  }

  void infer(Node& node) override {
    node.expect_inputs(1, 3);  // Clip has its bounds as operands
    const Tensor& x = *node.in[0];
    Tensor& y = *node.out[0];
    node.set_out(0, y.def->dtype, x.shape);
    x_ = {{affine_of(node, x, x.dtype)}, 1};
    y_ = {{affine_of(node, y, y.dtype)}, 1};
    make_table(node);
  }

  void run(Node& node) override {
    const auto* x = node.in[0]->as<uint8_t>();
    auto* y = node.out[0]->as<uint8_t>();
    parallel(node.pool, node.in[0]->count(), kGrain, [&](int64_t begin, int64_t end, int) {
      kernels().look_up_u8(x + begin, y + begin, static_cast<size_t>(end - begin), table_);
    });
  }

  OpTraits traits() const override { return OpTraits::overwriting(0); }

 private:
  void make_table(Node& node) {
    uint8_t all[kEntries];
    float values[kEntries], results[kEntries];
    for (int64_t i = 0; i < kEntries; ++i) all[i] = static_cast<uint8_t>(i);
    dequantize(node.in[0]->dtype, all, values, kEntries, x_, 0);
    std::vector<Tensor> operands;
    operands.reserve(node.inputs());
    for (const Tensor* tensor : node.in) operands.push_back(*tensor);
    for (size_t i = 1; i < operands.size(); ++i) node.value(i);
    operands[0] = of_values(node.in[0]->def, values);
    Tensor result = of_values(node.out[0]->def, results);
    Node inner;
    inner.def = node.def;
    inner.model = node.model;
    inner.pool = node.pool;
    inner.running = true;
    for (Tensor& operand : operands) inner.in.push_back(&operand);
    inner.out.push_back(&result);
    const std::unique_ptr<Op> op = find_op(node.def->primitive)();
    op->infer(inner);
    if (result.dtype != DType::kFloat32 || result.shape != Shape{kEntries}) {
      node.unsupported("operands that are no function of one value");
    }
    op->prepare(inner);
    const Buffer scratch = allocate_buffer(inner.scratch_bytes);
    inner.scratch = scratch.get();
    op->run(inner);
    quantize(results, node.out[0]->dtype, table_, kEntries, y_, 0);
  }

  static Tensor of_values(const TensorDef* def, float* values) {
    Tensor tensor;
    tensor.dtype = DType::kFloat32;
    tensor.shape = {kEntries};
    tensor.data = values;
    tensor.def = def;
    return tensor;
  }

  Quantization x_, y_;
  uint8_t table_[kEntries] = {};
};

// clang-format off
#define LR_TABLE_FUNCTIONS(X) \
  X(Abs) X(Activation) X(Ceil) X(Clip) X(Cos) X(Elu) X(Erf) X(ExpFusion) X(Floor) X(LeakyRelu) X(Log) X(Log1p) \
  X(Neg) X(Reciprocal) X(Round) X(Rsqrt) X(Sin) X(Sqrt) X(Square)
// clang-format on
#define LR_REGISTER(Primitive) LR_REGISTER_QUANTIZED_OP(Primitive, TableFunction)
LR_TABLE_FUNCTIONS(LR_REGISTER)
#undef LR_REGISTER

}  // namespace
}  // namespace lr
