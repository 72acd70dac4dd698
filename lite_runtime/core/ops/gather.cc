// Taking elements by index: Gather, GatherNd, GatherD, EmbeddingLookupFusion, OneHot. Any element type;
// indices are int32 or int64, negative ones count from the end, others out of range fail.
#include "ops/indexing.h"

namespace lr {
namespace {

int64_t element_bytes(const Tensor& tensor) { return static_cast<int64_t>(dtype_size(tensor.dtype)); }

// Inputs (x, indices[, axis]): x with the axis replaced by the shape of the indices.
class GatherOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 3);
    Indices::expect(node, 1);
    const std::vector<int64_t> axis = node.has(2) ? node.ints(2) : std::vector<int64_t>{0};
    if (axis.size() != 1) node.invalid("input 2 must hold one axis, has %zu", axis.size());
    const Shape &x = node.in[0]->shape, &indices = node.in[1]->shape;
    axis_ = normalize_axis(axis[0], x.rank());
    Shape out = x;
    out.erase(axis_);
    for (int d = 0; d < indices.rank(); ++d) out.insert(axis_ + d, indices[d]);
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void prepare(Node& node) override { node.need_scratch(static_cast<size_t>(node.in[1]->count()) * sizeof(int64_t)); }

  void run(Node& node) override {
    const Tensor &x = *node.in[0], &indices = *node.in[1];
    auto* positions = static_cast<int64_t*>(node.scratch);
    const Indices index(indices);
    const int64_t n = indices.count(), size = x.shape[axis_];
    for (int64_t i = 0; i < n; ++i) positions[i] = index.position(i, size);
    const int64_t row = x.shape.count(axis_ + 1, x.shape.rank()) * element_bytes(x);
    const int64_t outer = x.shape.count(0, axis_);
    for (int64_t o = 0; o < outer; ++o) {
      gather_rows(x.as<char>() + o * size * row, positions, row, node.out[0]->as<char>() + o * n * row, n, row,
                  node.pool);
    }
  }

 private:
  int axis_ = 0;
};

// Inputs (x, indices [.., k]): the slices x[i1, .., ik].
class GatherNdOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    Indices::expect(node, 1);
    const Shape &x = node.in[0]->shape, &indices = node.in[1]->shape;
    slice_size(node, indices, x);
    Shape out;
    for (int d = 0; d + 1 < indices.rank(); ++d) out.push_back(indices[d]);
    for (int d = static_cast<int>(indices.back()); d < x.rank(); ++d) out.push_back(x[d]);
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void prepare(Node& node) override { node.need_scratch(static_cast<size_t>(rows(node)) * sizeof(int64_t)); }

  void run(Node& node) override {
    const Tensor& x = *node.in[0];
    auto* offsets = static_cast<int64_t*>(node.scratch);
    slice_offsets(*node.in[1], x.shape, offsets);
    const int64_t slice = slice_size(node, node.in[1]->shape, x.shape);
    gather_rows(x.as<char>(), offsets, element_bytes(x), node.out[0]->as<char>(), rows(node), slice * element_bytes(x),
                node.pool);
  }

 private:
  static int64_t rows(const Node& node) {
    const Shape& indices = node.in[1]->shape;
    return indices.count(0, indices.rank() - 1);
  }
};

// Inputs (x, axis, indices): an element for each index, which replaces its own position along the axis.
class GatherDOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    Indices::expect(node, 2);
    const std::vector<int64_t> axis = node.ints(1);
    if (axis.size() != 1) node.invalid("input 1 must hold one axis, has %zu", axis.size());
    const Shape &x = node.in[0]->shape, &indices = node.in[2]->shape;
    if (indices.rank() != x.rank()) node.invalid("x has %d dimensions, the indices %d", x.rank(), indices.rank());
    axis_ = normalize_axis(axis[0], x.rank());
    for (int d = 0; d < x.rank(); ++d) {
      if (d != axis_ && indices[d] > x[d]) {
        node.invalid("indices of shape %s reach beyond %s", indices.str().c_str(), x.str().c_str());
      }
    }
    node.set_out(0, node.in[0]->dtype, indices);
    expect_same_quantization(node);
  }

  void prepare(Node& node) override { node.need_scratch(static_cast<size_t>(node.in[2]->count()) * sizeof(int64_t)); }

  void run(Node& node) override {
    const Tensor &x = *node.in[0], &indices = *node.in[2];
    auto* offsets = static_cast<int64_t*>(node.scratch);
    const Indices index(indices);
    const Steps steps(x.shape);
    Loops<1> loops;
    for (int d = 0; d < x.shape.rank(); ++d) loops.add({indices.shape[d], {d == axis_ ? 0 : steps[d]}});
    const int64_t size = x.shape[axis_];
    int64_t i = 0;
    loops.each(0, loops.count(), [&](const int64_t* at) {
      offsets[i] = at[0] + index.position(i, size) * steps[axis_];
      ++i;
    });
    gather_rows(x.as<char>(), offsets, element_bytes(x), node.out[0]->as<char>(), i, element_bytes(x), node.pool);
  }

 private:
  int axis_ = 0;
};

// Inputs (table, .., ids): rows of the tables put together.
class EmbeddingLookupOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, SIZE_MAX);
    if (node.attr<schema::EmbeddingLookupFusion>()->max_norm() != 0.0f) node.unsupported("max_norm");
    const size_t ids_at = node.inputs() - 1;
    Indices::expect(node, ids_at);
    const Shape &table = node.in[0]->shape, &ids = node.in[ids_at]->shape;
    if (table.rank() == 0) node.invalid("the table has no dimensions");
    Shape out = ids;
    for (int d = 1; d < table.rank(); ++d) out.push_back(table[d]);
    for (size_t i = 0; i < ids_at; ++i) {
      Shape shape = node.in[i]->shape;
      if (shape.rank() == table.rank()) shape[0] = table[0];
      if (shape != table || node.in[i]->dtype != node.in[0]->dtype) {
        node.invalid("table %zu of shape %s does not fit table 0 of shape %s", i, node.in[i]->shape.str().c_str(),
                     table.str().c_str());
      }
    }
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& ids = *node.in.back();
    const Indices index(ids);
    const Shape& table = node.in[0]->shape;
    const int64_t row = table.count(1, table.rank()) * element_bytes(*node.in[0]);
    int64_t total = 0;
    for (size_t i = 0; i + 1 < node.inputs(); ++i) total += node.in[i]->shape[0];
    char* out = node.out[0]->as<char>();
    for (int64_t i = 0; i < ids.count(); ++i) {
      int64_t at = index.position(i, total);
      size_t t = 0;
      while (at >= node.in[t]->shape[0]) at -= node.in[t++]->shape[0];
      copy_bytes(out + i * row, node.in[t]->as<char>() + at * row, static_cast<size_t>(row));
    }
  }
};

// Inputs (indices, depth, [off, on]) or (indices, depth, on, off): a new axis of size depth, `on` where it
// equals the index. An index out of range gives `off` throughout; in the form with three inputs negative
// indices count from the end.
class OneHotOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 4);
    Indices::expect(node, 0);
    const std::vector<int64_t> depth = node.ints(1);
    if (depth.size() != 1 || depth[0] < 0) node.invalid("input 1 must hold one depth of at least 0");
    const bool separate = node.inputs() == 4;
    for (size_t i = 2; i < node.inputs(); ++i) {
      if (node.in[i]->dtype != node.in[2]->dtype || node.in[i]->count() != (separate ? 1 : 2)) {
        node.invalid("input %zu must hold %s", i, separate ? "one value of the type of input 2" : "two values");
      }
    }
    axis_ = normalize_axis(node.attr<schema::OneHot>()->axis(), node.in[0]->shape.rank() + 1);
    Shape out = node.in[0]->shape;
    out.insert(axis_, depth[0]);
    node.set_out(0, node.in[2]->dtype, out);
  }

  void run(Node& node) override {
    const bool separate = node.inputs() == 4;
    const int64_t size = element_bytes(*node.in[2]);
    const char* first = node.in[2]->as<char>();
    const char* on = separate ? first : first + size;
    const char* off = separate ? node.in[3]->as<char>() : first;
    Tensor& out = *node.out[0];
    fill_elements(out.data, out.count(), off, static_cast<size_t>(size));
    const int64_t depth = out.shape[axis_], inner = out.shape.count(axis_ + 1, out.shape.rank());
    const Indices index(*node.in[0]);
    if (out.count() == 0) return;
    for (int64_t i = 0; i < node.in[0]->count(); ++i) {
      int64_t at = index[i];
      if (at < 0 && !separate) at += depth;
      if (at < 0 || at >= depth) continue;
      const int64_t element = (i / inner * depth + at) * inner + i % inner;
      std::memcpy(out.as<char>() + element * size, on, static_cast<size_t>(size));
    }
  }

 private:
  int axis_ = 0;
};

LR_REGISTER_OP(Gather, GatherOp)
LR_REGISTER_OP(GatherNd, GatherNdOp)
LR_REGISTER_OP(GatherD, GatherDOp)
LR_REGISTER_OP(EmbeddingLookupFusion, EmbeddingLookupOp)
LR_REGISTER_OP(OneHot, OneHotOp)

}  // namespace
}  // namespace lr
