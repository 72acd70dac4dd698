// Activation functions, as operators of their own and fused into others.
#pragma once

#include "op.h"

namespace lr {

using UnaryKernel = void (*)(const float* x, float* y, size_t n, float a, float b);

// y = f(x) for an ActivationType with its parameters bound.
class Activation {
 public:
  Activation() = default;  // the identity
  // Fails for a type without a definite meaning. alpha: slope or factor of ELU, LEAKY_RELU and
  // THRESHOLDRELU; [low, high]: range of HARD_TANH.
  Activation(const Node& node, schema::ActivationType type, float alpha, float low, float high, bool approximate) {
    bind(node, type, alpha, low, high, approximate);
  }

  // y may equal x.
  void apply(const float* x, float* y, size_t n) const;
  bool is_clamp() const { return kind_ == Kind::kClamp; }
  float low() const { return a_; }
  float high() const { return b_; }

 private:
  void bind(const Node& node, schema::ActivationType type, float alpha, float low, float high, bool approximate);
  void use_clamp(float low, float high);
  void use_kernel(UnaryKernel kernel, float a);

  enum class Kind { kClamp, kKernel, kSelu, kFastGelu, kThreshold };
  Kind kind_ = Kind::kClamp;
  UnaryKernel kernel_ = nullptr;
  float a_ = -kInfinity, b_ = kInfinity;
  static constexpr float kInfinity = __builtin_inff();
};

// The activation_type attribute of another operator: kernels that clamp do so with low and high, any
// other function is applied to their results by finish().
class FusedActivation {
 public:
  FusedActivation() = default;
  // Fails for types with parameters, which have no attribute to hold them.
  FusedActivation(const Node& node, schema::ActivationType type);

  float low() const { return low_; }
  float high() const { return high_; }
  void finish(float* y, size_t n) const {
    if (pending_) function_.apply(y, y, n);
  }
  // The same for rows of n values that lie `stride` apart.
  void finish_rows(float* y, size_t rows, size_t stride, size_t n) const;
  // For kernels without a clamp of their own.
  void apply(float* y, size_t n) const;

 private:
  Activation function_;
  bool pending_ = false;
  float low_ = function_.low(), high_ = function_.high();
};

}  // namespace lr
