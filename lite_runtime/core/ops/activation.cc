#include "ops/activation.h"

#include <algorithm>

#include "ops/channelwise.h"

namespace lr {

namespace {

using schema::ActivationType;

// Elements worth a thread, for functions that cost some tens of cycles per vector.
constexpr int64_t kGrain = 8192;

constexpr float kSeluAlpha = 1.67326324f, kSeluScale = 1.05070099f;
// The sigmoid approximation of GELU: x * sigmoid(1.702 x).
constexpr float kFastGelu = 1.702f;

// Whether this build has the function.
constexpr bool has_activation(ActivationType type) {
  return has_form(type) || (type == schema::ActivationType_ELU && has_op(schema::PrimitiveType_Elu)) ||
         (type == schema::ActivationType_LEAKY_RELU && has_op(schema::PrimitiveType_LeakyRelu));
}

// The kernel that computes the function as it is, with alpha as its parameter a; null for other functions.
UnaryKernel kernel_of(ActivationType type) {
  const Kernels::Unary& table = kernels().unary;
  switch (type) {
#define LR_ROW(TYPE, kernel)                                     \
  case schema::ActivationType_##TYPE:                            \
    if constexpr (has_activation(schema::ActivationType_##TYPE)) \
      return table.kernel;                                       \
    else                                                         \
      return nullptr;
    LR_ROW(SIGMOID, sigmoid)
    LR_ROW(TANH, tanh)
    LR_ROW(ELU, elu)
    LR_ROW(LEAKY_RELU, leaky_relu)
    LR_ROW(ABS, abs)
    LR_ROW(SOFTSIGN, softsign)
    LR_ROW(SOFTPLUS, softplus)
    LR_ROW(HSWISH, hswish)
    LR_ROW(HSIGMOID, hsigmoid)
    LR_ROW(SIGN, sign)
    LR_ROW(SWISH, swish)
#undef LR_ROW
    default:
      return nullptr;
  }
}

bool has_parameters(ActivationType type) {
  return type == schema::ActivationType_ELU || type == schema::ActivationType_LEAKY_RELU ||
         type == schema::ActivationType_THRESHOLDRELU || type == schema::ActivationType_HARD_TANH;
}

}  // namespace

void Activation::bind(const Node& node, ActivationType type, float alpha, float low, float high, bool approximate) {
  if (!has_activation(type)) left_out("activation_type", schema::EnumNameActivationType(type));
  if (const UnaryKernel kernel = kernel_of(type)) return use_kernel(kernel, alpha);
  switch (type) {
    case schema::ActivationType_NO_ACTIVATION:
      return;
    case schema::ActivationType_RELU:
      return use_clamp(0.f, kInfinity);
    case schema::ActivationType_RELU6:
      return use_clamp(0.f, 6.f);
    case schema::ActivationType_RELU1:
      return use_clamp(-1.f, 1.f);
    case schema::ActivationType_HARD_TANH:
      if (!(low <= high)) node.invalid("HARD_TANH from min_val=%g to max_val=%g is an empty range", low, high);
      return use_clamp(low, high);
    case schema::ActivationType_GELU:
      if constexpr (has_activation(schema::ActivationType_GELU)) {
        const Kernels::Unary& table = kernels().unary;
        return approximate ? use_kernel(table.gelu_tanh, 0.f) : use_kernel(table.gelu, 0.f);
      }
      return;
    case schema::ActivationType_SELU:
      kind_ = Kind::kSelu;
      return;
    case schema::ActivationType_FAST_GELU:
      kind_ = Kind::kFastGelu;
      return;
    case schema::ActivationType_THRESHOLDRELU:
      kind_ = Kind::kThreshold;
      a_ = alpha;
      return;
    default:
      node.unsupported("activation_type=%s (%d) is not offered", schema::EnumNameActivationType(type), type);
  }
}

void Activation::use_clamp(float low, float high) {
  a_ = low;
  b_ = high;
}

void Activation::use_kernel(UnaryKernel kernel, float a) {
  kind_ = Kind::kKernel;
  kernel_ = kernel;
  a_ = a;
}

void Activation::apply(const float* x, float* y, size_t n) const {
  const Kernels::Unary& table = kernels().unary;
  switch (kind_) {
    case Kind::kClamp:
      return table.clamp(x, y, n, a_, b_);
    case Kind::kKernel:
      return kernel_(x, y, n, a_, b_);
    case Kind::kSelu:
      if constexpr (has_activation(schema::ActivationType_SELU)) {
        table.elu(x, y, n, kSeluAlpha, 0.f);
        table.affine(y, y, n, kSeluScale, 0.f);
      }
      return;
    case Kind::kFastGelu:
      if constexpr (has_activation(schema::ActivationType_FAST_GELU)) {
        table.affine(x, y, n, kFastGelu, 0.f);
        table.swish(y, y, n, 0.f, 0.f);
        table.affine(y, y, n, 1.f / kFastGelu, 0.f);
      }
      return;
    case Kind::kThreshold:
      for (size_t i = 0; i < n; ++i) y[i] = x[i] > a_ ? x[i] : 0.f;
  }
}

FusedActivation::FusedActivation(const Node& node, ActivationType type) {
  if (has_parameters(type)) {
    node.unsupported("fused activation %s needs parameters; use an Activation node",
                     schema::EnumNameActivationType(type));
  }
  function_ = Activation(node, type, 0.f, 0.f, 0.f, false);
  pending_ = !function_.is_clamp();
  if (pending_) return;
  low_ = function_.low();
  high_ = function_.high();
}

bool FusedActivation::is_identity() const {
  return !pending_ && low_ == -__builtin_inff() && high_ == __builtin_inff();
}

bool FusedActivation::absorb(const Elementwise& next) {
  if (!is_identity()) return false;
  function_ = next.function;
  // A clamp comes after the addition, so the kernel cannot do it.
  pending_ = next.adds || !function_.is_clamp();
  if (!pending_) {
    low_ = function_.low();
    high_ = function_.high();
  }
  return true;
}

void FusedActivation::apply(float* y, size_t n) const {
  if (pending_ || low_ > -__builtin_inff() || high_ < __builtin_inff()) function_.apply(y, y, n);
}

Epilogue::Epilogue(const FusedActivation& activation, const Node& node, const float* output)
    : function_(activation.pending_ ? &activation.function_ : nullptr),
      addend_(node.addend == nullptr ? nullptr : node.addend->as<float>()),
      output_(output),
      low_(activation.low_),
      high_(activation.high_) {}

void Epilogue::finish(float* y, size_t n) const {
  if (addend_ != nullptr) kernels().binary.add.vv(y, addend_ + (y - output_), y, n);
  if (function_ != nullptr) function_->apply(y, y, n);
}

void Epilogue::finish_rows(float* y, size_t rows, size_t stride, size_t n) const {
  if (addend_ == nullptr && function_ == nullptr) return;
  if (stride == n) return finish(y, rows * n);
  for (size_t r = 0; r < rows; ++r) finish(y + r * stride, n);
}

void Epilogue::apply(float* y, size_t n) const {
  finish(y, n);
  if (low_ > -__builtin_inff() || high_ < __builtin_inff()) kernels().unary.clamp(y, y, n, low_, high_);
}

namespace {

// y = f(x), element by element.
class ElementwiseActivation : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    function_ = function(node);
    node.set_out(0, DType::kFloat32, node.in[0]->shape);
  }
  void run(Node& node) override {
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    node.pool->run(node.in[0]->count(), kGrain, [&](int64_t begin, int64_t end, int) {
      function_.apply(x + begin, y + begin, static_cast<size_t>(end - begin));
    });
  }
  OpTraits traits() const override { return OpTraits::overwriting(0); }
  bool elementwise(const Node&, Elementwise* what) const override {
    *what = {false, function_};
    return true;
  }

 protected:
  virtual Activation function(const Node& node) const = 0;

 private:
  Activation function_;
};

class ActivationOp : public ElementwiseActivation {
  Activation function(const Node& node) const override {
    const auto* attr = node.attr<schema::Activation>();
    return Activation(node, attr->activation_type(), attr->alpha(), attr->min_val(), attr->max_val(),
                      attr->approximate());
  }
};

class LeakyRelu : public ElementwiseActivation {
  Activation function(const Node& node) const override {
    return Activation(node, schema::ActivationType_LEAKY_RELU, node.attr<schema::LeakyRelu>()->negative_slope(), 0.f,
                      0.f, false);
  }
};

class Elu : public ElementwiseActivation {
  Activation function(const Node& node) const override {
    return Activation(node, schema::ActivationType_ELU, node.attr<schema::Elu>()->alpha(), 0.f, 0.f, false);
  }
};

// y = x < 0 ? slope * x : x with one slope, one per channel (the last axis), or one per element of the
// trailing dimensions.
class PRelu : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    node.expect_dtype(0, DType::kFloat32);
    node.expect_dtype(1, DType::kFloat32);
    const Shape& x = node.in[0]->shape;
    const Shape& slope = node.in[1]->shape;
    slopes_ = slope.count();
    int axis = x.rank();
    while (axis > 0 && x.count(axis, x.rank()) < slopes_) --axis;
    if (slopes_ != 1 && x.count(axis, x.rank()) != slopes_) {
      node.invalid("slope of shape %s fits no trailing dimensions of input %s", slope.str().c_str(), x.str().c_str());
    }
    node.set_out(0, DType::kFloat32, x);
  }
  void prepare(Node& node) override { node.need_scratch(static_cast<size_t>(channel_period(slopes_)) * sizeof(float)); }
  void run(Node& node) override {
    const float* x = node.in[0]->as<float>();
    const float* given = node.in[1]->as<float>();
    float* y = node.out[0]->as<float>();
    float* slope = static_cast<float*>(node.scratch);
    std::copy(given, given + slopes_, slope);
    repeat_channels(slope, slopes_);
    const Kernels& k = kernels();
    node.pool->run(node.in[0]->count(), kChannelGrain, [&](int64_t begin, int64_t end, int) {
      each_period(begin, end, channel_period(slopes_),
                  [&](int64_t i, int64_t at, size_t n) { k.prelu_f32(x + i, slope + at, y + i, n); });
    });
  }
  OpTraits traits() const override { return OpTraits::overwriting(0); }

 private:
  int64_t slopes_ = 0;
};

LR_REGISTER_OP(Activation, ActivationOp)
LR_REGISTER_OP(LeakyRelu, LeakyRelu)
LR_REGISTER_OP(Elu, Elu)
LR_REGISTER_OP(PReLUFusion, PRelu)

}  // namespace
}  // namespace lr
