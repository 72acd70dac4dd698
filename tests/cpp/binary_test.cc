// Element-wise functions of two arrays. All are correctly rounded in each step, so results must be equal.
#include <cmath>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

using BinaryFunction = float (*)(float x, float y);

bool either_nan(float x, float y) { return std::isnan(x) || std::isnan(y); }

// One for each of LR_BINARY_KERNELS, by the same name: a kernel without one does not compile.
namespace spec {
float add(float x, float y) { return static_cast<float>(static_cast<double>(x) + y); }
float sub(float x, float y) { return static_cast<float>(static_cast<double>(x) - y); }
float mul(float x, float y) { return static_cast<float>(static_cast<double>(x) * y); }
float div(float x, float y) { return static_cast<float>(static_cast<double>(x) / y); }
float max(float x, float y) { return either_nan(x, y) ? NAN : x > y ? x : y; }
float min(float x, float y) { return either_nan(x, y) ? NAN : x < y ? x : y; }
float squared_difference(float x, float y) { return mul(sub(x, y), sub(x, y)); }
}  // namespace spec

enum class Out { kSeparate, kOverX, kOverY };

struct Binary {
  const char* tier;
  const char* name;
  Kernels::Binary kernel;
  BinaryFunction f;
  bool flushes;

  void check(Case& test, float x, float y, float z) const {
    const float exact = f(x, y);
    const bool equal = z == exact || (std::isnan(z) && std::isnan(exact));
    const bool flushed = flushes && std::fabs(exact - z) <= 1.2e-38f;
    test.expect(equal || flushed, "f(%.9g, %.9g) = %.9g, expected %.9g", x, y, z, exact);
  }

  void arrays(const std::vector<float>& x, const std::vector<float>& y, Out out) const {
    const size_t n = x.size();
    Case test("%s %s vv n=%zu out=%d", tier, name, n, static_cast<int>(out));
    Guarded<float> gx(n), gy(n), gz(n);
    std::copy(x.begin(), x.end(), gx.data());
    std::copy(y.begin(), y.end(), gy.data());
    float* z = out == Out::kOverX ? gx.data() : out == Out::kOverY ? gy.data() : gz.data();
    kernel.vv(gx.data(), gy.data(), z, n);
    for (size_t i = 0; i < n; ++i) check(test, x[i], y[i], z[i]);
    test.expect(gx.intact() && gy.intact() && gz.intact(), "wrote in front of a buffer");
  }

  void array_and_value(const std::vector<float>& x, float value, bool in_place) const {
    const size_t n = x.size();
    Case test("%s %s vs, sv n=%zu value=%g%s", tier, name, n, value, in_place ? " in place" : "");
    Guarded<float> gx(n), gz(n);
    float* z = in_place ? gx.data() : gz.data();
    std::copy(x.begin(), x.end(), gx.data());
    kernel.vs(gx.data(), value, z, n);
    for (size_t i = 0; i < n; ++i) check(test, x[i], value, z[i]);
    std::copy(x.begin(), x.end(), gx.data());
    kernel.sv(value, gx.data(), z, n);
    for (size_t i = 0; i < n; ++i) check(test, value, x[i], z[i]);
    test.expect(gx.intact() && gz.intact(), "wrote in front of a buffer");
  }
};

std::vector<float> random_values(size_t n) {
  std::vector<float> values(n);
  fill_uniform(values, -10, 10);
  return values;
}

std::vector<float> special_values(bool flushes) {
  std::vector<float> values = {0.f, -0.f, 1.f, -3.f, INFINITY, -INFINITY, NAN, 3.40282347e38f, 1.17549435e-38f, 1e-20f};
  if (!flushes) values.push_back(1e-42f);
  return values;
}

}  // namespace

void test_binary(const Kernels& k) {
  const bool flushes = flushes_denormals(k);
  const std::vector<float> specials = special_values(flushes);
#define LR_BINARY(name) {k.tier, #name, k.binary.name, spec::name, flushes},
  const Binary tests[] = {LR_BINARY_KERNELS(LR_BINARY)};
#undef LR_BINARY
  for (const Binary& test : tests) {
    for (size_t n = 0; n <= 70; ++n) {
      for (const Out out : {Out::kSeparate, Out::kOverX, Out::kOverY}) {
        test.arrays(random_values(n), random_values(n), out);
      }
      test.array_and_value(random_values(n), 1.7f, false);
      test.array_and_value(random_values(n), -0.3f, true);
    }
    for (const float value : specials) {
      test.arrays(specials, std::vector<float>(specials.size(), value), Out::kSeparate);
      test.array_and_value(specials, value, false);
    }
  }
}

}  // namespace lr::test
