// Reductions and the row functions built on them, against double precision.
#include <cmath>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

// One for each of LR_REDUCE_KERNELS, by the same name: a kernel without one does not compile.
// `next` folds one more value in; sums may be off by kSumError of the sum of the magnitudes.
struct ReduceSpec {
  double start;
  double (*next)(double total, double x);
  bool is_sum;
};
namespace spec {
const ReduceSpec sum = {0, [](double t, double x) { return t + x; }, true};
const ReduceSpec max = {-INFINITY, [](double t, double x) { return std::isnan(x) || x > t ? x : t; }, false};
const ReduceSpec min = {INFINITY, [](double t, double x) { return std::isnan(x) || x < t ? x : t; }, false};
const ReduceSpec sum_square = {0, [](double t, double x) { return t + x * x; }, true};
const ReduceSpec sum_abs = {0, [](double t, double x) { return t + std::fabs(x); }, true};
}  // namespace spec

// 64 additions one after another, each off by at most half an ulp; in practice far less.
constexpr double kSumError = 2e-6;

struct Reduce {
  const char* tier;
  const char* name;
  float (*kernel)(const float*, size_t);
  ReduceSpec spec;

  void run(size_t n, float lo, float hi) const {
    Case test("%s reduce %s n=%zu in %g..%g", tier, name, n, lo, hi);
    Guarded<float> x(n);
    fill_uniform(x, lo, hi);
    double exact = spec.start, magnitude = 0;
    for (const float v : x) {
      exact = spec.next(exact, v);
      magnitude += std::fabs(spec.next(0, v));
    }
    const float got = kernel(x.data(), n);
    const bool close = got == exact || std::fabs(got - exact) <= (spec.is_sum ? kSumError * magnitude : 0);
    test.expect(close, "got %.9g, exactly %.9g", got, exact);
  }

  void nan_at(size_t n, size_t position) const {
    Case test("%s reduce %s n=%zu with NaN at %zu", tier, name, n, position);
    Guarded<float> x(n);
    fill_uniform(x, -1, 1);
    x[position] = NAN;
    test.expect(std::isnan(kernel(x.data(), n)), "NaN was lost");
  }
};

std::vector<double> softmax_of(const float* x, size_t n) {
  double top = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; ++i) top = std::fmax(top, x[i]);
  std::vector<double> y(n);
  for (size_t i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - top);
  for (double& v : y) v /= sum;
  return y;
}

void check_softmax(const Kernels& k, bool logarithm, size_t n, float lo, float hi, bool in_place) {
  Case test("%s %ssoftmax n=%zu in %g..%g%s", k.tier, logarithm ? "log_" : "", n, lo, hi, in_place ? " in place" : "");
  Guarded<float> x(n), out(n);
  fill_uniform(x, lo, hi);
  const std::vector<double> exact = softmax_of(x.data(), n);
  const std::vector<float> input(x.begin(), x.end());
  float* y = in_place ? x.data() : out.data();
  (logarithm ? k.log_softmax_f32 : k.softmax_f32)(x.data(), y, n);
  for (size_t i = 0; i < n; ++i) {
    // The exponent x - max is rounded; its error shows in the result.
    const double rounding = 6e-8 * (std::fabs(input[i]) + std::fabs(hi) + 4);
    const double expected = logarithm ? std::log(exact[i]) : exact[i];
    if (logarithm && exact[i] == 0) continue;  // below double's range; covered with gentler inputs
    // The sum of n exponentials errs as a random walk of n steps does.
    const double walk = 6e-8 * std::sqrt(static_cast<double>(n));
    const double allowed = logarithm ? rounding * 2 + walk : exact[i] * rounding * 2 + 1.2e-38;
    test.expect(std::fabs(y[i] - expected) <= allowed, "y[%zu] = %.9g, exactly %.9g", i, y[i], expected);
  }
  test.expect(x.intact() && out.intact(), "wrote in front of a buffer");
}

void check_softmax_extremes(const Kernels& k, bool logarithm) {
  Case test("%s %ssoftmax of extreme values", k.tier, logarithm ? "log_" : "");
  const auto run = logarithm ? k.log_softmax_f32 : k.softmax_f32;
  const float one = logarithm ? 0.f : 1.f, zero = logarithm ? -INFINITY : 0.f;
  float y[11];
  const float masked[11] = {-INFINITY, -INFINITY, 3,         -INFINITY, -INFINITY, -INFINITY,
                            -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY};
  run(masked, y, 11);
  for (size_t i = 0; i < 11; ++i) {
    test.expect(y[i] == (i == 2 ? one : zero), "masked: y[%zu] = %g", i, y[i]);
  }
  const float huge[3] = {3e38f, -3e38f, 1};
  run(huge, y, 3);
  test.expect(y[0] == one, "huge: y[0] = %g", y[0]);
  const float nan[9] = {1, 2, NAN, 3, 4, 5, 6, 7, 8};
  run(nan, y, 9);
  test.expect(std::isnan(y[0]) && std::isnan(y[8]), "NaN was lost: %g, %g", y[0], y[8]);
}

void check_layer_norm(const Kernels& k, size_t n, float mean, float spread, bool affine, bool in_place) {
  Case test("%s layer_norm n=%zu mean=%g spread=%g affine=%d%s", k.tier, n, mean, spread, affine,
            in_place ? " in place" : "");
  Guarded<float> x(n), gamma(n), beta(n), out(n);
  fill_uniform(x, mean - spread, mean + spread);
  fill_uniform(gamma, -2, 2);
  fill_uniform(beta, -2, 2);
  const std::vector<float> input(x.begin(), x.end());
  const float epsilon = 1e-5f;
  double average = 0, variance = 0;
  for (const float v : input) average += v / static_cast<double>(n);
  for (const float v : input) variance += (v - average) * (v - average) / static_cast<double>(n);
  float* y = in_place ? x.data() : out.data();
  k.layer_norm_f32(x.data(), affine ? gamma.data() : nullptr, affine ? beta.data() : nullptr, epsilon, y, n);
  for (size_t i = 0; i < n; ++i) {
    const double normal = (input[i] - average) / std::sqrt(variance + epsilon);
    const double expected = affine ? normal * gamma[i] + beta[i] : normal;
    test.expect(std::fabs(y[i] - expected) <= 3e-6, "y[%zu] = %.9g, exactly %.9g", i, y[i], expected);
  }
  test.expect(x.intact() && out.intact(), "wrote in front of a buffer");
}

}  // namespace

void test_reduce(const Kernels& k) {
#define LR_REDUCE(name) {k.tier, #name, k.reduce.name, spec::name},
  const Reduce tests[] = {LR_REDUCE_KERNELS(LR_REDUCE)};
#undef LR_REDUCE
  for (const Reduce& test : tests) {
    for (size_t n = 0; n <= 70; ++n) test.run(n, -1, 1);
    for (const size_t n : {1000, 4096, 100003}) {
      test.run(n, -1, 1);
      test.run(n, 0.1f, 0.2f);
      test.run(n, -7, -6);
    }
    for (size_t n = 1; n <= 20; ++n) {
      for (size_t position = 0; position < n; ++position) test.nan_at(n, position);
    }
  }
}

void test_dot_f32(const Kernels& k) {
  for (size_t n = 0; n <= 5000; n += n < 70 ? 1 : 493) {
    Case test("%s dot n=%zu", k.tier, n);
    Guarded<float> x(n), y(n);
    fill_uniform(x, -1, 1);
    fill_uniform(y, -1, 1);
    double exact = 0, magnitude = 0;
    for (size_t i = 0; i < n; ++i) {
      exact += static_cast<double>(x[i]) * y[i];
      magnitude += std::fabs(static_cast<double>(x[i]) * y[i]);
    }
    const float got = k.dot_f32(x.data(), y.data(), n);
    test.expect(std::fabs(got - exact) <= kSumError * magnitude, "got %.9g, exactly %.9g", got, exact);
  }
}

static void test_softmax(const Kernels& k, bool logarithm) {
  for (size_t n = 1; n <= 70; ++n) {
    check_softmax(k, logarithm, n, -5, 5, n % 2 == 0);
    check_softmax(k, logarithm, n, -200, 200, n % 2 == 1);
  }
  check_softmax(k, logarithm, 5001, -3, 3, false);
  check_softmax(k, logarithm, 100, 9000, 9010, true);
  check_softmax_extremes(k, logarithm);
}
void test_softmax_f32(const Kernels& k) { test_softmax(k, false); }
void test_log_softmax_f32(const Kernels& k) { test_softmax(k, true); }

void test_layer_norm_f32(const Kernels& k) {
  for (size_t n = 1; n <= 70; ++n) {
    for (const bool affine : {false, true}) check_layer_norm(k, n, 0.5f, 1, affine, n % 2 == 0);
  }
  for (const size_t n : {197, 384, 4097}) {
    check_layer_norm(k, n, 0, 1, true, false);
    check_layer_norm(k, n, 1e4f, 3, true, true);
    check_layer_norm(k, n, -3e6f, 50, false, false);
  }
}

}  // namespace lr::test
