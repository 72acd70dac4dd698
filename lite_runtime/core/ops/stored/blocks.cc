// The Custom nodes MatMulNBits and GatherNBits: 4-bit weights in blocks with scales of their own (docs/format.md).
#include <cstdlib>

#include "custom.h"
#include "ops/either.h"
#include "ops/indexing.h"
#include "ops/stored/weights.h"

namespace lr {
namespace {

constexpr int kMiddle = 8;

std::string text(const NodeDef& node, const char* name) {
  const auto* attr = node.attributes->value_as<schema::Custom>()->attr();
  for (size_t i = 0; attr != nullptr && i < attr->size(); ++i) {
    const schema::Attribute* a = attr->Get(static_cast<flatbuffers::uoffset_t>(i));
    if (a->name() == nullptr || a->data() == nullptr || a->name()->str() != name) continue;
    return std::string(reinterpret_cast<const char*>(a->data()->data()), a->data()->size());
  }
  return "";
}

// A decimal number from 1 on.
int64_t number(const Node& node, const char* name) {
  const std::string digits = text(*node.def, name);
  char* end = nullptr;
  const long long value = std::strtoll(digits.c_str(), &end, 10);
  if (digits.empty() || *end != 0 || value < 1 || value > (int64_t{1} << 31)) {
    node.invalid("the attribute %s is '%s', not a positive number", name, digits.c_str());
  }
  return value;
}

// Where the user has registered an operator of this name, that is used.
bool is_custom(const NodeDef& node, const Model& model, const char* type) {
  const auto is_const = [&](size_t i) { return node.inputs.size() > i && model.tensors()[node.inputs[i]].is_const(); };
  if (!is_const(1) || !is_const(2) || (node.inputs.size() > 3 && !is_const(3))) return false;
  const auto* attr = node.attributes->value_as<schema::Custom>();
  CustomOperator own;
  return attr->type() != nullptr && attr->type()->str() == type && !find_custom(type, own);
}

// Inputs 1 to 3: packed, scales, and zero points where these are bytes.
class ByBlock : public StoredMatrix {
 public:
  ByBlock() = default;
  ByBlock(const Node& node, int64_t columns) {
    bits = 4;
    middle = kMiddle;
    if (number(node, "bits") != 4) node.unsupported("other than 4 bits");
    block = number(node, "block_size");
    node.expect_dtype(1, DType::kUInt8);
    node.expect_dtype(2, DType::kFloat32);
    k = columns;
    n = node.in[1]->shape.rank() == 2 ? node.in[1]->shape[0] : -1;
    expect_shape(node, 1, {n, div_up(k, 2)});
    expect_shape(node, 2, {n, blocks()});
    if (has_zeros(node)) expect_shape(node, 3, {n, blocks()});
    packed_ = node.in[1]->as<uint8_t>();
    scales_ = node.in[2]->as<float>();
    zeros_ = has_zeros(node) ? node.in[3]->as<uint8_t>() : nullptr;
  }
  static bool has_zeros(const Node& node) { return node.has(3) && node.in[3]->dtype == DType::kUInt8; }

  void read(int64_t row, int64_t rows, int8_t* out) const override {
    for (int64_t i = 0; i < rows * k; ++i) out[i] = static_cast<int8_t>(value(row + i / k, i % k));
  }
  int value(int64_t row, int64_t column) const {
    return packed_[row * div_up(k, 2) + column / 2] >> (column % 2 * 4) & 15;
  }
  Affine affine(int64_t row, int64_t b) const override {
    const int64_t i = row * blocks() + b;
    return {scales_[i], zeros_ == nullptr ? kMiddle : zeros_[i], 0.f};
  }

 private:
  static void expect_shape(const Node& node, size_t i, const Shape& shape) {
    if (node.in[i]->shape == shape) return;
    node.invalid("input %zu has the shape %s instead of %s", i, node.in[i]->shape.str().c_str(), shape.str().c_str());
  }

  const uint8_t* packed_ = nullptr;
  const float* scales_ = nullptr;
  const uint8_t* zeros_ = nullptr;
};

class MatMulBlocks : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) { return is_custom(node, model, "MatMulNBits"); }

  void infer(Node& node) override {
    node.expect_inputs(3, 5);
    node.expect_dtype(0, DType::kFloat32);
    Shape out = node.in[0]->shape;
    if (out.rank() == 0) node.invalid("input 0 is a scalar");
    matrix_ = ByBlock(node, out.back());
    if (matrix_.k == 0 || matrix_.n == 0) node.invalid("the weights are empty");
    out[out.rank() - 1] = matrix_.n;
    bias_ = ByBlock::has_zeros(node) ? 4 : 3;
    if (node.has(bias_)) {
      node.expect_dtype(bias_, DType::kFloat32);
      if (node.in[bias_]->count() != matrix_.n)
        node.invalid("the bias does not fit %lld columns", static_cast<long long>(matrix_.n));
    }
    activation_ = FusedActivation(node, activation(node));
    node.set_out(0, DType::kFloat32, out);
  }

  void prepare(Node& node) override {
    Workspace workspace;
    product_.prepare(node, workspace, node.out[0]->count() / matrix_.n, 1, matrix_);
    workspace.reserve(node);
  }

  void run(Node& node) override {
    const float* bias = node.has(bias_) ? node.in[bias_]->as<float>() : nullptr;
    product_.run(node, node.in[0]->as<float>(), bias, Epilogue(activation_, node), node.out[0]->as<float>());
  }

  bool absorb(const Elementwise& next) override { return activation_.absorb(next); }

 private:
  static schema::ActivationType activation(const Node& node) {
    const std::string name = text(*node.def, "activation");
    for (const schema::ActivationType type : schema::EnumValuesActivationType()) {
      if (name == schema::EnumNameActivationType(type)) return type;
    }
    if (!name.empty()) node.invalid("'%s' is no activation", name.c_str());
    return schema::ActivationType_NO_ACTIVATION;
  }

  ByBlock matrix_;
  FusedActivation activation_;
  StoredProduct product_;
  size_t bias_ = 3;
};

class GatherBlocks : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) { return is_custom(node, model, "GatherNBits"); }

  void infer(Node& node) override {
    node.expect_inputs(3, 4);
    Indices::expect(node, 0);
    matrix_ = ByBlock(node, number(node, "columns"));
    Shape out = node.in[0]->shape;
    out.push_back(matrix_.k);
    node.set_out(0, DType::kFloat32, out);
  }

  void run(Node& node) override {
    const Indices index(*node.in[0]);
    float* y = node.out[0]->as<float>();
    for (int64_t i = 0; i < node.in[0]->count(); ++i) {
      const int64_t row = index.position(i, matrix_.n);
      for (int64_t b = 0; b < matrix_.blocks(); ++b) {
        const Affine a = matrix_.affine(row, b);
        const int64_t end = std::min(matrix_.k, (b + 1) * matrix_.block);
        for (int64_t k = b * matrix_.block; k < end; ++k) {
          *y++ = static_cast<float>(matrix_.value(row, k) - a.zero) * a.scale;
        }
      }
    }
  }

 private:
  ByBlock matrix_;
};

using Blocks = Either<GatherBlocks, MatMulBlocks>;

LR_REGISTER_STORED_OP(Custom, Blocks)

}  // namespace
}  // namespace lr
