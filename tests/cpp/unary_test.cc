// Element-wise functions of one array against their definitions in double precision.
#include <cmath>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

// What a function is, and the error it may have: ulps * ulp(result) + absolute + per_x * |x|.
struct UnarySpec {
  double (*f)(double x, double a, double b);
  float lo, hi;  // the usual range of x
  double ulps;
  double absolute = 0;
  double per_x = 0;
  float a = 0, b = 0;
};

// x * 0 where x may be -inf: the limit.
double times(double x, double y) { return y == 0 && std::isinf(x) ? 0 : x * y; }
double clip(double x, double lo, double hi) { return std::isnan(x) ? x : std::fmin(std::fmax(x, lo), hi); }
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double softplus_of(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

constexpr double kFlushed = 1.2e-38;  // the smallest normal float: results below it may become 0
constexpr double kHalfUlp = 6e-8;

// One for each of LR_UNARY_KERNELS, by the same name: a kernel without one does not compile.
#define SPEC(name, expression, ...)                                                       \
  const UnarySpec name = {[]([[maybe_unused]] double x, [[maybe_unused]] double a,        \
                             [[maybe_unused]] double b) -> double { return expression; }, \
                          __VA_ARGS__};
namespace spec {
SPEC(abs, std::fabs(x), -9, 9, 0)
SPEC(neg, -x, -9, 9, 0)
SPEC(sign, x > 0 ? 1 : x < 0 ? -1 : x, -9, 9, 0)
SPEC(square, x* x, -9, 9, 0.5)
SPEC(sqrt, std::sqrt(x), 0, 9, 0.5)
SPEC(rsqrt, 1 / std::sqrt(x), 0.01f, 9, 1.5)
SPEC(reciprocal, 1 / x, -9, 9, 0.5)
SPEC(floor, std::floor(x), -9, 9, 0)
SPEC(ceil, std::ceil(x), -9, 9, 0)
SPEC(round, std::nearbyint(x), -9, 9, 0)
SPEC(exp, std::exp(x), -104, 89, 1.1)
SPEC(log, std::log(x), 0, 9, 1)
SPEC(sin, std::sin(x), -20, 20, 2, 1e-11)
SPEC(cos, std::cos(x), -20, 20, 2, 1e-11)
SPEC(erf, std::erf(x), -4, 4, 8)
SPEC(tanh, std::tanh(x), -9, 9, 6)
SPEC(sigmoid, sigmoid_of(x), -90, 90, 3, kFlushed)
SPEC(softplus, softplus_of(x), -90, 90, 4)
SPEC(softsign, std::isinf(x) ? std::copysign(1, x) : x / (1 + std::fabs(x)), -9, 9, 1.5)
SPEC(swish, times(x, sigmoid_of(x)), -90, 90, 4, 100 * kFlushed)
SPEC(mish, times(x, std::tanh(softplus_of(x))), -90, 90, 5, 200 * kFlushed)
SPEC(gelu, times(x, 0.5 * std::erfc(-x * std::sqrt(0.5))), -9, 9, 3, 0, 2.5e-7)
SPEC(gelu_tanh, times(x, 0.5 * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))), -9, 9, 3, 0, 2.5e-7)
SPEC(hswish, times(x, clip(x + 3, 0, 6) / 6), -5, 5, 3, 0, kHalfUlp)
SPEC(hsigmoid, clip(x + 3, 0, 6) / 6, -5, 5, 2, kHalfUlp)
SPEC(clamp, clip(x, a, b), -9, 9, 0, 0, 0, -0.5f, 6.f)
SPEC(leaky_relu, x < 0 ? a * x : x, -9, 9, 0.5, 0, 0, 0.3f)
SPEC(elu, x < 0 ? a * std::expm1(x) : x, -9, 9, 4, 0, 0, 1.5f)
SPEC(affine, a* x + b, -9, 9, 1, 3 * kHalfUlp, 2 * kHalfUlp, 1.25f, -2.5f)
}  // namespace spec

using UnaryKernel = void (*)(const float*, float*, size_t, float, float);

void check_value(Case& test, const UnarySpec& spec, bool flushes, float x, float y) {
  const double exact = spec.f(x, spec.a, spec.b);
  const double error = ulps(y, exact);
  const double distance = std::fabs(y - exact);
  const double slack = spec.absolute + spec.per_x * std::fabs(x) + (flushes ? kFlushed : 0);
  const bool close = error <= spec.ulps + 1e-6 || distance <= slack ||
                     (std::isfinite(exact) && distance <= slack + spec.ulps * distance / error);
  test.expect(close, "f(%.9g) = %.9g, exactly %.9g: %.2f ulp", x, y, exact, error);
  if (spec.ulps == 0 && exact == 0) {
    test.expect(std::signbit(y) == std::signbit(exact), "f(%.9g) = %g has the wrong sign", x, y);
  }
}

struct Unary {
  const char* tier;
  const char* name;
  UnaryKernel kernel;
  UnarySpec spec;
  bool flushes;

  void lengths(size_t n, bool in_place) const {
    Case test("%s %s n=%zu%s", tier, name, n, in_place ? " in place" : "");
    Guarded<float> x(n), y(n);
    fill_uniform(x, spec.lo, spec.hi);
    std::vector<float> input(x.begin(), x.end());
    float* out = in_place ? x.data() : y.data();
    kernel(x.data(), out, n, spec.a, spec.b);
    for (size_t i = 0; i < n; ++i) check_value(test, spec, flushes, input[i], out[i]);
    test.expect(x.intact() && y.intact(), "wrote in front of a buffer");
  }

  void values(const char* what, const std::vector<float>& x) const {
    Case test("%s %s of %s", tier, name, what);
    std::vector<float> y(x.size());
    kernel(x.data(), y.data(), x.size(), spec.a, spec.b);
    for (size_t i = 0; i < x.size(); ++i) check_value(test, spec, flushes, x[i], y[i]);
  }
};

std::vector<float> special_values(bool flushes) {
  std::vector<float> values = {0.f,
                               -0.f,
                               INFINITY,
                               -INFINITY,
                               NAN,
                               3.40282347e38f,
                               -3.40282347e38f,
                               1.17549435e-38f,
                               -1.17549435e-38f,
                               0.5f,
                               -0.5f,
                               1.5f,
                               -1.5f,
                               2.5f,
                               -2.5f,
                               0.499999970f,
                               8388607.5f,
                               -8388607.5f,
                               8388608.f,
                               16777217.f,
                               4194303.5f,
                               2147483648.f,
                               -2147483904.f,
                               8192.f,
                               8193.f,
                               -1e6f,
                               1e30f,
                               1.f,
                               -1.f,
                               88.7228394f,
                               88.7228470f,
                               -87.3365479f,
                               -103.972084f,
                               -103.972076f,
                               3.14159274f,
                               1.57079637f,
                               51471.8516f};
  if (!flushes) values.insert(values.end(), {1e-40f, -1e-40f, 1e-45f, -1e-45f});
  return values;
}

// Floats of every sign and exponent, evenly spread over their bit patterns.
std::vector<float> sweep(bool flushes) {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 65521) {
    const float x = float_of(static_cast<uint32_t>(bits));
    if (!(flushes && is_denormal(x))) values.push_back(x);
  }
  return values;
}

std::vector<float> usual_range(const UnarySpec& spec) {
  std::vector<float> values(20000);
  fill_uniform(values, spec.lo, spec.hi);
  return values;
}

// Far out, functions that approach a limit reach it.
void check_saturation(const Kernels& k) {
  Case test("%s functions reach their limits", k.tier);
  const float x[] = {-40.f, 40.f, -1e6f, 3e38f, -3e38f};
  float y[5];
  const auto expect = [&](const char* name, UnaryKernel kernel, auto limit) {
    kernel(x, y, 5, 0, 0);
    for (size_t i = 0; i < 5; ++i) test.expect(y[i] == limit(x[i]), "%s(%g) = %.9g", name, x[i], y[i]);
  };
  const auto sign = [](float v) { return v < 0 ? -1.f : 1.f; };
  const auto ramp = [](float v) { return v < 0 ? 0.f : v; };
  expect("tanh", k.unary.tanh, sign);
  expect("erf", k.unary.erf, sign);
  expect("gelu", k.unary.gelu, ramp);
  expect("gelu_tanh", k.unary.gelu_tanh, ramp);
  expect("hswish", k.unary.hswish, ramp);
}

}  // namespace

void test_unary(const Kernels& k) {
  check_saturation(k);
  const bool flushes = flushes_denormals(k);
  const std::vector<float> specials = special_values(flushes), all = sweep(flushes);
#define LR_UNARY(name) {k.tier, #name, k.unary.name, spec::name, flushes},
  const Unary tests[] = {LR_UNARY_KERNELS(LR_UNARY)};
#undef LR_UNARY
  for (const Unary& test : tests) {
    for (size_t n = 0; n <= 70; ++n) {
      test.lengths(n, false);
      test.lengths(n, true);
    }
    test.values("special values", specials);
    test.values("all magnitudes", all);
    test.values("its usual range", usual_range(test.spec));
  }
}

}  // namespace lr::test
