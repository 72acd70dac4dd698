#include "op.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "storage.h"

namespace lr {

namespace {
constexpr size_t kPrimitives = static_cast<size_t>(schema::PrimitiveType_MAX) + 1;
// A function-local table: registrations run before main in any order.
std::array<OpFactory, kPrimitives>& registry() {
  static std::array<OpFactory, kPrimitives> table{};
  return table;
}

// [0]: specialised, [1]: general, [kStored]: of floats, with stored weights
constexpr size_t kStored = 2;
std::array<OpForm, 3>& quantized_registry(size_t primitive) {
  static std::array<std::array<OpForm, 3>, kPrimitives> table{};
  return table[primitive];
}
}  // namespace

void left_out(const char* kind, const char* name) {
  fail(LR_ERROR_UNSUPPORTED, "%s %s, which this library leaves out%s", kind, name, kAdvice);
}

OpRegistration::OpRegistration(int primitive, OpFactory factory) {
  OpFactory& slot = registry()[static_cast<size_t>(primitive)];
  if (slot != nullptr) {
    // Which of two would win is up to the linker.
    std::fprintf(stderr, "two operators are registered for primitive %d\n", primitive);
    std::abort();
  }
  slot = factory;
}

OpFactory find_op(int primitive) {
  if (primitive < 0 || static_cast<size_t>(primitive) >= kPrimitives) return nullptr;
  return registry()[static_cast<size_t>(primitive)];
}

QuantizedOpRegistration::QuantizedOpRegistration(int primitive, bool specialised, OpForm op) {
  if (op.factory == nullptr) op.accepts = [](const NodeDef&, const Model&) { return true; };
  quantized_registry(static_cast<size_t>(primitive))[specialised ? 0 : 1] = op;
}

namespace {
bool is_quantized(const NodeDef& node, const Model& model) {
  if (node.inputs.empty()) return false;
  const TensorDef& input = model.tensors()[node.inputs[0]];
  const bool integers = input.dtype == DType::kInt8 || input.dtype == DType::kUInt8 || input.dtype == DType::kInt16;
  return integers && (!input.quant.empty() || node.quant_type == schema::QuantType_QUANT_DYNAMIC);
}

// The operator that does the node on quantised integers; null for none.
const OpForm* quantized_op(const NodeDef& node, const Model& model) {
  if (find_op(node.primitive) == nullptr || !is_quantized(node, model)) return nullptr;
  for (size_t i = 0; i < kStored; ++i) {
    const OpForm& op = quantized_registry(static_cast<size_t>(node.primitive))[i];
    if (op.accepts != nullptr && op.accepts(node, model)) return &op;
  }
  return nullptr;
}
}  // namespace

OpFactory find_quantized_op(const NodeDef& node, const Model& model) {
  const OpForm* op = quantized_op(node, model);
  return op == nullptr ? nullptr : op->factory;
}

bool lacks_quantized_op(const NodeDef& node, const Model& model) {
  const OpForm* op = quantized_op(node, model);
  return op != nullptr && op->factory == nullptr;
}

StoredOpRegistration::StoredOpRegistration(int primitive, OpForm op) {
  quantized_registry(static_cast<size_t>(primitive))[kStored] = op;
}

OpFactory find_stored_op(const NodeDef& node, const Model& model) {
  if (!kDecodes || find_op(node.primitive) == nullptr) return nullptr;
  const OpForm& op = quantized_registry(static_cast<size_t>(node.primitive))[kStored];
  return op.accepts != nullptr && op.accepts(node, model) ? op.factory : nullptr;
}

const Tensor& Node::value(size_t i) const {
  if (!has(i)) invalid("input %zu is missing", i);
  if (!in[i]->known && !running) throw ValueUnknown{};
  return *in[i];
}

std::vector<int64_t> Node::ints(size_t i) const {
  const Tensor& t = value(i);
  const size_t n = static_cast<size_t>(t.count());
  std::vector<int64_t> values(n);
  for (size_t k = 0; k < n; ++k) {
    if (t.dtype == DType::kInt32) {
      values[k] = t.as<int32_t>()[k];
    } else if (t.dtype == DType::kInt64) {
      values[k] = t.as<int64_t>()[k];
    } else {
      invalid("input %zu must be int32 or int64, not %s", i, dtype_name(t.dtype));
    }
  }
  return values;
}

std::vector<float> Node::floats(size_t i) const {
  const Tensor& t = value(i);
  expect_dtype(i, DType::kFloat32);
  return std::vector<float>(t.as<float>(), t.as<float>() + t.count());
}

void Node::expect_inputs(size_t least, size_t most) const {
  if (in.size() >= least && in.size() <= most) return;
  if (least == most) invalid("needs %zu inputs, has %zu", least, in.size());
  invalid("needs %zu to %zu inputs, has %zu", least, most, in.size());
}

void Node::expect_dtype(size_t i, DType dtype) const {
  if (!has(i)) invalid("input %zu is missing", i);
  if (in[i]->dtype != dtype)
    unsupported("input %zu is %s; only %s is offered", i, dtype_name(in[i]->dtype), dtype_name(dtype));
}

void Node::unsupported(const char* format, ...) const {
  va_list args;
  va_start(args, format);
  std::string message = format_message(format, args);
  va_end(args);
  throw Error(LR_ERROR_UNSUPPORTED, message);
}

void Node::invalid(const char* format, ...) const {
  va_list args;
  va_start(args, format);
  std::string message = format_message(format, args);
  va_end(args);
  throw Error(LR_ERROR_SHAPE, message);
}

void Node::set_out(size_t i, DType dtype, const Shape& shape) const {
  if (i >= out.size()) return;  // trailing outputs a model does not name are not computed
  out[i]->dtype = dtype;
  out[i]->shape = shape;
  shape.count();  // refuses unknown and absurd sizes
}

DecodedInputs::DecodedInputs(const Node& node, const std::vector<size_t>& inputs) {
  if (!kDecodes) return;
  for (const size_t i : inputs) {
    if (!node.has(i) || node.in[i]->data != nullptr || !node.in[i]->is_const()) continue;
    held_.emplace_back(node.in[i], decoded(*node.in[i]->def));
    node.in[i]->data = held_.back().second.get();
  }
}

DecodedInputs::~DecodedInputs() {
  for (const auto& [tensor, buffer] : held_) tensor->data = nullptr;
}

Buffer Node::packed(const std::string& layout, size_t bytes, FunctionRef<Buffer()> make) const {
  return model->packed(formatted("%td:%s", def - model->nodes().data(), layout.c_str()), bytes, make);
}

}  // namespace lr
