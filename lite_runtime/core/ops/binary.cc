// Arithmetic on two tensors with broadcasting: AddFusion, SubFusion, MulFusion, DivFusion, RealDiv, Maximum,
// Minimum, SquaredDifference, PowFusion, FloorDiv, FloorMod, Mod, Eltwise and, for any number of inputs, AddN.
//
// Integers wrap around on overflow. Division rounds towards zero (FloorDiv: down); a zero divisor of
// integers fails, of floats follows IEEE 754. Mod has the sign of the dividend, FloorMod of the divisor.
#include <cmath>
#include <type_traits>

#include "ops/activation.h"
#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

// Unsigned arithmetic on at least 32 bits, where overflow is defined.
template <class T>
using Wrap = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// Each functor computes z from x and y and returns false when there is no result.
struct Add {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if constexpr (std::is_integral_v<T>) {
      z = static_cast<T>(static_cast<Wrap<T>>(x) + static_cast<Wrap<T>>(y));
    } else {
      z = x + y;
    }
    return true;
  }
};

struct Sub {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if constexpr (std::is_integral_v<T>) {
      z = static_cast<T>(static_cast<Wrap<T>>(x) - static_cast<Wrap<T>>(y));
    } else {
      z = x - y;
    }
    return true;
  }
};

struct Mul {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if constexpr (std::is_integral_v<T>) {
      z = static_cast<T>(static_cast<Wrap<T>>(x) * static_cast<Wrap<T>>(y));
    } else {
      z = x * y;
    }
    return true;
  }
};

struct SquaredDifference {
  template <class T>
  static bool apply(T x, T y, T& z) {
    T d;
    Sub::apply(x, y, d);
    return Mul::apply(d, d, z);
  }
};

struct Max {
  template <class T>
  static bool apply(T x, T y, T& z) {
    z = x > y ? x : y;
    return true;
  }
};

struct Min {
  template <class T>
  static bool apply(T x, T y, T& z) {
    z = x < y ? x : y;
    return true;
  }
};

// The one quotient that overflows: the least integer by -1.
template <class T>
bool quotient_overflows(T y) {
  return std::is_signed_v<T> && y == static_cast<T>(-1);
}

struct Div {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if constexpr (std::is_integral_v<T>) {
      if (y == 0) return false;
      if (quotient_overflows(y)) return Sub::apply(T{0}, x, z);
      z = static_cast<T>(x / y);
    } else {
      z = x / y;
    }
    return true;
  }
};

struct Mod {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if constexpr (std::is_integral_v<T>) {
      if (y == 0) return false;
      z = quotient_overflows(y) ? T{0} : static_cast<T>(x % y);
    } else {
      z = std::fmod(x, y);
    }
    return true;
  }
};

struct FloorMod {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if (!Mod::apply(x, y, z)) return false;
    if (z != 0 && (z < 0) != (y < 0)) z = static_cast<T>(z + y);
    if constexpr (!std::is_integral_v<T>) {
      if (z == 0) z = std::copysign(z, y);
    }
    return true;
  }
};

struct FloorDiv {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if constexpr (std::is_integral_v<T>) {
      if (!Div::apply(x, y, z)) return false;
      const bool inexact = !quotient_overflows(y) && x % y != 0;
      if (inexact && (x < 0) != (y < 0)) --z;
    } else {
      z = std::floor(x / y);
    }
    return true;
  }
};

struct Pow {
  template <class T>
  static bool apply(T x, T y, T& z) {
    if constexpr (std::is_integral_v<T>) {
      if (y < 0) return false;
      z = 1;
      for (auto left = static_cast<std::make_unsigned_t<T>>(y); left != 0; left = left >> 1) {
        if (left & 1) Mul::apply(z, x, z);
        Mul::apply(x, x, x);
      }
    } else {
      z = std::pow(x, y);
    }
    return true;
  }
};

template <class F, class T>
bool rows(const void* a, int64_t a_step, const void* b, int64_t b_step, void* z, int64_t n) {
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  T* out = static_cast<T*>(z);
  bool ok = true;
  for (int64_t i = 0; i < n; ++i) ok &= F::apply(x[i * a_step], y[i * b_step], out[i]);
  return ok;
}

template <class F>
BinaryRow rows_of(DType dtype) {
  return for_number<BinaryRow>(dtype, [](auto number) { return rows<F, decltype(number)>; });
}

template <auto kKernel>
bool fast_rows(const void* a, int64_t a_step, const void* b, int64_t b_step, void* z, int64_t n) {
  const auto& kernel = kernels().binary.*kKernel;
  const float *x = static_cast<const float*>(a), *y = static_cast<const float*>(b);
  float* out = static_cast<float*>(z);
  if (b_step == 0) {
    kernel.vs(x, *y, out, static_cast<size_t>(n));
  } else if (a_step == 0) {
    kernel.sv(*x, y, out, static_cast<size_t>(n));
  } else {
    kernel.vv(x, y, out, static_cast<size_t>(n));
  }
  return true;
}

// Small constant exponents are common and much faster as products.
bool pow_rows(const void* a, int64_t a_step, const void* b, int64_t b_step, void* z, int64_t n) {
  const float *x = static_cast<const float*>(a), *y = static_cast<const float*>(b);
  float* out = static_cast<float*>(z);
  if (b_step == 0 && a_step == 1 && *y == 2.0f) {
    kernels().binary.mul.vv(x, x, out, static_cast<size_t>(n));
    return true;
  }
  if (b_step == 0 && a_step == 1 && *y == 3.0f) {
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] * x[i] * x[i];
    return true;
  }
  return rows<Pow, float>(a, a_step, b, b_step, z, n);
}

constexpr char kZeroDivisor[] = "an integer is divided by zero";

template <class Attributes>
int activation_of(const Node& node) {
  return node.attr<Attributes>()->activation_type();
}
int no_activation(const Node&) { return schema::ActivationType_NO_ACTIVATION; }

// `Fast` computes rows of float32, `F` all other types.
template <class F, BinaryRow kFast, int (*kActivation)(const Node&) = no_activation>
class Arithmetic : public BinaryOp {
 protected:
  BinaryRow row(DType dtype) const override { return dtype == DType::kFloat32 ? kFast : rows_of<F>(dtype); }
  int activation(const Node& node) const override { return kActivation(node); }
  const char* failure() const override {
    return std::is_same_v<F, Pow> ? "an integer has a negative exponent" : kZeroDivisor;
  }
};

using Table = Kernels::BinaryTable;
template <class Attributes>
using SubOp = Arithmetic<Sub, fast_rows<&Table::sub>, activation_of<Attributes>>;
template <class Attributes>
using MulOp = Arithmetic<Mul, fast_rows<&Table::mul>, activation_of<Attributes>>;
template <class Attributes>
using DivOp = Arithmetic<Div, fast_rows<&Table::div>, activation_of<Attributes>>;
// An addition without broadcasting can be done by the operator before it.
class AddOp : public Arithmetic<Add, fast_rows<&Table::add>, activation_of<schema::AddFusion>> {
 public:
  bool elementwise(const Node& node, Elementwise* what) const override {
    if (node.in[0]->dtype != DType::kFloat32 || node.in[0]->shape != node.in[1]->shape) return false;
    const auto type = node.attr<schema::AddFusion>()->activation_type();
    *what = {true, Activation(node, type, 0.f, 0.f, 0.f, false)};
    return true;
  }
};
using RealDivOp = Arithmetic<Div, fast_rows<&Table::div>>;
using MaximumOp = Arithmetic<Max, fast_rows<&Table::max>>;
using MinimumOp = Arithmetic<Min, fast_rows<&Table::min>>;
using SquaredDifferenceOp = Arithmetic<SquaredDifference, fast_rows<&Table::squared_difference>>;
using FloorDivOp = Arithmetic<FloorDiv, rows<FloorDiv, float>>;
using FloorModOp = Arithmetic<FloorMod, rows<FloorMod, float>>;
using ModOp = Arithmetic<Mod, rows<Mod, float>>;

// (scale * x + shift) ^ y; a scale or shift is offered for float32.
class PowOp : public Arithmetic<Pow, pow_rows> {
 public:
  void infer(Node& node) override {
    const auto* attr = node.attr<schema::PowFusion>();
    scale_ = attr->scale();
    shift_ = attr->shift();
    if (is_scaled() && node.inputs() > 0) node.expect_dtype(0, DType::kFloat32);
    BinaryOp::infer(node);
  }

  void prepare(Node& node) override {
    if (is_scaled()) node.need_scratch(node.in[0]->bytes());
  }

  void run(Node& node) override {
    if (!is_scaled()) return BinaryOp::run(node);
    Tensor base = *node.in[0];
    base.data = node.scratch;
    kernels().unary.affine(node.in[0]->as<float>(), base.as<float>(), static_cast<size_t>(base.count()), scale_,
                           shift_);
    apply(node, base, *node.in[1], *node.out[0]);
  }

 private:
  bool is_scaled() const { return scale_ != 1.0f || shift_ != 0.0f; }

  float scale_ = 1.0f, shift_ = 0.0f;
};

class EltwiseOp : public BinaryOp {
 public:
  void infer(Node& node) override {
    mode_ = node.attr<schema::Eltwise>()->mode();
    if (mode_ < schema::EltwiseMode_PROD || mode_ > schema::EltwiseMode_MAXIMUM) {
      node.unsupported("mode %d; offered: PROD, SUM, MAXIMUM", mode_);
    }
    BinaryOp::infer(node);
  }

 protected:
  BinaryRow row(DType dtype) const override {
    const bool fast = dtype == DType::kFloat32;
    if (mode_ == schema::EltwiseMode_PROD) return fast ? fast_rows<&Table::mul> : rows_of<Mul>(dtype);
    if (mode_ == schema::EltwiseMode_SUM) return fast ? fast_rows<&Table::add> : rows_of<Add>(dtype);
    return fast ? fast_rows<&Table::max> : rows_of<Max>(dtype);
  }

 private:
  int mode_ = 0;
};

class AddNOp : public Arithmetic<Add, fast_rows<&Table::add>> {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, SIZE_MAX);
    for (size_t i = 0; i < node.inputs(); ++i) {
      check_pair(node, i);
      if (node.in[i]->shape != node.in[0]->shape) {
        node.invalid("input %zu of shape %s does not fit input 0 of shape %s", i, node.in[i]->shape.str().c_str(),
                     node.in[0]->shape.str().c_str());
      }
    }
    node.set_out(0, node.in[0]->dtype, node.in[0]->shape);
  }

  void run(Node& node) override {
    Tensor& out = *node.out[0];
    if (node.inputs() == 1) return copy_bytes(out.data, node.in[0]->data, out.bytes());
    apply(node, *node.in[0], *node.in[1], out);
    for (size_t i = 2; i < node.inputs(); ++i) apply(node, out, *node.in[i], out);
  }
};

LR_REGISTER_OP(AddFusion, AddOp)
LR_REGISTER_OP(SubFusion, SubOp<schema::SubFusion>)
LR_REGISTER_OP(MulFusion, MulOp<schema::MulFusion>)
LR_REGISTER_OP(DivFusion, DivOp<schema::DivFusion>)
LR_REGISTER_OP(RealDiv, RealDivOp)
LR_REGISTER_OP(Maximum, MaximumOp)
LR_REGISTER_OP(Minimum, MinimumOp)
LR_REGISTER_OP(SquaredDifference, SquaredDifferenceOp)
LR_REGISTER_OP(FloorDiv, FloorDivOp)
LR_REGISTER_OP(FloorMod, FloorModOp)
LR_REGISTER_OP(Mod, ModOp)
LR_REGISTER_OP(PowFusion, PowOp)
LR_REGISTER_OP(Eltwise, EltwiseOp)
LR_REGISTER_OP(AddN, AddNOp)

}  // namespace

BinaryRow add_rows(DType dtype) { return dtype == DType::kFloat32 ? fast_rows<&Table::add> : rows_of<Add>(dtype); }

}  // namespace lr
