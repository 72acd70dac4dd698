// Element-wise functions of one tensor: Abs, Neg, Square, Sqrt, Rsqrt, Reciprocal, ExpFusion, Log, Log1p, Sin,
// Cos, Erf, Floor, Ceil, Round (half to even), IsFinite, OnesLike, ZerosLike.
//
// float32 runs on the kernels, float16 is computed in float32, float64 and, where they make sense, the
// integers by plain loops. Integers wrap around: the absolute value of the least integer is itself.
#include <cmath>
#include <type_traits>

#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 8192;
constexpr int64_t kChunk = 512;

using UnaryKernel = void (*)(const float* x, float* y, size_t n, float a, float b);
using UnaryRow = void (*)(const void* x, void* y, int64_t n);

// The functors serve float64, and those marked kIntegers the integers.
struct Abs {
  static constexpr bool kIntegers = true;
  template <class T>
  static T apply(T x) {
    if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
      return x < 0 ? static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x)) : x;
    } else if constexpr (std::is_integral_v<T>) {
      return x;
    } else {
      return std::fabs(x);
    }
  }
};
struct Neg {
  static constexpr bool kIntegers = true;
  template <class T>
  static T apply(T x) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));
    } else {
      return -x;
    }
  }
};
struct Square {
  static constexpr bool kIntegers = true;
  template <class T>
  static T apply(T x) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(static_cast<uint64_t>(x) * static_cast<uint64_t>(x));
    } else {
      return x * x;
    }
  }
};

#define LR_FLOAT_FUNCTION(Name, expression)              \
  struct Name {                                          \
    static constexpr bool kIntegers = false;             \
    static double apply(double x) { return expression; } \
  };
LR_FLOAT_FUNCTION(Sqrt, std::sqrt(x))
LR_FLOAT_FUNCTION(Rsqrt, 1.0 / std::sqrt(x))
LR_FLOAT_FUNCTION(Reciprocal, 1.0 / x)
LR_FLOAT_FUNCTION(Exp, std::exp(x))
LR_FLOAT_FUNCTION(Log, std::log(x))
LR_FLOAT_FUNCTION(Log1p, std::log1p(x))
LR_FLOAT_FUNCTION(Sin, std::sin(x))
LR_FLOAT_FUNCTION(Cos, std::cos(x))
LR_FLOAT_FUNCTION(Erf, std::erf(x))
LR_FLOAT_FUNCTION(Floor, std::floor(x))
LR_FLOAT_FUNCTION(Ceil, std::ceil(x))
LR_FLOAT_FUNCTION(Round, std::nearbyint(x))
#undef LR_FLOAT_FUNCTION

template <class F, class T>
void rows(const void* x, void* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<T*>(y)[i] = F::apply(static_cast<const T*>(x)[i]);
}

template <class F>
UnaryRow rows_of(DType dtype) {
  return for_number<UnaryRow>(dtype, [](auto number) -> UnaryRow {
    using T = decltype(number);
    if constexpr (std::is_same_v<T, double> || (F::kIntegers && std::is_integral_v<T>)) return rows<F, T>;
    return nullptr;
  });
}

class UnaryOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    const DType dtype = node.in[0]->dtype;
    if (dtype != DType::kFloat32 && dtype != DType::kFloat16 && row(dtype) == nullptr) {
      node.unsupported("%s input", dtype_name(dtype));
    }
    refuse_quantized(node);
    node.set_out(0, dtype, node.in[0]->shape);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const UnaryRow typed = row(in.dtype);
    const auto size = static_cast<int64_t>(dtype_size(in.dtype));
    parallel(node.pool, in.count(), kGrain, [&](int64_t begin, int64_t end, int) {
      const char* x = in.as<char>() + begin * size;
      char* y = node.out[0]->as<char>() + begin * size;
      if (in.dtype == DType::kFloat32) {
        compute(reinterpret_cast<const float*>(x), reinterpret_cast<float*>(y), end - begin);
      } else if (in.dtype == DType::kFloat16) {
        compute_half(reinterpret_cast<const uint16_t*>(x), reinterpret_cast<uint16_t*>(y), end - begin);
      } else {
        typed(x, y, end - begin);
      }
    });
  }

  OpTraits traits() const override { return OpTraits::overwriting(0); }

 protected:
  virtual void compute(const float* x, float* y, int64_t n) const = 0;  // y may be x
  virtual UnaryRow row(DType dtype) const = 0;

 private:
  void compute_half(const uint16_t* x, uint16_t* y, int64_t n) const {
    float values[kChunk];
    for (int64_t i = 0; i < n; i += kChunk) {
      const int64_t count = std::min(kChunk, n - i);
      kernels().f16_to_f32(x + i, values, static_cast<size_t>(count));
      compute(values, values, count);
      kernels().f32_to_f16(values, y + i, static_cast<size_t>(count));
    }
  }
};

template <class F, auto kKernel>
class Function : public UnaryOp {
 protected:
  void compute(const float* x, float* y, int64_t n) const override {
    (kernels().unary.*kKernel)(x, y, static_cast<size_t>(n), 0.0f, 0.0f);
  }
  UnaryRow row(DType dtype) const override { return rows_of<F>(dtype); }
};

class Log1pOp : public UnaryOp {
 protected:
  void compute(const float* x, float* y, int64_t n) const override {
    for (int64_t i = 0; i < n; ++i) y[i] = std::log1p(x[i]);
  }
  UnaryRow row(DType dtype) const override { return rows_of<Log1p>(dtype); }
};

// base ^ (scale * x + shift); base -1 stands for e.
class ExpOp : public UnaryOp {
 public:
  void infer(Node& node) override {
    const auto* attr = node.attr<schema::ExpFusion>();
    const float base = attr->base();
    if (base != -1.0f && !(base > 0.0f)) node.invalid("base %g is neither positive nor -1", static_cast<double>(base));
    const float log_base = base == -1.0f ? 1.0f : std::log(base);
    scale_ = attr->scale() * log_base;
    shift_ = attr->shift() * log_base;
    UnaryOp::infer(node);
  }

 protected:
  void compute(const float* x, float* y, int64_t n) const override {
    const auto& unary = kernels().unary;
    const bool plain = scale_ == 1.0f && shift_ == 0.0f;
    for (int64_t i = 0; i < n; i += kChunk) {
      const auto count = static_cast<size_t>(std::min(kChunk, n - i));
      if (!plain) unary.affine(x + i, y + i, count, scale_, shift_);
      unary.exp(plain ? x + i : y + i, y + i, count, 0.0f, 0.0f);
    }
  }
  UnaryRow row(DType dtype) const override { return scale_ == 1.0f && shift_ == 0.0f ? rows_of<Exp>(dtype) : nullptr; }

 private:
  float scale_ = 1.0f, shift_ = 0.0f;
};

class IsFiniteOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    const DType dtype = node.in[0]->dtype;
    if (exponent(dtype) == 0) node.unsupported("%s input", dtype_name(dtype));
    node.set_out(0, DType::kBool, node.in[0]->shape);
  }

  // A number is infinite or no number when all bits of its exponent are set.
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const uint64_t mask = exponent(in.dtype);
    const size_t size = dtype_size(in.dtype);
    bool* y = node.out[0]->as<bool>();
    parallel(node.pool, in.count(), kGrain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        uint64_t bits = 0;
        for (size_t b = 0; b < size; ++b)
          bits |= uint64_t{in.as<uint8_t>()[static_cast<size_t>(i) * size + b]} << (8 * b);
        y[i] = (bits & mask) != mask;
      }
    });
  }

 private:
  static uint64_t exponent(DType dtype) {
    switch (dtype) {
      case DType::kFloat16:
        return 0x7c00;
      case DType::kFloat32:
        return 0x7f800000;
      case DType::kFloat64:
        return 0x7ff0000000000000;
      default:
        return 0;
    }
  }
};

template <bool kOne>
class LikeOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    refuse_quantized(node);
    node.set_out(0, node.in[0]->dtype, node.in[0]->shape);
  }
  void run(Node& node) override {
    Tensor& out = *node.out[0];
    const uint64_t value = kOne ? one(out.dtype) : 0;
    fill_elements(out.data, out.count(), &value, dtype_size(out.dtype));
  }
  OpTraits traits() const override { return OpTraits::of_shapes(); }

 private:
  // The bits of 1; integers are little-endian, as the format is.
  static uint64_t one(DType dtype) {
    switch (dtype) {
      case DType::kFloat16:
        return 0x3c00;
      case DType::kFloat32:
        return 0x3f800000;
      case DType::kFloat64:
        return 0x3ff0000000000000;
      default:
        return 1;
    }
  }
};

using Table = Kernels::Unary;
using OnesLikeOp = LikeOp<true>;
using ZerosLikeOp = LikeOp<false>;

#define LR_REGISTER_FUNCTION(Primitive, Functor, kernel)   \
  using Primitive##Op = Function<Functor, &Table::kernel>; \
  LR_REGISTER_OP(Primitive, Primitive##Op)

LR_REGISTER_FUNCTION(Abs, Abs, abs)
LR_REGISTER_FUNCTION(Neg, Neg, neg)
LR_REGISTER_FUNCTION(Square, Square, square)
LR_REGISTER_FUNCTION(Sqrt, Sqrt, sqrt)
LR_REGISTER_FUNCTION(Rsqrt, Rsqrt, rsqrt)
LR_REGISTER_FUNCTION(Reciprocal, Reciprocal, reciprocal)
LR_REGISTER_FUNCTION(Log, Log, log)
LR_REGISTER_FUNCTION(Sin, Sin, sin)
LR_REGISTER_FUNCTION(Cos, Cos, cos)
LR_REGISTER_FUNCTION(Erf, Erf, erf)
LR_REGISTER_FUNCTION(Floor, Floor, floor)
LR_REGISTER_FUNCTION(Ceil, Ceil, ceil)
LR_REGISTER_FUNCTION(Round, Round, round)
LR_REGISTER_OP(Log1p, Log1pOp)
LR_REGISTER_OP(ExpFusion, ExpOp)
LR_REGISTER_OP(IsFinite, IsFiniteOp)
LR_REGISTER_OP(OnesLike, OnesLikeOp)
LR_REGISTER_OP(ZerosLike, ZerosLikeOp)

}  // namespace
}  // namespace lr
