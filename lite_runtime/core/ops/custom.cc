// Custom: an operator of the model's author, by callbacks.
#include "custom.h"

#include <map>
#include <mutex>

#include "op.h"

namespace lr {

namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, CustomOperator> operators;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

lr_tensor describe(const Tensor& t) {
  lr_tensor out = {};
  out.name = t.def == nullptr ? "" : t.def->name.c_str();
  out.dtype = static_cast<int32_t>(t.dtype);
  out.format = -1;
  out.rank = t.shape.rank();
  for (int i = 0; i < out.rank; ++i) out.dims[i] = t.shape[i];
  out.data = t.data;
  out.bytes = t.data == nullptr ? 0 : t.bytes();
  return out;
}

class CustomOp : public Op {
 public:
  void infer(Node& node) override {
    const auto* attr = node.attr<schema::Custom>();
    const std::string type = attr->type() == nullptr ? "" : attr->type()->str();
    if (!find_custom(type, custom_)) {
      if (node.infer_only) return set_stated_types(node);
      node.unsupported("no custom operator '%s' is registered: register it before the model is built", type.c_str());
    }
    attributes_.clear();
    if (attr->attr() != nullptr) {
      for (const schema::Attribute* a : *attr->attr()) {
        attributes_.push_back({a->name() == nullptr ? "" : a->name()->c_str(),
                               a->data() == nullptr ? nullptr : a->data()->data(),
                               a->data() == nullptr ? 0 : a->data()->size()});
      }
    }
    std::vector<lr_tensor> outputs(node.out.size());
    for (lr_tensor& output : outputs) output = {"", 0, -1, -1, {}, nullptr, 0};
    call(node, custom_.infer, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const DType dtype = static_cast<DType>(outputs[i].dtype);
      if (outputs[i].rank < 0 || outputs[i].rank > LR_MAX_RANK || dtype_size(dtype) == 0) {
        node.invalid("its infer function gives output %zu no valid dtype and shape", i);
      }
      Shape shape;
      for (int d = 0; d < outputs[i].rank; ++d) shape.push_back(outputs[i].dims[d]);
      node.set_out(i, dtype, shape);
    }
  }

  void run(Node& node) override {
    std::vector<lr_tensor> outputs;
    for (const Tensor* t : node.out) outputs.push_back(describe(*t));
    call(node, custom_.compute, outputs);
  }

  // It may have effects that the planner must not move to load time.
  OpTraits traits() const override { return OpTraits::impure(); }

 private:
  // A converter need not know the operator: the file states what it gives.
  static void set_stated_types(Node& node) {
    for (size_t i = 0; i < node.out.size(); ++i) {
      const TensorDef& stated = *node.out[i]->def;
      // Scalars are stored like tensors of unknown rank.
      if (stated.shape.rank() == 0 || dtype_size(stated.dtype) == 0) throw ValueUnknown{};
      for (const int64_t dim : stated.shape) {
        if (dim < 0) throw ValueUnknown{};
      }
      node.set_out(i, stated.dtype, stated.shape);
    }
  }

  void call(Node& node, lr_custom_function function, std::vector<lr_tensor>& outputs) {
    std::vector<lr_tensor> inputs;
    for (const Tensor* t : node.in) inputs.push_back(describe(*t));
    lr_custom_call call = {node.def->name.c_str(), attributes_.data(), attributes_.size(), inputs.data(),
                           inputs.size(),          outputs.data(),     outputs.size()};
    custom_error().clear();
    if (function(custom_.user, &call) != 0) fail(LR_ERROR_RUN, "%s", custom_error().c_str());
  }

  CustomOperator custom_;
  std::vector<lr_attribute> attributes_;
};

}  // namespace

void register_custom(const std::string& type, const CustomOperator& custom) {
  if (!has_op(schema::PrimitiveType_Custom)) left_out("the operator", "Custom");
  std::lock_guard<std::mutex> lock(registry().mutex);
  registry().operators[type] = custom;
}

bool find_custom(const std::string& type, CustomOperator& custom) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  const auto found = registry().operators.find(type);
  if (found == registry().operators.end()) return false;
  custom = found->second;
  return true;
}

std::string& custom_error() {
  thread_local std::string message;
  return message;
}

LR_REGISTER_OP(Custom, CustomOp)

}  // namespace lr
