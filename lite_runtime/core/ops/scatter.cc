// Writing elements by index: ScatterNd, ScatterNdUpdate, TensorScatterAdd, ScatterElements. Indices are int32
// or int64, negative ones count from the end, others out of range fail. Where several updates meet,
// ScatterNd and TensorScatterAdd add them all up and the others keep the last.
#include "ops/indexing.h"

namespace lr {
namespace {

int64_t element_bytes(const Tensor& tensor) { return static_cast<int64_t>(dtype_size(tensor.dtype)); }

// updates has the shape of the index rows followed by that of a slice.
void check_updates(const Node& node, const Shape& indices, const Shape& updates, const Shape& x) {
  slice_size(node, indices, x);
  Shape wanted;
  for (int d = 0; d + 1 < indices.rank(); ++d) wanted.push_back(indices[d]);
  for (int d = static_cast<int>(indices.back()); d < x.rank(); ++d) wanted.push_back(x[d]);
  if (updates != wanted) {
    node.invalid("updates have shape %s; indices %s into %s need %s", updates.str().c_str(), indices.str().c_str(),
                 x.str().c_str(), wanted.str().c_str());
  }
}

void expect_same_type(const Node& node, size_t i, size_t j) {
  if (node.in[i]->dtype != node.in[j]->dtype) {
    node.invalid("inputs %zu and %zu have different types: %s and %s", i, j, dtype_name(node.in[i]->dtype),
                 dtype_name(node.in[j]->dtype));
  }
}

// Writes slices into out, which holds the initial values; `add` is null for plain writing.
void scatter_slices(const Tensor& indices, const Tensor& updates, Tensor& out, int64_t* offsets, BinaryRow add) {
  slice_offsets(indices, out.shape, offsets);
  const int64_t rows = indices.shape.count(0, indices.shape.rank() - 1);
  if (rows == 0) return;
  const int64_t slice = updates.count() / rows, size = element_bytes(out);
  if (slice == 0) return;
  for (int64_t r = 0; r < rows; ++r) {
    char* to = out.as<char>() + offsets[r] * size;
    const char* from = updates.as<char>() + r * slice * size;
    if (add != nullptr) {
      add(to, 1, from, 1, to, slice);
    } else {
      std::memcpy(to, from, static_cast<size_t>(slice * size));
    }
  }
}

size_t offset_bytes(const Tensor& indices) {
  return static_cast<size_t>(indices.shape.count(0, indices.shape.rank() - 1)) * sizeof(int64_t);
}

// Inputs (indices, updates, shape).
class ScatterNdOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    Indices::expect(node, 0);
    Shape out;
    for (int64_t dim : node.ints(2)) {
      if (dim < 0) node.invalid("the wanted shape has dimension %lld", static_cast<long long>(dim));
      out.push_back(dim);
    }
    check_updates(node, node.in[0]->shape, node.in[1]->shape, out);
    if (add_rows(node.in[1]->dtype) == nullptr) node.unsupported("%s updates", dtype_name(node.in[1]->dtype));
    refuse_quantized(node);
    node.set_out(0, node.in[1]->dtype, out);
  }
  void prepare(Node& node) override { node.need_scratch(offset_bytes(*node.in[0])); }
  void run(Node& node) override {
    Tensor& out = *node.out[0];
    std::memset(out.data, 0, out.bytes());
    scatter_slices(*node.in[0], *node.in[1], out, static_cast<int64_t*>(node.scratch), add_rows(out.dtype));
  }
};

// Inputs (x, indices, updates): a copy of x with the updates written or added.
template <bool kAdd>
class ScatterIntoOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    Indices::expect(node, 1);
    expect_same_type(node, 0, 2);
    check_updates(node, node.in[1]->shape, node.in[2]->shape, node.in[0]->shape);
    if (kAdd && add_rows(node.in[0]->dtype) == nullptr) node.unsupported("%s input", dtype_name(node.in[0]->dtype));
    if (kAdd) refuse_quantized(node);
    node.set_out(0, node.in[0]->dtype, node.in[0]->shape);
    expect_same_quantization(node);
  }
  void prepare(Node& node) override { node.need_scratch(offset_bytes(*node.in[1])); }
  void run(Node& node) override {
    Tensor& out = *node.out[0];
    copy_bytes(out.data, node.in[0]->data, out.bytes());
    scatter_slices(*node.in[1], *node.in[2], out, static_cast<int64_t*>(node.scratch),
                   kAdd ? add_rows(out.dtype) : nullptr);
  }
  OpTraits traits() const override { return OpTraits::overwriting(0); }
};

// Inputs (x, indices, updates) of one rank: each update replaces the element at its own position, with the
// index in place of that along the axis.
class ScatterElementsOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    Indices::expect(node, 1);
    expect_same_type(node, 0, 2);
    const Shape &x = node.in[0]->shape, &indices = node.in[1]->shape;
    axis_ = normalize_axis(node.attr<schema::ScatterElements>()->axis(), x.rank());
    bool fits = indices.rank() == x.rank() && node.in[2]->shape == indices;
    for (int d = 0; fits && d < x.rank(); ++d) fits = d == axis_ || indices[d] <= x[d];
    if (!fits) {
      node.invalid("indices of shape %s and updates of shape %s do not fit %s", indices.str().c_str(),
                   node.in[2]->shape.str().c_str(), x.str().c_str());
    }
    node.set_out(0, node.in[0]->dtype, x);
    expect_same_quantization(node);
  }
  void run(Node& node) override {
    const Tensor &indices = *node.in[1], &updates = *node.in[2];
    Tensor& out = *node.out[0];
    copy_bytes(out.data, node.in[0]->data, out.bytes());
    const Indices index(indices);
    const Steps steps(out.shape);
    const int64_t size = element_bytes(out), length = out.shape[axis_];
    Loops<1> loops;
    for (int d = 0; d < out.shape.rank(); ++d) loops.add({indices.shape[d], {d == axis_ ? 0 : steps[d]}});
    int64_t i = 0;
    loops.each(0, loops.count(), [&](const int64_t* at) {
      const int64_t to = at[0] + index.position(i, length) * steps[axis_];
      std::memcpy(out.as<char>() + to * size, updates.as<char>() + i * size, static_cast<size_t>(size));
      ++i;
    });
  }
  OpTraits traits() const override { return OpTraits::overwriting(0); }

 private:
  int axis_ = 0;
};

using ScatterNdUpdateOp = ScatterIntoOp<false>;
using TensorScatterAddOp = ScatterIntoOp<true>;

LR_REGISTER_OP(ScatterNd, ScatterNdOp)
LR_REGISTER_OP(ScatterNdUpdate, ScatterNdUpdateOp)
LR_REGISTER_OP(TensorScatterAdd, TensorScatterAddOp)
LR_REGISTER_OP(ScatterElements, ScatterElementsOp)

}  // namespace
}  // namespace lr
