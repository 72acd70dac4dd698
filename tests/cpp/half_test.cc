// The kernels that compute in float16. With small integers every sum is exact, so results must be equal.
#include "kernels/half.h"

#if defined(LR_HALF)

#include <cmath>
#include <memory>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

half half_of(float x) {
  half h;
  kernels().f32_to_f16(&x, &h, 1);
  return h;
}
float value(half h) {
  float x;
  kernels().f16_to_f32(&h, &x, 1);
  return x;
}

// Small enough for the sums of hundreds of products.
float small_integer() { return static_cast<float>(static_cast<int>(generator()() % 5) - 2); }
std::vector<float> small_integers(size_t count) {
  std::vector<float> values(count);
  for (float& x : values) x = small_integer();
  return values;
}

// Rows of values, each ending at an inaccessible page.
class HalfRows {
 public:
  HalfRows(size_t count, size_t length) {
    for (size_t i = 0; i < count; ++i) {
      rows_.push_back(std::make_unique<Guarded<half>>(length));
      for (half& h : *rows_.back()) h = half_of(small_integer());
    }
  }
  std::vector<const half*> pick(size_t n) const {
    std::vector<const half*> pointers(n);
    for (const half*& p : pointers) p = rows_[generator()() % rows_.size()]->data();
    return pointers;
  }

 private:
  std::vector<std::unique_ptr<Guarded<half>>> rows_;
};

struct Range {
  float lo, hi;
};
constexpr Range kRanges[] = {{-INFINITY, INFINITY}, {0, INFINITY}, {0, 6}, {-20, 20}};
float clip(double x, Range range) { return static_cast<float>(std::fmin(std::fmax(x, range.lo), range.hi)); }

void check_gemm(size_t rows, size_t taps, size_t k, size_t n, size_t gap, Range range) {
  Case test("float16 gemm rows=%zu taps=%zu k=%zu n=%zu gap=%zu lo=%g", rows, taps, k, n, gap, range.lo);
  const std::vector<float> w = small_integers(taps * k * n), bias = small_integers(n);
  Guarded<half> packed(packed_gemm_f16_bytes(taps, k, n) / sizeof(half));
  pack_gemm_f16(w.data(), k * n, n, 1, bias.data(), taps, k, n, packed.data());
  const HalfRows inputs(std::min<size_t>(taps * rows, 12), k);
  const std::vector<const half*> a = inputs.pick(taps * rows);
  const size_t stride = n + gap;
  Guarded<half> c((rows - 1) * stride + n);
  half_kernels()->gemm({a.data(), rows, taps, k, n, packed.data(), c.data(), stride, range.lo, range.hi});
  for (size_t i = 0; i < c.size(); ++i) {
    const size_t r = i / stride, j = i % stride;
    if (j >= n) {
      test.expect(c.untouched(i), "wrote behind row %zu", r);
      continue;
    }
    double sum = bias[j];
    for (size_t t = 0; t < taps; ++t) {
      for (size_t d = 0; d < k; ++d) sum += static_cast<double>(value(a[t * rows + r][d])) * w[(t * k + d) * n + j];
    }
    test.expect(value(c[i]) == clip(sum, range), "c[%zu][%zu] = %g, expected %g", r, j, value(c[i]), sum);
  }
  test.expect(c.intact(), "wrote in front of the buffer");
}

void test_gemm() {
  size_t turn = 0;
  for (const size_t taps : {1, 3, 9}) {
    // The last few are sums made of parts.
    for (const size_t k : {1, 3, 8, 12, 23, 257, 300}) {
      for (const size_t n : {1, 7, 8, 20, 24, 32, 33, 71}) {
        for (size_t rows = 1; rows <= half_kernels()->gemm_mr; rows += 1 + turn % 7, ++turn) {
          check_gemm(rows, taps, k, n, turn % 3, kRanges[turn % 4]);
        }
      }
    }
  }
}

void check_depthwise(size_t taps, size_t step, size_t channels, size_t count, size_t gap, Range range) {
  Case test("float16 depthwise taps=%zu step=%zu channels=%zu count=%zu gap=%zu", taps, step, channels, count, gap);
  const HalfRows inputs(7, channels);
  const std::vector<const half*> x = inputs.pick((count - 1) * step + taps);
  const std::vector<float> w = small_integers(channels * taps), bias = small_integers(channels);
  Guarded<half> packed(packed_depthwise_f16_bytes(taps, channels) / sizeof(half));
  pack_depthwise_f16(w.data(), 1, taps, bias.data(), taps, channels, packed.data());
  const size_t stride = channels + gap;
  Guarded<half> y((count - 1) * stride + channels);
  half_kernels()->depthwise(
      {packed.data(), x.data(), step, taps, channels, count, y.data(), stride, range.lo, range.hi});
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t pixel = i / stride, c = i % stride;
    if (c >= channels) {
      test.expect(y.untouched(i), "wrote behind pixel %zu", pixel);
      continue;
    }
    double sum = bias[c];
    for (size_t t = 0; t < taps; ++t) sum += static_cast<double>(value(x[pixel * step + t][c])) * w[c * taps + t];
    test.expect(value(y[i]) == clip(sum, range), "y[%zu][%zu] = %g, expected %g", pixel, c, value(y[i]), sum);
  }
  test.expect(y.intact(), "wrote in front of the buffer");
}

void test_depthwise() {
  constexpr size_t kWindows[][2] = {{1, 1}, {4, 4}, {9, 3}, {9, 6}, {9, 9}, {25, 5}, {25, 10}, {49, 7}};
  size_t turn = 0;
  for (const auto& [taps, step] : kWindows) {
    for (size_t channels = 1; channels <= 41; channels += 1 + turn % 3, ++turn) {
      check_depthwise(taps, step, channels, 1 + (channels * 5 + taps) % 11, turn % 3, kRanges[turn % 4]);
    }
  }
}

void test_rows() {
  for (size_t n = 1; n <= 40; ++n) {
    Case test("float16 add and clamp of %zu", n);
    const std::vector<float> x = small_integers(n), y = small_integers(n);
    Guarded<half> a(n), b(n), sum(n);
    kernels().f32_to_f16(x.data(), a.data(), n);
    kernels().f32_to_f16(y.data(), b.data(), n);
    half_kernels()->add(a.data(), b.data(), sum.data(), n);
    half_kernels()->clamp(a.data(), b.data(), n, -1.f, 1.f);
    for (size_t i = 0; i < n; ++i) {
      test.expect(value(sum[i]) == x[i] + y[i], "%g + %g = %g", x[i], y[i], value(sum[i]));
      test.expect(value(b[i]) == clip(x[i], {-1, 1}), "%g limited is %g", x[i], value(b[i]));
    }
    test.expect(sum.intact() && b.intact(), "wrote in front of the buffer");
  }
}

// Overflow leaves its mark, whatever becomes of the result; infinities that were there before do not.
void test_overflow() {
  const struct {
    const char* what;
    float x, y;
    bool overflows;
  } cases[] = {{"65504 + 8", 65504, 8, false},
               {"65504 + 32", 65504, 32, true},
               {"-40000 - 40000", -40000, -40000, true},
               {"inf + 1", INFINITY, 1, false},
               {"1 + 1", 1, 1, false}};
  for (const auto& each : cases) {
    Case test("overflow of %s", each.what);
    const half x = half_of(each.x), y = half_of(each.y);
    half z;
    take_overflow();
    half_kernels()->add(&x, &y, &z, 1);
    test.expect(take_overflow() == each.overflows, "gives %g", value(z));
    test.expect(!take_overflow(), "is reported twice");
  }
  Case test("overflow of a conversion");
  take_overflow();
  test.expect(std::isinf(value(half_of(1e5f))) && take_overflow(), "is not noticed");
}

}  // namespace

void test_half() {
  if (half_kernels() == nullptr) return;
  test_gemm();
  test_depthwise();
  test_rows();
  test_overflow();
}

}  // namespace lr::test

#endif
