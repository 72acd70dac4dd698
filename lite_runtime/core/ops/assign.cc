// Assign: inputs (variable, value). The variable keeps the value, in later runs of the session too; the result is
// the value.
#include "ops/elementwise.h"

namespace lr {
namespace {

class AssignOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    const Tensor &variable = *node.in[0], &value = *node.in[1];
    if (variable.def == nullptr || !variable.def->is_variable()) {
      node.unsupported("input 0 must be a constant of the file, the variable's initial value");
    }
    if (variable.dtype != value.dtype || variable.shape != value.shape) {
      node.invalid("the variable is %s %s, the value %s %s", dtype_name(variable.dtype), variable.shape.str().c_str(),
                   dtype_name(value.dtype), value.shape.str().c_str());
    }
    node.set_out(0, value.dtype, value.shape);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& value = *node.in[1];
    copy_bytes(node.out[0]->data, value.data, value.bytes());
    // The value may be (part of) the variable itself.
    if (value.bytes() > 0) std::memmove(node.in[0]->data, value.data, value.bytes());
  }

  OpTraits traits() const override { return OpTraits::impure(); }
};

LR_REGISTER_OP(Assign, AssignOp)

}  // namespace
}  // namespace lr
