// Element-wise functions with per-channel parameters, data movement and half precision.
#include <cmath>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {

void test_scale_shift_f32(const Kernels& k) {
  for (size_t n = 0; n <= 70; ++n) {
    for (const bool in_place : {false, true}) {
      Case test("%s scale_shift n=%zu%s", k.tier, n, in_place ? " in place" : "");
      Guarded<float> x(n), scale(n), shift(n), out(n);
      fill_integers(x);
      fill_integers(scale);
      fill_integers(shift);
      const std::vector<float> input(x.begin(), x.end());
      float* y = in_place ? x.data() : out.data();
      k.scale_shift_f32(x.data(), scale.data(), shift.data(), y, n);
      for (size_t i = 0; i < n; ++i) test.expect(y[i] == input[i] * scale[i] + shift[i], "y[%zu] = %g", i, y[i]);
      test.expect(x.intact() && out.intact(), "wrote in front of a buffer");
    }
  }
}

void test_prelu_f32(const Kernels& k) {
  for (size_t n = 0; n <= 70; ++n) {
    for (const bool in_place : {false, true}) {
      Case test("%s prelu n=%zu%s", k.tier, n, in_place ? " in place" : "");
      Guarded<float> x(n), slope(n), out(n);
      fill_uniform(x, -3, 3);
      fill_uniform(slope, -3, 3);
      const std::vector<float> input(x.begin(), x.end());
      float* y = in_place ? x.data() : out.data();
      k.prelu_f32(x.data(), slope.data(), y, n);
      for (size_t i = 0; i < n; ++i) {
        const float expected = input[i] < 0 ? input[i] * slope[i] : input[i];
        test.expect(y[i] == expected, "y[%zu] = %.9g, expected %.9g", i, y[i], expected);
      }
      test.expect(x.intact() && out.intact(), "wrote in front of a buffer");
    }
  }
}

void test_axpy_f32(const Kernels& k) {
  for (size_t n = 0; n <= 70; ++n) {
    Case test("%s axpy n=%zu", k.tier, n);
    Guarded<float> x(n), acc(n);
    fill_integers(x);
    fill_integers(acc);
    const std::vector<float> before(acc.begin(), acc.end());
    k.axpy_f32(-3, x.data(), acc.data(), n);
    for (size_t i = 0; i < n; ++i) test.expect(acc[i] == before[i] - 3 * x[i], "acc[%zu] = %g", i, acc[i]);
    test.expect(x.intact() && acc.intact(), "wrote in front of a buffer");
  }
}

static void check_transpose(const Kernels& k, size_t rows, size_t cols, size_t src_gap, size_t dst_gap) {
  Case test("%s transpose %zux%zu gaps %zu %zu", k.tier, rows, cols, src_gap, dst_gap);
  const size_t src_stride = cols + src_gap, dst_stride = rows + dst_gap;
  // The last row has no gap behind it.
  const auto size = [](size_t n, size_t length, size_t stride) {
    return n == 0 || length == 0 ? 0 : (n - 1) * stride + length;
  };
  Guarded<uint32_t> src(size(rows, cols, src_stride)), dst(size(cols, rows, dst_stride));
  for (size_t i = 0; i < src.size(); ++i) src[i] = static_cast<uint32_t>(i * 2654435761u);
  k.transpose_32(src.data(), src_stride, dst.data(), dst_stride, rows, cols);
  for (size_t i = 0; i < dst.size(); ++i) {
    const size_t c = i / dst_stride, r = i % dst_stride;
    const bool right = r < rows ? dst[i] == src[r * src_stride + c] : dst.untouched(i);
    test.expect(right, "dst[%zu] (row %zu, column %zu) is wrong", i, r, c);
  }
  test.expect(dst.intact(), "wrote in front of the buffer");
}

void test_transpose_32(const Kernels& k) {
  for (size_t rows = 0; rows <= 35; ++rows) {
    for (size_t cols = 0; cols <= 35; ++cols) {
      check_transpose(k, rows, cols, (rows + cols) % 3, rows % 4);
      check_transpose(k, rows, cols, cols % 2, 0);
    }
  }
  check_transpose(k, 3, 1000, 0, 5);
  check_transpose(k, 1000, 3, 5, 0);
  check_transpose(k, 129, 67, 1, 1);
}

void test_copy_rows_32(const Kernels& k) {
  for (size_t rows = 0; rows <= 3; ++rows) {
    for (size_t cols = 0; cols <= 70; ++cols) {
      Case test("%s copy_rows %zux%zu", k.tier, rows, cols);
      const size_t src_stride = cols + 3, dst_stride = cols + cols % 5;
      Guarded<uint32_t> src(rows * src_stride), dst(rows * dst_stride);
      for (size_t i = 0; i < src.size(); ++i) src[i] = static_cast<uint32_t>(i * 2654435761u);
      k.copy_rows_32(src.data(), src_stride, dst.data(), dst_stride, rows, cols);
      for (size_t i = 0; i < dst.size(); ++i) {
        const size_t r = i / dst_stride, c = i % dst_stride;
        const bool right = c < cols ? dst[i] == src[r * src_stride + c] : dst.untouched(i);
        test.expect(right, "dst[%zu] (row %zu, column %zu) is wrong", i, r, c);
      }
      test.expect(dst.intact(), "wrote in front of the buffer");
    }
  }
}

namespace {

// Half precision by its definition.
double half_value(uint16_t h) {
  const int exponent = h >> 10 & 31, mantissa = h & 1023;
  const double sign = h & 0x8000 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// The bits every tier must give, found by rounding to a multiple of the half's step.
uint16_t half_bits(float x) {
  const uint16_t sign = static_cast<uint16_t>(bits_of(x) >> 16 & 0x8000);
  const double magnitude = std::fabs(static_cast<double>(x));
  int exponent = -14;
  if (magnitude >= std::ldexp(1, -14) && std::isfinite(magnitude)) exponent = std::ilogb(magnitude);
  const double steps = std::nearbyint(std::ldexp(magnitude, 10 - exponent));  // half to even
  const double rounded = std::ldexp(steps, exponent - 10);
  if (!(rounded < 65536)) return static_cast<uint16_t>(sign | 0x7c00);
  if (rounded < std::ldexp(1, -14)) return static_cast<uint16_t>(sign | static_cast<int>(std::ldexp(rounded, 24)));
  exponent = std::ilogb(rounded);
  const int mantissa = static_cast<int>(std::ldexp(rounded, 10 - exponent)) - 1024;
  return static_cast<uint16_t>(sign | (exponent + 15) << 10 | mantissa);
}

void check_to_half(const Kernels& k, const char* what, const std::vector<float>& values) {
  Case test("%s f32_to_f16 of %s", k.tier, what);
  std::vector<uint16_t> y(values.size());
  k.f32_to_f16(values.data(), y.data(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) {
      test.expect((y[i] & 0x7fff) > 0x7c00, "f(NaN) = %04x", y[i]);
      continue;
    }
    const uint16_t expected = half_bits(values[i]);
    test.expect(y[i] == expected, "f(%.9g) = %04x, expected %04x", values[i], y[i], expected);
  }
}

}  // namespace

void test_f16_to_f32(const Kernels& k) {
  {
    Case test("%s f16_to_f32 of all values", k.tier);
    std::vector<uint16_t> x(65536);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i);
    std::vector<float> y(x.size());
    k.f16_to_f32(x.data(), y.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const double value = half_value(x[i]);
      const bool right = std::isnan(value) ? std::isnan(y[i]) : bits_of(y[i]) == bits_of(static_cast<float>(value));
      test.expect(right, "f(%04zx) = %.9g, expected %.9g", i, y[i], value);
    }
  }
  for (size_t n = 0; n <= 70; ++n) {
    Case test("%s f16_to_f32 n=%zu", k.tier, n);
    Guarded<uint16_t> x(n);
    Guarded<float> y(n);
    for (uint16_t& h : x) h = static_cast<uint16_t>(generator()() & 0x7bff);
    k.f16_to_f32(x.data(), y.data(), n);
    for (size_t i = 0; i < n; ++i) test.expect(y[i] == half_value(x[i]), "f(%04x) = %g", x[i], y[i]);
    test.expect(y.intact(), "wrote in front of the buffer");
  }
}

void test_f32_to_f16(const Kernels& k) {
  std::vector<float> all, ties;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 65521) {
    all.push_back(float_of(static_cast<uint32_t>(bits)));
  }
  for (uint32_t h = 0; h < 0x7c00; ++h) {
    // A half, the middle to the next one, and the floats on both sides of it.
    const float low = static_cast<float>(half_value(static_cast<uint16_t>(h)));
    const double next = h == 0x7bff ? 65536 : half_value(static_cast<uint16_t>(h + 1));
    const float middle = static_cast<float>((low + next) / 2);
    for (const float x : {low, middle, std::nextafter(middle, 0.f), std::nextafter(middle, INFINITY)}) {
      ties.push_back(x);
      ties.push_back(-x);
    }
  }
  check_to_half(k, "all magnitudes", all);
  check_to_half(k, "halves and the middles between them", ties);
  check_to_half(k, "infinities", {INFINITY, -INFINITY, NAN, 65519.f, 65520.f, 1e-30f, 3e38f, 0.f, -0.f});
  for (size_t n = 0; n <= 70; ++n) {
    Case test("%s f32_to_f16 n=%zu", k.tier, n);
    Guarded<float> x(n);
    Guarded<uint16_t> y(n);
    fill_uniform(x, -9, 9);
    k.f32_to_f16(x.data(), y.data(), n);
    for (size_t i = 0; i < n; ++i) test.expect(y[i] == half_bits(x[i]), "f(%g) = %04x", x[i], y[i]);
    test.expect(y.intact(), "wrote in front of the buffer");
  }
}

}  // namespace lr::test
