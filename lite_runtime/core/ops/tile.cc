// Repeating: TileFusion and BroadcastTo for any element type, and tensors of one value: Fill, FillV2,
// ConstantOfShape.
#include "ops/elementwise.h"

namespace lr {
namespace {

Shape shape_from(const Node& node, size_t i) {
  Shape shape;
  for (int64_t dim : node.ints(i)) {
    if (dim < 0) node.invalid("the wanted shape has dimension %lld", static_cast<long long>(dim));
    shape.push_back(dim);
  }
  return shape;
}

// Inputs (x, multiples); `dims` names the axis of each multiple, by default the first axes.
class TileOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    const std::vector<int64_t> multiples = node.ints(1);
    const auto* dims = node.attr<schema::TileFusion>()->dims();
    const size_t named = dims == nullptr ? 0 : dims->size();
    const Shape& in = node.in[0]->shape;
    if (multiples.size() > static_cast<size_t>(in.rank()) || (named > 0 && named != multiples.size())) {
      node.invalid("%zu multiples and %zu dims for a tensor of %d dimensions", multiples.size(), named, in.rank());
    }
    for (int64_t& multiple : multiples_) multiple = 1;
    Shape out = in;
    for (size_t i = 0; i < multiples.size(); ++i) {
      const int d = named == 0 ? static_cast<int>(i)
                               : normalize_axis(dims->Get(static_cast<flatbuffers::uoffset_t>(i)), in.rank());
      if (multiples[i] < 0) {
        node.invalid("axis %d cannot be repeated %lld times", d, static_cast<long long>(multiples[i]));
      }
      multiples_[d] = multiples[i];
      out[d] = checked_product(in[d], multiples[i]);
    }
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const Steps from(in.shape), to(out.shape);
    CopyLoops loops;
    for (int d = 0; d < in.shape.rank(); ++d) {
      loops.add({multiples_[d], {0, in.shape[d] * to[d]}});
      loops.add({in.shape[d], {from[d], to[d]}});
    }
    copy_strided(loops, in.data, out.data, dtype_size(in.dtype), node.pool);
  }

 private:
  int64_t multiples_[LR_MAX_RANK] = {};
};

// The wanted shape is input 1 or the attribute `shape`; -1 keeps the input's dimension.
class BroadcastToOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 2);
    const Shape& in = node.in[0]->shape;
    const auto* attribute = node.attr<schema::BroadcastTo>()->shape();
    std::vector<int64_t> wanted;
    if (node.has(1)) {
      wanted = node.ints(1);
    } else if (attribute != nullptr) {
      wanted.assign(attribute->begin(), attribute->end());
    }
    const int shift = static_cast<int>(wanted.size()) - in.rank();
    Shape out;
    for (int64_t dim : wanted) {
      const int d = out.rank() - shift;
      const int64_t own = d < 0 ? 1 : in[d];
      if (dim == -1 && d >= 0) dim = own;
      if (dim < 0 || (own != dim && own != 1)) shift_error(node, wanted.size());
      out.push_back(dim);
    }
    if (shift < 0) shift_error(node, wanted.size());
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const Steps from = broadcast_steps(in.shape, out.shape), to(out.shape);
    CopyLoops loops;
    for (int d = 0; d < out.shape.rank(); ++d) loops.add({out.shape[d], {from[d], to[d]}});
    copy_strided(loops, in.data, out.data, dtype_size(in.dtype), node.pool);
  }

 private:
  [[noreturn]] static void shift_error(const Node& node, size_t rank) {
    node.invalid("shape %s cannot be broadcast to the wanted shape of %zu dimensions", node.in[0]->shape.str().c_str(),
                 rank);
  }
};

// kValue and kShape tell which input is which.
template <size_t kValue, size_t kShape>
class FillOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    if (node.in[kValue]->count() != 1) {
      node.invalid("input %zu must hold one value, has shape %s", kValue, node.in[kValue]->shape.str().c_str());
    }
    node.set_out(0, node.in[kValue]->dtype, shape_from(node, kShape));
  }
  void run(Node& node) override {
    Tensor& out = *node.out[0];
    fill_elements(out.data, out.count(), node.in[kValue]->data, dtype_size(out.dtype));
  }
};

// Input 0 is the shape; attributes data_type and value (one number, 0 when absent).
class ConstantOfShapeOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    const auto* attr = node.attr<schema::ConstantOfShape>();
    const int64_t number = attr->data_type();
    const DType dtype = number > 0 && number < 100 ? static_cast<DType>(number) : DType::kUnknown;
    if (dtype_size(dtype) == 0) node.unsupported("data_type %lld", static_cast<long long>(number));
    const size_t count = attr->value() == nullptr ? 0 : attr->value()->size();
    if (count > 1) node.invalid("there are %zu values instead of one", count);
    value_ = count == 0 ? 0.0f : attr->value()->Get(0);
    node.set_out(0, dtype, shape_from(node, 0));
  }
  void run(Node& node) override {
    Tensor& out = *node.out[0];
    const uint64_t bits = element_bits(out.dtype, static_cast<double>(value_));
    fill_elements(out.data, out.count(), &bits, dtype_size(out.dtype));
  }

 private:
  float value_ = 0.0f;
};

using ValueThenShape = FillOp<0, 1>;
using ShapeThenValue = FillOp<1, 0>;

LR_REGISTER_OP(TileFusion, TileOp)
LR_REGISTER_OP(BroadcastTo, BroadcastToOp)
LR_REGISTER_OP(Fill, ValueThenShape)
LR_REGISTER_OP(FillV2, ShapeThenValue)
LR_REGISTER_OP(ConstantOfShape, ConstantOfShapeOp)

}  // namespace
}  // namespace lr
