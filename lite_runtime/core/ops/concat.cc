// Joining and cutting along one axis: Concat, Stack, Split, Unstack, SplitWithOverlap. Any element type.
#include <algorithm>

#include "ops/elementwise.h"

namespace lr {
namespace {

// A tensor seen as [outer, size, inner] around an axis.
struct Around {
  int64_t outer, size, inner;
  Around(const Shape& shape, int axis)
      : outer(shape.count(0, axis)), size(shape[axis]), inner(shape.count(axis + 1, shape.rank())) {}
};

// Copies `size` slices of [outer, *, inner] from position src_at of src_size to dst_at of dst_size.
void copy_slices(int64_t outer, int64_t inner, int64_t size, const void* src, int64_t src_at, int64_t src_size,
                 void* dst, int64_t dst_at, int64_t dst_size, DType dtype, ThreadPool* pool) {
  const auto bytes = static_cast<int64_t>(dtype_size(dtype));
  CopyLoops loops;
  loops.add({outer, {src_size * inner, dst_size * inner}});
  loops.add({size * inner, {1, 1}});
  copy_strided(loops, static_cast<const char*>(src) + src_at * inner * bytes,
               static_cast<char*>(dst) + dst_at * inner * bytes, static_cast<size_t>(bytes), pool);
}

void expect_same_types(const Node& node) {
  for (size_t i = 1; i < node.inputs(); ++i) {
    if (node.in[i]->dtype != node.in[0]->dtype) {
      node.invalid("inputs 0 and %zu have different types: %s and %s", i, dtype_name(node.in[0]->dtype),
                   dtype_name(node.in[i]->dtype));
    }
  }
}

class ConcatOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, SIZE_MAX);
    expect_same_types(node);
    Shape out = node.in[0]->shape;
    axis_ = normalize_axis(node.attr<schema::Concat>()->axis(), out.rank());
    for (size_t i = 1; i < node.inputs(); ++i) {
      Shape shape = node.in[i]->shape;
      const bool same_rank = shape.rank() == out.rank();
      const int64_t size = same_rank ? shape[axis_] : 0;
      if (same_rank) shape[axis_] = out[axis_];
      if (shape != out) {
        node.invalid("input %zu of shape %s does not fit input 0 of shape %s along axis %d", i,
                     node.in[i]->shape.str().c_str(), node.in[0]->shape.str().c_str(), axis_);
      }
      out[axis_] += size;
    }
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  RowWork row_work(const Node& node) override { return {axis_ == node.out[0]->shape.rank() - 1, false, nullptr}; }

  void run(Node& node) override {
    Tensor& out = *node.out[0];
    const Around to(out.shape, axis_);
    int64_t at = 0;
    for (const Tensor* in : node.in) {
      const int64_t size = in->shape[axis_];
      if (in->row_stride != 0) {  // there already
        at += size;
        continue;
      }
      copy_slices(to.outer, to.inner, size, in->data, 0, size, out.data, at, to.size, out.dtype, node.pool);
      at += size;
    }
  }

 private:
  int axis_ = 0;
};

class StackOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, SIZE_MAX);
    expect_same_types(node);
    const Shape& in = node.in[0]->shape;
    axis_ = normalize_axis(node.attr<schema::Stack>()->axis(), in.rank() + 1);
    for (size_t i = 1; i < node.inputs(); ++i) {
      if (node.in[i]->shape != in) {
        node.invalid("input %zu of shape %s does not fit input 0 of shape %s", i, node.in[i]->shape.str().c_str(),
                     in.str().c_str());
      }
    }
    Shape out = in;
    out.insert(axis_, static_cast<int64_t>(node.inputs()));
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    Tensor& out = *node.out[0];
    const Around to(out.shape, axis_);
    int64_t at = 0;
    for (const Tensor* in : node.in) {
      copy_slices(to.outer, to.inner, 1, in->data, 0, 1, out.data, at++, to.size, out.dtype, node.pool);
    }
  }

 private:
  int axis_ = 0;
};

// Cuts input 0 along an axis; derived classes say where.
class CutOp : public Op {
 public:
  void infer(Node& node) override {
    pieces_.clear();
    find_pieces(node);
    for (size_t i = 0; i < node.out.size(); ++i) {
      Shape shape = node.in[0]->shape;
      shape[axis_] = pieces_[i].size;
      if (drop_axis_) shape.erase(axis_);
      node.set_out(i, node.in[0]->dtype, shape);
    }
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const Around from(in.shape, axis_);
    for (size_t i = 0; i < node.out.size(); ++i) {
      const Piece& piece = pieces_[i];
      copy_slices(from.outer, from.inner, piece.size, in.data, piece.at, from.size, node.out[i]->data, 0, piece.size,
                  in.dtype, node.pool);
    }
  }

 protected:
  struct Piece {
    int64_t at, size;  // within [0, size of the axis]
  };

  // Sets axis_ and as many pieces as the node has outputs.
  virtual void find_pieces(const Node& node) = 0;

  void set_axis(const Node& node, int64_t axis) { axis_ = normalize_axis(axis, node.in[0]->shape.rank()); }
  int64_t axis_size(const Node& node) const { return node.in[0]->shape[axis_]; }

  std::vector<Piece> pieces_;
  int axis_ = 0;
  bool drop_axis_ = false;
};

// The sizes are input 1 or size_splits, one of them may be -1 for what is left; without any, equal pieces.
class SplitOp : public CutOp {
 protected:
  void find_pieces(const Node& node) override {
    node.expect_inputs(1, 2);
    const auto* attr = node.attr<schema::Split>();
    set_axis(node, attr->axis());
    const int64_t total = axis_size(node);
    const auto outputs = static_cast<int64_t>(node.out.size());
    const auto* named = attr->size_splits();
    std::vector<int64_t> sizes;
    if (node.has(1)) {
      sizes = node.ints(1);
    } else if (named != nullptr && named->size() > 0) {
      sizes.assign(named->begin(), named->end());
    } else if (total % outputs == 0) {
      sizes.assign(node.out.size(), total / outputs);
    }
    if (sizes.size() != node.out.size()) {
      node.invalid("axis %d of size %lld cannot be split into %lld outputs (%zu sizes given)", axis_,
                   static_cast<long long>(total), static_cast<long long>(outputs), sizes.size());
    }
    fill_rest(sizes, total);
    int64_t at = 0;
    for (int64_t size : sizes) {
      if (size < 0 || size > total - at)
        node.invalid("the sizes do not fit axis %d of size %lld", axis_, static_cast<long long>(total));
      pieces_.push_back({at, size});
      at += size;
    }
    if (at != total) {
      node.invalid("the sizes sum to %lld, axis %d has %lld", static_cast<long long>(at), axis_,
                   static_cast<long long>(total));
    }
  }

 private:
  static void fill_rest(std::vector<int64_t>& sizes, int64_t total) {
    const auto rest = std::find(sizes.begin(), sizes.end(), -1);
    if (rest == sizes.end()) return;
    *rest = total;
    for (auto size = sizes.begin(); size != sizes.end(); ++size) {
      if (size != rest && *size > 0 && *size <= *rest) *rest -= *size;
    }
  }
};

class UnstackOp : public CutOp {
 protected:
  void find_pieces(const Node& node) override {
    node.expect_inputs(1, 1);
    set_axis(node, node.attr<schema::Unstack>()->axis());
    drop_axis_ = true;
    if (axis_size(node) != static_cast<int64_t>(node.out.size())) {
      node.invalid("axis %d has size %lld, the node %zu outputs", axis_, static_cast<long long>(axis_size(node)),
                   node.out.size());
    }
    for (int64_t i = 0; i < axis_size(node); ++i) pieces_.push_back({i, 1});
  }
};

// Pieces in the proportions `ratio` (borders rounded up), each made longer by extend_top and extend_bottom.
class SplitWithOverlapOp : public CutOp {
 protected:
  void find_pieces(const Node& node) override {
    node.expect_inputs(1, 1);
    const auto* attr = node.attr<schema::SplitWithOverlap>();
    set_axis(node, attr->split_dim());
    const auto ratio = list(node, attr->ratio(), "ratio");
    const auto top = list(node, attr->extend_top(), "extend_top");
    const auto bottom = list(node, attr->extend_bottom(), "extend_bottom");
    const int64_t total = axis_size(node);
    int64_t parts = 0;
    for (int64_t part : ratio) parts += part;
    if (parts == 0) node.invalid("ratio sums to 0");
    int64_t seen = 0;
    for (size_t i = 0; i < ratio.size(); ++i) {
      const int64_t begin = div_up(total * seen, parts) - top[i];
      seen += ratio[i];
      const int64_t end = div_up(total * seen, parts) + bottom[i];
      if (begin < 0 || end > total || end < begin) {
        node.invalid("piece %zu reaches from %lld to %lld on axis %d of size %lld", i, static_cast<long long>(begin),
                     static_cast<long long>(end), axis_, static_cast<long long>(total));
      }
      pieces_.push_back({begin, end - begin});
    }
  }

 private:
  // Values are limited so that their products with an axis cannot overflow.
  std::vector<int64_t> list(const Node& node, const flatbuffers::Vector<int64_t>* values, const char* name) const {
    const size_t count = values == nullptr ? 0 : values->size();
    if (count != node.out.size()) node.invalid("%s has %zu values for %zu outputs", name, count, node.out.size());
    for (int64_t value : *values) {
      if (value < 0 || value > 4096) node.invalid("%s has value %lld", name, static_cast<long long>(value));
    }
    return {values->begin(), values->end()};
  }
};

LR_REGISTER_OP(Concat, ConcatOp)
LR_REGISTER_OP(Stack, StackOp)
LR_REGISTER_OP(Split, SplitOp)
LR_REGISTER_OP(Unstack, UnstackOp)
LR_REGISTER_OP(SplitWithOverlap, SplitWithOverlapOp)

}  // namespace
}  // namespace lr
