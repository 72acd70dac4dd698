// Transpose (input 1 is the permutation) and FormatTranspose (NCHW to NHWC and back).
#include <algorithm>

#include "ops/elementwise.h"

namespace lr {
namespace {

class Permute : public Op {
 public:
  void infer(Node& node) override {
    find_permutation(node);
    const Shape& in = node.in[0]->shape;
    Shape out;
    for (int d = 0; d < in.rank(); ++d) out.push_back(in[perm_[d]]);
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const Steps from(in.shape), to(out.shape);
    CopyLoops loops;
    for (int d = 0; d < out.shape.rank(); ++d) loops.add({out.shape[d], {from[perm_[d]], to[d]}});
    copy_strided(loops, in.data, out.data, dtype_size(in.dtype), node.pool);
  }

 protected:
  virtual void find_permutation(const Node& node) = 0;

  int perm_[LR_MAX_RANK] = {};
};

class TransposeOp : public Permute {
 protected:
  void find_permutation(const Node& node) override {
    node.expect_inputs(2, 2);
    const int rank = node.in[0]->shape.rank();
    const std::vector<int64_t> perm = node.ints(1);
    for (int d = 0; d < rank; ++d) perm_[d] = d;
    // MindSpore Lite's converter leaves 4-D permutations around tensors of other ranks; they change nothing.
    if (perm.size() != static_cast<size_t>(rank)) return;
    bool seen[LR_MAX_RANK] = {};
    for (int d = 0; d < rank; ++d) {
      perm_[d] = normalize_axis(perm[static_cast<size_t>(d)], rank);
      if (seen[perm_[d]]) node.invalid("the permutation names axis %d twice", perm_[d]);
      seen[perm_[d]] = true;
    }
  }
};

class FormatTransposeOp : public Permute {
 protected:
  void find_permutation(const Node& node) override {
    node.expect_inputs(1, 1);
    const auto* attr = node.attr<schema::FormatTranspose>();
    const int from = attr->src_format(), to = attr->dst_format();
    constexpr int kNchw = schema::Format_NCHW, kNhwc = schema::Format_NHWC;
    const auto known = [](int format) { return format == kNchw || format == kNhwc; };
    if (from != to && !(known(from) && known(to))) node.unsupported("formats %d to %d", from, to);
    const int rank = node.in[0]->shape.rank();
    if (from != to && rank != 4) node.invalid("the input must have 4 dimensions, has %d", rank);
    constexpr int kToNhwc[] = {0, 2, 3, 1}, kToNchw[] = {0, 3, 1, 2};
    for (int d = 0; d < rank; ++d) perm_[d] = from == to ? d : (to == kNhwc ? kToNhwc : kToNchw)[d];
  }
};

LR_REGISTER_OP(Transpose, TransposeOp)
LR_REGISTER_OP(FormatTranspose, FormatTransposeOp)

}  // namespace
}  // namespace lr
