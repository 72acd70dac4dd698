// One primitive that two operators share: what the file says of the node tells which of them it is.
#pragma once

#include <memory>

#include "op.h"

namespace lr {

template <class First, class Second>
class Either : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    return First::accepts(node, model) || Second::accepts(node, model);
  }

  void infer(Node& node) override {
    if (form_ == nullptr && First::accepts(*node.def, *node.model)) form_ = std::make_unique<First>();
    if (form_ == nullptr) form_ = std::make_unique<Second>();
    form_->infer(node);
  }
  void prepare(Node& node) override { form_->prepare(node); }
  void run(Node& node) override { form_->run(node); }
  bool absorb(const Elementwise& next) override { return form_->absorb(next); }

 private:
  std::unique_ptr<Op> form_;
};

}  // namespace lr
