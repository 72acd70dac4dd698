#include "ops/quantized/through_float.h"

#include <algorithm>

#include "ops/strided.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384;

bool has_parameters(const Tensor& tensor) {
  return tensor.run_time_quantization.scale != 0.f || (tensor.def != nullptr && !tensor.def->quant.empty());
}

bool is_integer(DType dtype) {
  return dtype == DType::kInt8 || dtype == DType::kUInt8 || dtype == DType::kInt16 || dtype == DType::kInt32;
}

bool is_product(int primitive) {
  return primitive == schema::PrimitiveType_Conv2DFusion || primitive == schema::PrimitiveType_Conv2dTransposeFusion ||
         primitive == schema::PrimitiveType_MatMulFusion || primitive == schema::PrimitiveType_FullConnection;
}

// Bias without parameters of its own: those of the product it is added to.
Quantization bias_quantization(const Node& node) {
  const Tensor& w = *node.in[1];
  const float x = affine_of(node, *node.in[0], node.in[0]->dtype).scale;
  Quantization result = quantization_of(node, w, w.dtype, quantized_axis(*node.def, 1, *w.def));
  for (Affine& a : result.channels) a = {a.scale * x, 0, 0.f};
  result.inner = 1;
  return result;
}

}  // namespace

// How the ordinary operator sees an input, or output 0 and on for `input` = SIZE_MAX.
void ThroughFloat::view(const Node& node, Operand& operand, const Tensor& tensor, size_t input) const {
  operand.tensor = tensor;
  operand.tensor.run_time_quantization = Affine();
  const bool is_bias = input == 2 && tensor.dtype == DType::kInt32 && is_product(node.def->primitive);
  operand.converted = is_integer(tensor.dtype) && (has_parameters(tensor) || is_bias);
  if (!operand.converted) return;
  if (tensor.run_time_quantization.scale != 0.f) {
    operand.quantization = {{tensor.run_time_quantization}, 1};
  } else if (has_parameters(tensor)) {
    const int axis = input == SIZE_MAX ? 0 : quantized_axis(*node.def, input, *tensor.def);
    operand.quantization = quantization_of(node, tensor, tensor.dtype, axis);
  } else {
    operand.quantization = bias_quantization(node);
  }
  operand.tensor.dtype = DType::kFloat32;
  operand.tensor.data = nullptr;
  operand.tensor.known = false;
}

void ThroughFloat::infer(Node& node) {
  if (op_ == nullptr) op_ = find_op(node.def->primitive)();
  in_.assign(node.inputs(), Operand());
  out_.assign(node.out.size(), Operand());
  for (size_t i = 0; i < in_.size(); ++i) {
    const Tensor& tensor = *node.in[i];
    view(node, in_[i], tensor, i);
    if (!in_[i].converted || !tensor.is_const()) continue;
    std::vector<float>& values = in_[i].constant;
    values.resize(static_cast<size_t>(tensor.count()));
    dequantize(tensor.dtype, tensor.data, values.data(), tensor.count(), in_[i].quantization, 0);
    in_[i].tensor.data = values.data();
    in_[i].tensor.known = true;
  }
  for (size_t i = 0; i < out_.size(); ++i) out_[i].tensor.def = node.out[i]->def;
  inner_.stand_for(node, in_, out_);
  op_->infer(inner_);
  for (size_t i = 0; i < out_.size(); ++i) {
    Tensor& result = out_[i].tensor;
    const TensorDef& def = *node.out[i]->def;
    const bool quantized = result.dtype == DType::kFloat32 && is_integer(def.dtype) && !def.quant.empty();
    node.set_out(i, quantized ? def.dtype : result.dtype, result.shape);
    if (quantized) view(node, out_[i], *node.out[i], SIZE_MAX);
  }
}

void ThroughFloat::prepare(Node& node) {
  inner_.stand_for(node, in_, out_);
  op_->prepare(inner_);
  Workspace workspace;
  inner_scratch_ = workspace.add(inner_.scratch_bytes);
  for (auto* side : {&in_, &out_}) {
    for (Operand& operand : *side) {
      if (operand.converted && operand.constant.empty()) operand.offset = workspace.add<float>(operand.tensor.count());
    }
  }
  workspace.reserve(node);
}

void ThroughFloat::run(Node& node) {
  for (size_t i = 0; i < in_.size(); ++i) {
    const Tensor& tensor = *node.in[i];
    Operand& operand = in_[i];
    if (!operand.converted) {
      operand.tensor.data = tensor.data;
    } else if (operand.constant.empty()) {
      float* values = Workspace::at<float>(node, operand.offset);
      const auto size = static_cast<int64_t>(dtype_size(tensor.dtype));
      parallel(node.pool, tensor.count(), kGrain, [&](int64_t begin, int64_t end, int) {
        dequantize(tensor.dtype, tensor.as<char>() + begin * size, values + begin, end - begin, operand.quantization,
                   begin);
      });
      operand.tensor.data = values;
    }
  }
  for (size_t i = 0; i < out_.size(); ++i) {
    out_[i].tensor.data = out_[i].converted ? Workspace::at<float>(node, out_[i].offset) : node.out[i]->data;
  }
  inner_.running = true;
  inner_.scratch = Workspace::at<char>(node, inner_scratch_);
  if (op_->traits().is_view) {
    copy_bytes(inner_.out[0]->data, inner_.in[0]->data, inner_.out[0]->bytes());
  } else {
    op_->run(inner_);
  }
  for (size_t i = 0; i < out_.size(); ++i) {
    if (!out_[i].converted) continue;
    Tensor& tensor = *node.out[i];
    const auto size = static_cast<int64_t>(dtype_size(tensor.dtype));
    parallel(node.pool, tensor.count(), kGrain, [&](int64_t begin, int64_t end, int) {
      quantize(out_[i].tensor.as<float>() + begin, tensor.dtype, tensor.as<char>() + begin * size, end - begin,
               out_[i].quantization, begin);
    });
  }
}

namespace {

// clang-format off
#define LR_THROUGH_FLOAT(X) \
  X(Abs) X(Activation) X(AddFusion) X(AddN) X(ArgMaxFusion) X(ArgMinFusion) X(AvgPoolFusion) X(BatchNorm) \
  X(BiasAdd) X(Ceil) X(Clip) X(Concat) X(Conv2DFusion) X(Conv2dTransposeFusion) X(Cos) X(CumSum) X(DivFusion) \
  X(Eltwise) X(Elu) X(Equal) X(Erf) X(ExpFusion) X(Floor) X(FloorDiv) X(FloorMod) X(FullConnection) \
  X(FusedBatchNorm) X(GRU) X(Greater) X(GreaterEqual) X(GroupNormFusion) X(InstanceNorm) X(L2NormalizeFusion) \
  X(LRN) X(LSTM) X(LayerNormFusion) X(LeakyRelu) X(Less) X(LessEqual) X(Log) X(Log1p) X(LogSoftmax) \
  X(MatMulFusion) X(MaxPoolFusion) X(Maximum) X(Minimum) X(Mod) X(MulFusion) X(Neg) X(NotEqual) X(PReLUFusion) \
  X(PowFusion) X(RealDiv) X(Reciprocal) X(ReduceFusion) X(Resize) X(Round) X(Rsqrt) X(ScaleFusion) X(Sin) \
  X(Softmax) X(Sqrt) X(Square) X(SquaredDifference) X(SubFusion)
// clang-format on
#define LR_REGISTER(Primitive) LR_REGISTER_GENERAL_QUANTIZED_OP(Primitive, ThroughFloat)
LR_THROUGH_FLOAT(LR_REGISTER)
#undef LR_REGISTER

}  // namespace
}  // namespace lr
