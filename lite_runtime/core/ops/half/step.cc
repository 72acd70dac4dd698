#include <algorithm>
#include <array>
#include <cmath>

#include "ops/half/half.h"

#if defined(LR_HALF)

namespace lr {

namespace {

constexpr int64_t kGrain = 16384;

// Operators that move elements of any type.
constexpr int kMovers[] = {
    schema::PrimitiveType_Concat,      schema::PrimitiveType_ExpandDims,   schema::PrimitiveType_Flatten,
    schema::PrimitiveType_Gather,      schema::PrimitiveType_Reshape,      schema::PrimitiveType_Shape,
    schema::PrimitiveType_SliceFusion, schema::PrimitiveType_Split,        schema::PrimitiveType_Squeeze,
    schema::PrimitiveType_Stack,       schema::PrimitiveType_StridedSlice, schema::PrimitiveType_Transpose,
    schema::PrimitiveType_Unsqueeze,   schema::PrimitiveType_Unstack,
};

// Operators whose results are float16 when they have been computed through float: these stand between operators that
// compute in float16, and their results are as large as what they are made of.
constexpr int kNarrowing[] = {
    schema::PrimitiveType_Activation,      schema::PrimitiveType_AddFusion,
    schema::PrimitiveType_AvgPoolFusion,   schema::PrimitiveType_BatchNorm,
    schema::PrimitiveType_BiasAdd,         schema::PrimitiveType_Clip,
    schema::PrimitiveType_Conv2DFusion,    schema::PrimitiveType_Conv2dTransposeFusion,
    schema::PrimitiveType_Eltwise,         schema::PrimitiveType_Elu,
    schema::PrimitiveType_FusedBatchNorm,  schema::PrimitiveType_InstanceNorm,
    schema::PrimitiveType_LayerNormFusion, schema::PrimitiveType_LeakyRelu,
    schema::PrimitiveType_MaxPoolFusion,   schema::PrimitiveType_MulFusion,
    schema::PrimitiveType_PReLUFusion,     schema::PrimitiveType_PadFusion,
    schema::PrimitiveType_Resize,          schema::PrimitiveType_ScaleFusion,
};

template <size_t n>
bool contains(const int (&list)[n], int primitive) {
  return std::find(std::begin(list), std::end(list), primitive) != std::end(list);
}

void widen(const Node& node, const half* x, float* y, int64_t count) {
  node.pool->run(count, kGrain, [&](int64_t begin, int64_t end, int) {
    kernels().f16_to_f32(x + begin, y + begin, static_cast<size_t>(end - begin));
  });
}

void narrow(const Node& node, const float* x, half* y, int64_t count) {
  node.pool->run(count, kGrain, [&](int64_t begin, int64_t end, int) {
    kernels().f32_to_f16(x + begin, y + begin, static_cast<size_t>(end - begin));
  });
}

bool has_dtype(const std::vector<Tensor*>& tensors, DType dtype) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const Tensor* t) { return t->dtype == dtype; });
}

}  // namespace

void HalfStep::infer(Node& node) {
  const int primitive = node.def->primitive;
  const bool has_half = has_dtype(node.in, DType::kFloat16);
  way_ = Way::kAsItIs;
  in_.assign(node.inputs(), Operand());
  out_.assign(node.out.size(), Operand());
  if (!has_half || (narrows_ && contains(kMovers, primitive) && !has_dtype(node.in, DType::kFloat32))) {
    op_->infer(node);
    if (!narrows_ || has_half || !accepts(node)) return;
    way_ = Way::kHalf;
    return node.set_out(0, DType::kFloat16, node.out[0]->shape);
  }
  for (size_t i = 0; i < in_.size(); ++i) {
    in_[i].tensor = *node.in[i];
    in_[i].converted = node.in[i]->dtype == DType::kFloat16;
    if (in_[i].converted) in_[i].tensor.dtype = DType::kFloat32;
  }
  for (size_t i = 0; i < out_.size(); ++i) out_[i].tensor.def = node.out[i]->def;
  inner_.stand_for(node, in_, out_);
  op_->infer(inner_);
  way_ = narrows_ && accepts(inner_) ? Way::kHalf : Way::kThroughFloat;
  const bool narrows = way_ == Way::kHalf || (narrows_ && contains(kNarrowing, primitive));
  for (size_t i = 0; i < out_.size(); ++i) {
    const Tensor& result = out_[i].tensor;
    out_[i].converted = narrows && result.dtype == DType::kFloat32;
    node.set_out(i, out_[i].converted ? DType::kFloat16 : result.dtype, result.shape);
    node.out[i]->run_time_quantization = result.run_time_quantization;
  }
}

OpTraits HalfStep::traits() const {
  OpTraits traits = op_->traits();
  if (way_ != Way::kAsItIs) {
    traits.is_view = false;
    traits.overwrites = -1;
    traits.scales = false;
  }
  return traits;
}

bool HalfStep::elementwise(const Node& node, Elementwise* what) const {
  if (way_ == Way::kAsItIs) return op_->elementwise(node, what);
  const auto is_half = [](const Operand& operand) { return operand.converted; };
  return way_ == Way::kThroughFloat && std::all_of(in_.begin(), in_.end(), is_half) && is_half(out_[0]) &&
         op_->elementwise(inner_, what);
}

bool HalfStep::absorb(const Elementwise& next) {
  if (way_ == Way::kHalf) return activation_.absorb(next);
  return (way_ == Way::kAsItIs || !next.adds) && op_->absorb(next);
}

void HalfStep::prepare(Node& node) {
  if (way_ == Way::kAsItIs) return op_->prepare(node);
  workspace_.clear();
  if (way_ == Way::kHalf) {
    prepare_input(node);
    prepare_half(node);
  } else {
    for (size_t i = 0; i < in_.size(); ++i) in_[i].tensor.data = in_[i].converted ? nullptr : node.in[i]->data;
    inner_.stand_for(node, in_, out_);
    op_->prepare(inner_);
    inner_scratch_ = workspace_.add(inner_.scratch_bytes);
    for (auto* side : {&in_, &out_}) {
      for (Operand& operand : *side) {
        if (operand.converted) operand.offset = workspace_.add<float>(operand.tensor.count());
      }
    }
  }
  workspace_.reserve(node);
}

void HalfStep::run(Node& node) {
  if (way_ == Way::kAsItIs) return op_->run(node);
  if (way_ == Way::kHalf) return run_half(node);
  for (size_t i = 0; i < in_.size(); ++i) {
    in_[i].tensor.data = node.in[i]->data;
    if (!in_[i].converted) continue;
    in_[i].tensor.data = Workspace::at<float>(node, in_[i].offset);
    widen(node, node.in[i]->as<half>(), in_[i].tensor.as<float>(), node.in[i]->count());
  }
  for (size_t i = 0; i < out_.size(); ++i) {
    out_[i].tensor.data = out_[i].converted ? Workspace::at<float>(node, out_[i].offset) : node.out[i]->data;
  }
  inner_.running = true;
  inner_.scratch = Workspace::at<char>(node, inner_scratch_);
  if (op_->traits().is_view) {
    std::memcpy(inner_.out[0]->data, inner_.in[0]->data, inner_.out[0]->bytes());
  } else {
    op_->run(inner_);
  }
  for (size_t i = 0; i < out_.size(); ++i) {
    if (out_[i].converted) narrow(node, out_[i].tensor.as<float>(), node.out[i]->as<half>(), node.out[i]->count());
  }
}

const half* HalfStep::input(const Node& node) const {
  if (node.in[0]->dtype == DType::kFloat16) return node.in[0]->as<half>();
  half* copy = Workspace::at<half>(node, input_);
  narrow(node, node.in[0]->as<float>(), copy, node.in[0]->count());
  return copy;
}

HalfEpilogue::HalfEpilogue(const FusedActivation& activation, const Node& node)
    : function_(activation.pending_ ? &activation.function_ : nullptr),
      addend_(node.addend == nullptr ? nullptr : node.addend->as<half>()),
      output_(node.out[0]->as<half>()),
      low_(activation.low_),
      high_(activation.high_) {}

void HalfEpilogue::finish(half* y, size_t rows, size_t stride, size_t n) const {
  if (addend_ == nullptr && function_ == nullptr) return;
  if (stride == n) {
    n *= rows;
    rows = 1;
  }
  for (size_t r = 0; r < rows; ++r, y += stride) {
    if (addend_ != nullptr) half_kernels()->add(y, addend_ + (y - output_), y, n);
    if (function_ == nullptr) continue;
    if (function_->is_clamp()) {
      half_kernels()->clamp(y, y, n, function_->low(), function_->high());
      continue;
    }
    std::array<float, 512> part;
    for (size_t i = 0; i < n; i += part.size()) {
      const size_t count = std::min(part.size(), n - i);
      kernels().f16_to_f32(y + i, part.data(), count);
      function_->apply(part.data(), part.data(), count);
      kernels().f32_to_f16(part.data(), y + i, count);
    }
  }
}

std::unique_ptr<Op> make_half(const NodeDef& def, std::unique_ptr<Op> op, bool plain, bool last) {
  if (plain && !last) {
    switch (def.primitive) {
      case schema::PrimitiveType_Conv2DFusion:
        return make_half_conv2d(std::move(op));
      case schema::PrimitiveType_MatMulFusion:
        return make_half_matmul(std::move(op));
      case schema::PrimitiveType_FullConnection:
        return make_half_full_connection(std::move(op));
      default:
        break;
    }
  }
  return std::make_unique<HalfStep>(std::move(op), !last);
}

}  // namespace lr

#endif
