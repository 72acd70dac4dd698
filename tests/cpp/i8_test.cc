// The integer kernels: every tier must give the bits of the plain formula.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

template <class Range>
void fill_bytes(Range& range, int least = -128, int most = 127) {
  // The ends of the range are the ones that overflow something.
  std::uniform_int_distribution<int> any(least, most), kind(0, 5);
  for (int8_t& x : range) {
    const int k = kind(generator());
    x = static_cast<int8_t>(k == 0 ? least : k == 1 ? most : any(generator()));
  }
}

int32_t random_int(int32_t least, int32_t most) {
  return std::uniform_int_distribution<int32_t>(least, most)(generator());
}

// `count` rows of `length` bytes, each ending at an inaccessible page.
class Rows {
 public:
  Rows(size_t count, size_t length) {
    for (size_t i = 0; i < count; ++i) {
      rows_.push_back(std::make_unique<Guarded<int8_t>>(length));
      fill_bytes(*rows_.back());
    }
  }
  std::vector<const int8_t*> pick(size_t n) const {
    std::vector<const int8_t*> pointers(n);
    for (const int8_t*& p : pointers) p = rows_[generator()() % rows_.size()]->data();
    return pointers;
  }

 private:
  std::vector<std::unique_ptr<Guarded<int8_t>>> rows_;
};

struct Result {
  int32_t zero, lo, hi;
  // x is the float32 that is to be rounded.
  int operator()(float x) const {
    const double rounded = std::nearbyint(static_cast<double>(x)) + zero;
    return static_cast<int>(std::fmin(std::fmax(rounded, lo), hi));
  }
};
constexpr Result kResults[] = {{0, -128, 127}, {-128, -128, 127}, {7, 7, 127}, {-20, -100, 50}, {127, -128, 127}};

// A product rounded to float32, whatever the compiler would like to fuse it with.
float product(float a, float b) {
  const volatile float p = a * b;
  return p;
}

struct Gemm {
  const Kernels& k;
  size_t taps, depth, n;
  bool narrow;
  std::vector<int8_t> w;
  Guarded<int8_t> packed;
  Guarded<int32_t> bias;
  Guarded<float> scale, offset;

  static size_t padded(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

  Gemm(const Kernels& kernels, size_t taps_, size_t depth_, size_t n_, bool narrow_)
      : k(kernels),
        taps(taps_),
        depth(depth_),
        n(n_),
        narrow(narrow_),
        w(taps * depth * n),
        packed(packed_gemm_i8_bytes(k, taps, depth, n)),
        bias(padded(n, k.gemm_i8_nr)),
        scale(bias.size()),
        offset(bias.size()) {
    fill_bytes(w, narrow ? -127 : -128);
    pack_gemm_i8(k, w.data(), depth * n, n, 1, taps, depth, n, packed.data());
    for (int32_t& b : bias) b = random_int(-100000, 100000);
    // Half of the scales are powers of two, which make ties.
    for (float& s : scale) s = generator()() % 2 ? 1.f / 512 : 1.f / static_cast<float>(random_int(100, 9000));
    fill_uniform(offset, -100.f, 100.f);
  }

  int32_t sum(const std::vector<const int8_t*>& a, size_t rows, size_t r, size_t j) const {
    int32_t total = 0;
    for (size_t t = 0; t < taps; ++t) {
      for (size_t d = 0; d < depth; ++d) total += a[t * rows + r][d] * w[(t * depth + d) * n + j];
    }
    return total;
  }

  void run(size_t rows, size_t gap, const Result& result) {
    Case test("%s gemm_i8 rows=%zu taps=%zu k=%zu n=%zu gap=%zu zero=%d narrow=%d", k.tier, rows, taps, depth, n, gap,
              result.zero, narrow);
    const std::vector<const int8_t*> pointers = inputs(rows);
    const size_t stride = n + gap;
    Guarded<int8_t> c((rows - 1) * stride + n);
    k.gemm_i8({pointers.data(), rows, rows, taps, depth, n, packed.data(), bias.data(), scale.data(), narrow, c.data(),
               stride, result.zero, result.lo, result.hi});
    each(test, c, stride, [&](size_t r, size_t j) {
      return result(product(static_cast<float>(sum(pointers, rows, r, j) + bias[j]), scale[j]));
    });
  }

  void run_f32(size_t rows, size_t gap) {
    Case test("%s gemm_i8_f32 rows=%zu taps=%zu k=%zu n=%zu gap=%zu narrow=%d", k.tier, rows, taps, depth, n, gap,
              narrow);
    const std::vector<const int8_t*> pointers = inputs(rows);
    const size_t stride = n + gap;
    Guarded<float> c((rows - 1) * stride + n);
    k.gemm_i8_f32({pointers.data(), rows, rows, taps, depth, n, packed.data(), scale.data(), offset.data(), narrow,
                   c.data(), stride, -300.f, 300.f});
    each(test, c, stride, [&](size_t r, size_t j) {
      const float y = product(static_cast<float>(sum(pointers, rows, r, j)), scale[j]) + offset[j];
      return std::fmin(std::fmax(y, -300.f), 300.f);
    });
  }

 private:
  std::vector<const int8_t*> inputs(size_t rows) {
    rows_ = std::make_unique<Rows>(std::min<size_t>(taps * rows, 12), depth);
    return rows_->pick(taps * rows);
  }

  template <class T, class Expected>
  void each(Case& test, Guarded<T>& c, size_t stride, const Expected& expected) {
    for (size_t i = 0; i < c.size(); ++i) {
      const size_t r = i / stride, j = i % stride;
      if (j >= n) {
        test.expect(c.untouched(i), "wrote behind row %zu", r);
        continue;
      }
      const auto e = expected(r, j);
      test.expect(c[i] == e, "c[%zu][%zu] = %g, expected %g", r, j, static_cast<double>(c[i]), static_cast<double>(e));
    }
    test.expect(c.intact(), "wrote in front of the buffer");
  }

  std::unique_ptr<Rows> rows_;
};

template <class Run>
void over_gemms(const Kernels& k, Run run) {
  size_t turn = 0;
  for (const size_t taps : {1, 2, 9}) {
    for (const size_t depth : {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 19, 31, 33, 64, 65, 130, 192, 260}) {
      for (size_t n = 1; n <= 40; n += n < 18 ? 1 : 5) {
        Gemm gemm(k, taps, depth, n, turn % 2 == 0);
        for (size_t rows = 1; rows <= k.gemm_i8_mr; rows += taps == 1 ? 1 : 1 + turn % 3) run(gemm, rows, turn++);
      }
    }
  }
}

void check_depthwise(const Kernels& k, size_t taps, size_t step, size_t channels, size_t count, size_t gap,
                     const Result& result) {
  Case test("%s depthwise_i8 taps=%zu step=%zu channels=%zu count=%zu gap=%zu zero=%d", k.tier, taps, step, channels,
            count, gap, result.zero);
  const Rows inputs(7, channels);
  const std::vector<const int8_t*> x = inputs.pick((count - 1) * step + taps);
  std::vector<int8_t> w(channels * taps);  // the taps of a channel together
  fill_bytes(w);
  const size_t used = std::max(channels, k.depthwise_i8_lanes);
  Guarded<int8_t> packed(packed_depthwise_i8_bytes(k, taps, channels));
  pack_depthwise_i8(k, w.data(), 1, taps, taps, channels, packed.data());
  Guarded<int32_t> bias(used);
  for (int32_t& b : bias) b = random_int(-5000, 5000);
  Guarded<float> scale(used);
  for (float& s : scale) s = 1.f / static_cast<float>(random_int(64, 2048));
  const size_t stride = channels + gap;
  Guarded<int8_t> y((count - 1) * stride + channels);
  k.depthwise_i8({packed.data(), bias.data(), scale.data(), x.data(), step, taps, channels, count, y.data(), stride,
                  result.zero, result.lo, result.hi});
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t pixel = i / stride, c = i % stride;
    if (c >= channels) {
      test.expect(y.untouched(i), "wrote behind pixel %zu", pixel);
      continue;
    }
    int32_t sum = bias[c];
    for (size_t t = 0; t < taps; ++t) sum += x[pixel * step + t][c] * w[c * taps + t];
    const int expected = result(product(static_cast<float>(sum), scale[c]));
    test.expect(y[i] == expected, "y[%zu][%zu] = %d, expected %d", pixel, c, y[i], expected);
  }
  test.expect(y.intact(), "wrote in front of the buffer");
}

// z = f(x, y) for every pair of values, in pieces of odd lengths.
template <class Kernel, class Expected>
void check_binary(const Kernels& k, const char* name, Kernel kernel, const BinaryI8& b, const Expected& expected) {
  Case test("%s %s x_zero=%d y_zero=%d x_scale=%g", k.tier, name, b.x_zero, b.y_zero, static_cast<double>(b.x_scale));
  for (int first = -128; first < 128; ++first) {
    const size_t n = 1 + static_cast<size_t>(first + 128) % 67;
    Guarded<int8_t> x(n), y(n), z(n);
    std::fill(x.begin(), x.end(), static_cast<int8_t>(first));
    fill_bytes(y);
    kernel(x.data(), y.data(), z.data(), n, b);
    for (size_t i = 0; i < n; ++i) {
      const int e = expected(static_cast<float>(x[i] - b.x_zero), static_cast<float>(y[i] - b.y_zero));
      test.expect(z[i] == e, "f(%d, %d) = %d, expected %d", x[i], y[i], z[i], e);
    }
    test.expect(z.intact(), "wrote in front of the buffer");
  }
}

constexpr BinaryI8 kBinaries[] = {{0, 0, 1.f, 1.f, 0, -128, 127},
                                  {-128, 3, 0.25f, 0.5f, -128, -128, 127},
                                  {7, -9, 0.013f, -1.7f, 5, 5, 100},
                                  {127, -128, 0.0017f, 0.9f, -30, -128, 127}};

}  // namespace

void test_gemm_i8(const Kernels& k) {
  over_gemms(k, [](Gemm& gemm, size_t rows, size_t turn) { gemm.run(rows, turn % 3, kResults[turn % 5]); });
}

void test_gemm_i8_f32(const Kernels& k) {
  over_gemms(k, [](Gemm& gemm, size_t rows, size_t turn) { gemm.run_f32(rows, turn % 3); });
}

void test_depthwise_i8(const Kernels& k) {
  size_t turn = 0;
  for (const size_t taps : {1, 2, 3, 9, 25}) {
    for (size_t channels = 1; channels <= 67; channels += channels < 37 ? 1 : 6, ++turn) {
      check_depthwise(k, taps, 1 + turn % taps, channels, 1 + turn % 11, turn % 3, kResults[turn % 5]);
      // Windows whose columns are shared.
      const size_t step = depthwise_i8_column(taps) * (1 + turn % 2);
      if (taps >= 9) check_depthwise(k, taps, step, channels, 1 + turn % 11, turn % 3, kResults[turn % 5]);
    }
  }
}

void test_max_pool_i8(const Kernels& k) {
  for (size_t channels = 1; channels < 140; channels += 1 + channels / 7) {
    const size_t taps = 1 + channels % 10;
    const Result result = kResults[channels % 5];
    Case test("%s max_pool_i8 channels=%zu taps=%zu", k.tier, channels, taps);
    const size_t first = channels % 3;
    const Rows inputs(taps, first + channels);
    const std::vector<const int8_t*> x = inputs.pick(taps);
    Guarded<int8_t> y(channels);
    k.max_pool_i8({x.data(), taps, first, channels}, y.data(), result.lo, result.hi);
    for (size_t c = 0; c < channels; ++c) {
      int best = -128;
      for (const int8_t* tap : x) best = std::max<int>(best, tap[first + c]);
      best = std::min(std::max(best, result.lo), result.hi);
      test.expect(y[c] == best, "y[%zu] = %d, expected %d", c, y[c], best);
    }
    test.expect(y.intact(), "wrote in front of the buffer");
  }
}

void test_sum_pool_i8(const Kernels& k) {
  for (size_t channels = 1; channels < 140; channels += 1 + channels / 7) {
    const size_t taps = 1 + channels % 50;
    Case test("%s sum_pool_i8 channels=%zu taps=%zu", k.tier, channels, taps);
    const size_t first = channels % 3;
    const Rows inputs(5, first + channels);
    const std::vector<const int8_t*> x = inputs.pick(taps);
    Guarded<int32_t> y(channels);
    k.sum_pool_i8({x.data(), taps, first, channels}, y.data());
    for (size_t c = 0; c < channels; ++c) {
      int32_t sum = 0;
      for (const int8_t* tap : x) sum += tap[first + c];
      test.expect(y[c] == sum, "y[%zu] = %d, expected %d", c, y[c], sum);
    }
    test.expect(y.intact(), "wrote in front of the buffer");
  }
}

void test_quantize_i8(const Kernels& k) {
  for (const Result& result : kResults) {
    for (const float scale : {1.f, 0.5f, 0.0173f, 3.1f}) {
      if (result.lo != -128 || result.hi != 127) continue;
      Case test("%s quantize_i8 scale=%g zero=%d", k.tier, static_cast<double>(scale), result.zero);
      Guarded<float> x(1003);
      fill_uniform(x, -300.f * scale, 300.f * scale);
      const float special[] = {0.f,    -0.f,         INFINITY,     -INFINITY,    3e38f,
                               -3e38f, 0.5f * scale, 1.5f * scale, -2.5f * scale};
      std::copy(std::begin(special), std::end(special), x.begin() + 500);
      x[600] = NAN;
      Guarded<int8_t> y(x.size());
      k.quantize_i8(x.data(), y.data(), x.size(), scale, result.zero);
      for (size_t i = 0; i < x.size(); ++i) {
        const int e = std::isnan(x[i]) ? result.zero : result(x[i] / scale);
        test.expect(y[i] == e, "%g gives %d, expected %d", static_cast<double>(x[i]), y[i], e);
      }
      test.expect(y.intact(), "wrote in front of the buffer");
    }
  }
}

void test_dequantize_i8(const Kernels& k) {
  for (const int32_t zero : {0, -128, 127, 40000}) {
    Case test("%s dequantize_i8 zero=%d", k.tier, zero);
    Guarded<int8_t> x(259);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int8_t>(i);
    Guarded<float> y(x.size());
    k.dequantize_i8(x.data(), y.data(), x.size(), 0.0173f, zero);
    for (size_t i = 0; i < x.size(); ++i) {
      const float e = product(static_cast<float>(x[i] - zero), 0.0173f);
      test.expect(y[i] == e, "%d gives %g, expected %g", x[i], static_cast<double>(y[i]), static_cast<double>(e));
    }
    test.expect(y.intact(), "wrote in front of the buffer");
  }
}

void test_look_up_u8(const Kernels& k) {
  uint8_t table[256];
  for (uint8_t& entry : table) entry = static_cast<uint8_t>(random_int(0, 255));
  for (const size_t n : {1, 3, 15, 16, 31, 32, 33, 63, 64, 65, 300}) {
    Case test("%s look_up_u8 n=%zu", k.tier, n);
    Guarded<uint8_t> x(n), y(n);
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<uint8_t>(n == 300 ? i : random_int(0, 255));
    k.look_up_u8(x.data(), y.data(), n, table);
    for (size_t i = 0; i < n; ++i) test.expect(y[i] == table[x[i]], "%d gives %d, not %d", x[i], y[i], table[x[i]]);
    test.expect(y.intact(), "wrote in front of the buffer");
    k.look_up_u8(x.data(), x.data(), n, table);  // in place
    test.expect(std::equal(x.begin(), x.end(), y.begin()), "in place gives something else");
  }
}

void test_add_i8(const Kernels& k) {
  for (const BinaryI8& b : kBinaries) {
    const Result result{b.zero, b.lo, b.hi};
    check_binary(k, "add_i8", k.add_i8, b, [&](float x, float y) {
      const volatile float sum = product(x, b.x_scale) + product(y, b.y_scale);
      return result(sum);
    });
  }
}

void test_mul_i8(const Kernels& k) {
  for (const BinaryI8& b : kBinaries) {
    const Result result{b.zero, b.lo, b.hi};
    check_binary(k, "mul_i8", k.mul_i8, b, [&](float x, float y) { return result(product(x * y, b.x_scale)); });
  }
}

}  // namespace lr::test
