// Quantised nodes computed by the float operator of the same name.
#pragma once

#include "ops/quantized/quantized.h"

namespace lr {

// Every quantised operand is turned to float32, the ordinary operator runs on these, and its results are quantised
// again. Exact up to the rounding of the result, and for every operator; slower than integers.
class ThroughFloat : public Op {
 public:
  static bool accepts(const NodeDef&, const Model&) { return true; }

  void infer(Node& node) override;
  void prepare(Node& node) override;
  void run(Node& node) override;
  OpTraits traits() const override {
    const OpTraits of_op = op_ == nullptr ? OpTraits() : op_->traits();
    return {false, -1, of_op.from_shapes, of_op.is_pure};
  }

 protected:
  // One operand or result of the ordinary operator.
  struct Operand {
    Tensor tensor;              // what the operator sees
    bool converted = false;     // float32 that stands for integers
    Quantization quantization;  // of these
    size_t offset = 0;          // in the scratch memory, when converted and not constant
    std::vector<float> constant;
  };

  virtual void view(const Node& node, Operand& operand, const Tensor& tensor, size_t input) const;

  std::unique_ptr<Op> op_;
  Node inner_;
  std::vector<Operand> in_, out_;
  size_t inner_scratch_ = 0;
};

}  // namespace lr
