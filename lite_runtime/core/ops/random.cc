// Random numbers: RandomStandardNormal and UniformReal (in [0, 1)). Input 0 is the shape; the result is
// float32. With the seeds 0 and 0 every session draws its own numbers; other seeds give the same sequence in
// every session, on every machine. Consecutive runs of a session go on in the sequence.
#include <cmath>
#include <random>

#include "op.h"

namespace lr {
namespace {

// SplitMix64: a counter, whose value is then mixed.
class Generator {
 public:
  void seed(int64_t a, int64_t b) {
    if (seeded_) return;
    seeded_ = true;
    std::random_device device;
    state_ = a == 0 && b == 0 ? (uint64_t{device()} << 32 | device())
                              : mix(static_cast<uint64_t>(a)) + static_cast<uint64_t>(b);
  }
  // Uniform in [0, 1), a multiple of 2^-bits.
  double uniform(int bits) { return std::ldexp(static_cast<double>(mix(state_ += kStep) >> (64 - bits)), -bits); }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  bool seeded_ = false;
  uint64_t state_ = 0;
};

template <class Attributes>
class RandomOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    Shape shape;
    for (int64_t dim : node.ints(0)) {
      if (dim < 0) node.invalid("the wanted shape has dimension %lld", static_cast<long long>(dim));
      shape.push_back(dim);
    }
    const auto* attr = node.attr<Attributes>();
    generator_.seed(attr->seed(), attr->seed2());
    node.set_out(0, DType::kFloat32, shape);
  }
  OpTraits traits() const override { return OpTraits::impure(); }

 protected:
  Generator generator_;
};

class UniformOp : public RandomOp<schema::UniformReal> {
 public:
  void run(Node& node) override {
    float* out = node.out[0]->as<float>();
    const int64_t n = node.out[0]->count();
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(generator_.uniform(24));
  }
};

// The method of Box and Muller: two uniform numbers give two normal ones.
class NormalOp : public RandomOp<schema::RandomStandardNormal> {
 public:
  void run(Node& node) override {
    float* out = node.out[0]->as<float>();
    const int64_t n = node.out[0]->count();
    for (int64_t i = 0; i < n; i += 2) {
      const double radius = std::sqrt(-2.0 * std::log(1.0 - generator_.uniform(53)));
      const double angle = 2.0 * 3.14159265358979323846 * generator_.uniform(53);
      out[i] = static_cast<float>(radius * std::cos(angle));
      if (i + 1 < n) out[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
  }
};

LR_REGISTER_OP(RandomStandardNormal, NormalOp)
LR_REGISTER_OP(UniformReal, UniformOp)

}  // namespace
}  // namespace lr
