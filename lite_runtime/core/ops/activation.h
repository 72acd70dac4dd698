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

// What an element-wise operator does to the result before it: f(x), or f(x + y) with y of the same shape.
struct Elementwise {
  bool adds = false;
  Activation function;
};

// The activation_type attribute of another operator, and what it absorbed: kernels that clamp do so with low
// and high, anything else is done to their results by an Epilogue.
class FusedActivation {
 public:
  FusedActivation() = default;
  // Fails for types with parameters, which have no attribute to hold them.
  FusedActivation(const Node& node, schema::ActivationType type);

  // Possible as long as this is the identity.
  bool absorb(const Elementwise& next);

  float low() const { return low_; }
  float high() const { return high_; }
  // For kernels without a clamp of their own.
  void apply(float* y, size_t n) const;

 private:
  friend class Epilogue;
  friend class HalfEpilogue;
  bool is_identity() const;
  Activation function_;
  bool pending_ = false;  // not done by a clamp
  float low_ = function_.low(), high_ = function_.high();
};

// The end of one run of a node: what the kernel leaves to be done to output 0 while it is in the cache.
class Epilogue {
 public:
  Epilogue() = default;  // nothing
  Epilogue(const FusedActivation& activation, const Node& node)
      : Epilogue(activation, node, node.out[0]->as<float>()) {}
  // With output 0 there.
  Epilogue(const FusedActivation& activation, const Node& node, const float* output);

  float low() const { return low_; }
  float high() const { return high_; }
  // Finishes n results at y, a place in output 0.
  void finish(float* y, size_t n) const;
  // The same for rows of n results that lie `stride` apart.
  void finish_rows(float* y, size_t rows, size_t stride, size_t n) const;
  // For results of a kernel that did not clamp.
  void apply(float* y, size_t n) const;

 private:
  const Activation* function_ = nullptr;
  const float* addend_ = nullptr;
  const float* output_ = nullptr;
  float low_ = -__builtin_inff(), high_ = __builtin_inff();
};

}  // namespace lr
