// Operators on shapes. Reshape, ExpandDims, Squeeze, Unsqueeze, Flatten and Depend show their input under
// another shape; Shape, Rank and Size (int32) tell about it.
#include <algorithm>
#include <limits>

#include "ops/elementwise.h"

namespace lr {
namespace {

class ViewOp : public Op {
 public:
  void infer(Node& node) override {
    const Shape shape = view_shape(node);
    if (shape.count() != node.in[0]->count()) {
      node.invalid("shape %s has other than the %lld elements of %s", shape.str().c_str(),
                   static_cast<long long>(node.in[0]->count()), node.in[0]->shape.str().c_str());
    }
    node.set_out(0, node.in[0]->dtype, shape);
    expect_same_quantization(node);
  }
  // Only called when the planner could not share the storage.
  void run(Node& node) override { copy_bytes(node.out[0]->data, node.in[0]->data, node.out[0]->bytes()); }
  OpTraits traits() const override { return OpTraits::view(); }

 protected:
  virtual Shape view_shape(const Node& node) = 0;
};

// Axes of the result in [-rank, rank), sorted; fails when one comes twice.
std::vector<int> sorted_axes(const Node& node, const std::vector<int64_t>& axes, int rank) {
  std::vector<int> sorted;
  for (int64_t axis : axes) sorted.push_back(normalize_axis(axis, rank));
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) node.invalid("axis %d is named twice", *twice);
  return sorted;
}

std::vector<int64_t> to_vector(const flatbuffers::Vector<int64_t>* values) {
  return values == nullptr ? std::vector<int64_t>() : std::vector<int64_t>(values->begin(), values->end());
}

Shape insert_ones(const Node& node, const std::vector<int64_t>& axes) {
  Shape shape = node.in[0]->shape;
  // The rank is limited to LR_MAX_RANK by Shape; checking here keeps the axes in range before.
  const size_t rank = static_cast<size_t>(shape.rank()) + axes.size();
  if (rank > LR_MAX_RANK) node.unsupported("a result of %zu dimensions", rank);
  for (int axis : sorted_axes(node, axes, static_cast<int>(rank))) shape.insert(axis, 1);
  return shape;
}

// Input 1 is the wanted shape: 0 keeps the input's dimension at that place, one -1 takes what is left.
class ReshapeOp : public ViewOp {
 protected:
  Shape view_shape(const Node& node) override {
    node.expect_inputs(2, 2);
    const Shape& in = node.in[0]->shape;
    Shape shape;
    int unknown = -1;
    for (int64_t dim : node.ints(1)) {
      const int at = shape.rank();
      if (dim < -1 || (dim == -1 && unknown >= 0)) {
        node.invalid("the wanted shape has dimension %lld at %d", static_cast<long long>(dim), at);
      }
      if (dim == -1) unknown = at;
      if (dim == 0 && at < in.rank()) dim = in[at];
      shape.push_back(dim == -1 ? 1 : dim);
    }
    if (unknown < 0) return shape;
    const int64_t rest = shape.count();
    if (rest == 0 || in.count() % rest != 0) {
      node.invalid("%s has no multiple of %lld elements", in.str().c_str(), static_cast<long long>(rest));
    }
    shape[unknown] = in.count() / rest;
    return shape;
  }
};

class ExpandDimsOp : public ViewOp {
 protected:
  Shape view_shape(const Node& node) override {
    node.expect_inputs(2, 2);
    const std::vector<int64_t> axis = node.ints(1);
    if (axis.size() != 1) node.invalid("input 1 must hold one axis, has %zu", axis.size());
    return insert_ones(node, axis);
  }
};

class UnsqueezeOp : public ViewOp {
 protected:
  Shape view_shape(const Node& node) override {
    node.expect_inputs(1, 2);
    return insert_ones(node, node.has(1) ? node.ints(1) : to_vector(node.attr<schema::Unsqueeze>()->axis()));
  }
};

// Drops the named axes, which must have size 1; without any, all axes of size 1.
class SqueezeOp : public ViewOp {
 protected:
  Shape view_shape(const Node& node) override {
    node.expect_inputs(1, 2);
    const Shape& in = node.in[0]->shape;
    const auto named = node.has(1) ? node.ints(1) : to_vector(node.attr<schema::Squeeze>()->axis());
    const std::vector<int> axes = sorted_axes(node, named, in.rank());
    Shape shape;
    for (int d = 0; d < in.rank(); ++d) {
      const bool drop = axes.empty() ? in[d] == 1 : std::binary_search(axes.begin(), axes.end(), d);
      if (drop && in[d] != 1) node.invalid("axis %d of %s is not 1", d, in.str().c_str());
      if (!drop) shape.push_back(in[d]);
    }
    return shape;
  }
};

// [d0 * .. * d(axis-1), d(axis) * ..]
class FlattenOp : public ViewOp {
 protected:
  Shape view_shape(const Node& node) override {
    node.expect_inputs(1, 1);
    const Shape& in = node.in[0]->shape;
    const int64_t axis = node.attr<schema::Flatten>()->axis();
    // The rank itself is a valid axis; a scalar becomes [1, 1] under the default axis.
    const int at = axis == in.rank() || in.rank() == 0 ? in.rank() : normalize_axis(axis, in.rank());
    return Shape{in.count(0, at), in.count(at, in.rank())};
  }
};

// Output is input 0; the others only order the nodes.
class DependOp : public ViewOp {
 protected:
  Shape view_shape(const Node& node) override {
    node.expect_inputs(1, SIZE_MAX);
    return node.in[0]->shape;
  }
};

int32_t to_int32(int64_t value) {
  if (value > std::numeric_limits<int32_t>::max()) {
    fail(LR_ERROR_RUN, "%lld does not fit into int32", static_cast<long long>(value));
  }
  return static_cast<int32_t>(value);
}

class AboutShapeOp : public Op {
 public:
  OpTraits traits() const override { return OpTraits::of_shapes(); }
};

class ShapeOp : public AboutShapeOp {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.set_out(0, DType::kInt32, Shape{node.in[0]->shape.rank()});
  }
  void run(Node& node) override {
    std::transform(node.in[0]->shape.begin(), node.in[0]->shape.end(), node.out[0]->as<int32_t>(), to_int32);
  }
};

class RankOp : public AboutShapeOp {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.set_out(0, DType::kInt32, Shape{});
  }
  void run(Node& node) override { *node.out[0]->as<int32_t>() = node.in[0]->shape.rank(); }
};

class SizeOp : public AboutShapeOp {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.set_out(0, DType::kInt32, Shape{});
  }
  void run(Node& node) override { *node.out[0]->as<int32_t>() = to_int32(node.in[0]->count()); }
};

LR_REGISTER_OP(Reshape, ReshapeOp)
LR_REGISTER_OP(ExpandDims, ExpandDimsOp)
LR_REGISTER_OP(Unsqueeze, UnsqueezeOp)
LR_REGISTER_OP(Squeeze, SqueezeOp)
LR_REGISTER_OP(Flatten, FlattenOp)
LR_REGISTER_OP(Depend, DependOp)
LR_REGISTER_OP(Shape, ShapeOp)
LR_REGISTER_OP(Rank, RankOp)
LR_REGISTER_OP(Size, SizeOp)

}  // namespace
}  // namespace lr
