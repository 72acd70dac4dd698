// Operators of a session that computes in float16: tensors between them are float16 where that pays.
//
// Every operator of such a session is made by make_half. Three kinds of work:
//   as it is       the ordinary operator, where no input is float16, or it only moves elements
//   through float  the ordinary operator on float32 copies of its float16 inputs; results are float16 again where
//                  the next operator will want them so, else float32
//   in float16     a derived class with arithmetic of its own, on float16 copies of inputs that are float32
// Results of the graph are float32 always.
#pragma once

#include "kernels/half.h"

#if defined(LR_HALF)

#include "ops/activation.h"
#include "ops/workspace.h"

namespace lr {

class HalfStep : public Op {
 public:
  // `op`: the ordinary operator. `narrows`: whether results may be float16.
  HalfStep(std::unique_ptr<Op> op, bool narrows) : op_(std::move(op)), narrows_(narrows) {}

  void infer(Node& node) override;
  void prepare(Node& node) override;
  void run(Node& node) override;
  OpTraits traits() const override;
  bool elementwise(const Node& node, Elementwise* what) const override;
  bool absorb(const Elementwise& next) override;
  RowWork row_work(const Node& node) override {
    return {false, false, way_ == Way::kAsItIs ? op_->row_work(node).by_rows : nullptr};
  }

 protected:
  // Whether the derived class can do the node, whose shapes are known, in float16.
  virtual bool accepts(const Node&) { return false; }
  virtual void prepare_half(Node&) {}
  virtual void run_half(Node&) {}

  // Input 0 as float16: itself, or a copy. prepare_input before, in prepare_half.
  void prepare_input(const Node& node) {
    if (node.in[0]->dtype == DType::kFloat32) input_ = workspace_.add<half>(node.in[0]->count());
  }
  const half* input(const Node& node) const;

  Workspace workspace_;
  FusedActivation activation_;

 private:
  enum class Way { kAsItIs, kThroughFloat, kHalf };
  struct Operand {
    Tensor tensor;           // as the ordinary operator sees it
    bool converted = false;  // float32 in place of float16
    size_t offset = 0;       // in the scratch memory, when converted
  };

  std::unique_ptr<Op> op_;
  bool narrows_;
  Way way_ = Way::kAsItIs;
  Node inner_;
  std::vector<Operand> in_, out_;
  size_t inner_scratch_ = 0, input_ = 0;
};

// What the kernel leaves to be done to output 0, which is float16, while it is in the cache.
class HalfEpilogue {
 public:
  HalfEpilogue(const FusedActivation& activation, const Node& node);
  float low() const { return low_; }
  float high() const { return high_; }
  // Finishes rows of n results that lie `stride` apart, at y, a place in output 0.
  void finish(half* y, size_t rows, size_t stride, size_t n) const;

 private:
  const Activation* function_;
  const half *addend_, *output_;
  float low_, high_;
};

// Makes the operator of a node out of its ordinary one. `plain`: this is find_op's, not one for quantised integers or
// stored weights. `last`: it gives an output of the graph.
std::unique_ptr<Op> make_half(const NodeDef& def, std::unique_ptr<Op> op, bool plain, bool last);

using HalfFactory = std::unique_ptr<Op> (*)(std::unique_ptr<Op> op);
std::unique_ptr<Op> make_half_conv2d(std::unique_ptr<Op> op);
std::unique_ptr<Op> make_half_matmul(std::unique_ptr<Op> op);
std::unique_ptr<Op> make_half_full_connection(std::unique_ptr<Op> op);

}  // namespace lr

#endif
