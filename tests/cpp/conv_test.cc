// GEMM, depthwise and pooling kernels. With small integers every sum is exact, so results must be equal.
#include <cmath>
#include <memory>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

// `count` rows of `length` floats, each ending at an inaccessible page.
class Rows {
 public:
  Rows(size_t count, size_t length) {
    for (size_t i = 0; i < count; ++i) {
      rows_.push_back(std::make_unique<Guarded<float>>(length));
      fill_integers(*rows_.back());
    }
  }
  const float* operator[](size_t i) const { return rows_[i]->data(); }
  float* row(size_t i) { return rows_[i]->data(); }
  size_t count() const { return rows_.size(); }
  // `n` pointers to rows in random order.
  std::vector<const float*> pick(size_t n) const {
    std::vector<const float*> pointers(n);
    for (const float*& p : pointers) p = (*this)[generator()() % count()];
    return pointers;
  }

 private:
  std::vector<std::unique_ptr<Guarded<float>>> rows_;
};

float clip(double x, float lo, float hi) { return static_cast<float>(std::fmin(std::fmax(x, lo), hi)); }

struct Range {
  float lo, hi;
};
constexpr Range kRanges[] = {{-INFINITY, INFINITY}, {0, INFINITY}, {0, 6}, {-20, 20}};

struct Gemm {
  const Kernels& k;
  size_t taps, depth, n;
  bool with_bias;
  std::vector<float> w, bias;
  Guarded<float> packed;

  Gemm(const Kernels& kernels, size_t taps_, size_t depth_, size_t n_, bool with_bias_)
      : k(kernels),
        taps(taps_),
        depth(depth_),
        n(n_),
        with_bias(with_bias_),
        w(taps * depth * n),
        bias(n, 0.f),
        packed((n + k.gemm_nr - 1) / k.gemm_nr * k.gemm_nr * (1 + taps * depth)) {
    fill_integers(w);
    if (with_bias) fill_integers(bias);
    pack_gemm_f32(k, w.data(), depth * n, n, 1, with_bias ? bias.data() : nullptr, taps, depth, n, packed.data());
  }

  void run(size_t rows, size_t gap, Range range) {
    Case test("%s gemm rows=%zu taps=%zu k=%zu n=%zu gap=%zu lo=%g hi=%g", k.tier, rows, taps, depth, n, gap, range.lo,
              range.hi);
    const Rows inputs(std::min<size_t>(taps * rows, 12), depth);
    const std::vector<const float*> a = inputs.pick(taps * rows);
    const size_t stride = n + gap;
    Guarded<float> c((rows - 1) * stride + n);
    k.gemm_f32({a.data(), rows, taps, depth, n, packed.data(), c.data(), stride, range.lo, range.hi});
    for (size_t i = 0; i < c.size(); ++i) {
      const size_t r = i / stride, j = i % stride;
      if (j >= n) {
        test.expect(c.untouched(i), "wrote behind row %zu", r);
        continue;
      }
      double sum = bias[j];
      for (size_t t = 0; t < taps; ++t) {
        for (size_t d = 0; d < depth; ++d) sum += static_cast<double>(a[t * rows + r][d]) * w[(t * depth + d) * n + j];
      }
      test.expect(c[i] == clip(sum, range.lo, range.hi), "c[%zu][%zu] = %g, expected %g", r, j, c[i], sum);
    }
    test.expect(c.intact(), "wrote in front of the buffer");
  }
};

// taps and step of common convolutions (columns of a 3x3 or 5x5 window may be shared), and odd ones.
struct Window {
  size_t taps, step;
};
constexpr Window kWindows[] = {{1, 1}, {2, 2}, {3, 1},  {4, 4},   {7, 3}, {9, 3},
                               {9, 6}, {9, 9}, {25, 5}, {25, 10}, {49, 7}};

using DepthwiseKernel = void (*)(const DepthwiseF32& d);

void check_depthwise(const Kernels& k, DepthwiseKernel kernel, Window window, size_t channels, size_t count, size_t gap,
                     Range range) {
  Case test("%s depthwise taps=%zu step=%zu channels=%zu count=%zu gap=%zu lo=%g hi=%g", k.tier, window.taps,
            window.step, channels, count, gap, range.lo, range.hi);
  const Rows inputs(7, channels);
  const std::vector<const float*> x = inputs.pick((count - 1) * window.step + window.taps);
  // Weights as a model stores them: the taps of a channel together.
  std::vector<float> w(channels * window.taps), bias(channels, 0.f);
  fill_integers(w);
  if (count % 2 == 0) fill_integers(bias);
  Guarded<float> packed((channels + k.lanes - 1) / k.lanes * k.lanes * (1 + window.taps));
  pack_depthwise_f32(k, w.data(), 1, window.taps, count % 2 == 0 ? bias.data() : nullptr, window.taps, channels,
                     packed.data());
  const size_t stride = channels + gap;
  Guarded<float> y((count - 1) * stride + channels);
  kernel({packed.data(), x.data(), window.step, window.taps, channels, count, y.data(), stride, range.lo, range.hi});
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t pixel = i / stride, c = i % stride;
    if (c >= channels) {
      test.expect(y.untouched(i), "wrote behind pixel %zu", pixel);
      continue;
    }
    double sum = bias[c];
    for (size_t t = 0; t < window.taps; ++t) {
      sum += static_cast<double>(x[pixel * window.step + t][c]) * w[c * window.taps + t];
    }
    test.expect(y[i] == clip(sum, range.lo, range.hi), "y[%zu][%zu] = %g, expected %g", pixel, c, y[i], sum);
  }
  test.expect(y.intact(), "wrote in front of the buffer");
}

void check_pool(const Kernels& k, bool average, Window window, size_t channels, size_t count, size_t gap, Range range) {
  Case test("%s %s_pool taps=%zu step=%zu channels=%zu count=%zu gap=%zu lo=%g hi=%g", k.tier, average ? "avg" : "max",
            window.taps, window.step, channels, count, gap, range.lo, range.hi);
  const Rows inputs(7, channels);
  const std::vector<const float*> x = inputs.pick((count - 1) * window.step + window.taps);
  Guarded<float> scale(count);
  fill_integers(scale);
  const size_t stride = channels + gap;
  Guarded<float> y((count - 1) * stride + channels);
  const size_t begin = gap == 1 && channels >= 2 * k.lanes ? k.lanes : 0;
  const PoolF32 pool = {x.data(), window.step, window.taps, channels, count, average ? scale.data() : nullptr,
                        y.data(), stride,      range.lo,    range.hi, begin};
  (average ? k.avg_pool_f32 : k.max_pool_f32)(pool);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t pixel = i / stride, c = i % stride;
    if (c < begin || c >= channels) {
      test.expect(y.untouched(i), "wrote beside the channels of pixel %zu", pixel);
      continue;
    }
    double total = average ? 0 : -INFINITY;
    for (size_t t = 0; t < window.taps; ++t) {
      const double v = x[pixel * window.step + t][c];
      total = average ? total + v : std::fmax(total, v);
    }
    if (average) total *= scale[pixel];
    test.expect(y[i] == clip(total, range.lo, range.hi), "y[%zu][%zu] = %g, expected %g", pixel, c, y[i], total);
  }
  test.expect(y.intact(), "wrote in front of the buffer");
}

template <class Check>
void over_windows(Check check) {
  size_t turn = 0;
  for (const Window window : kWindows) {
    for (size_t channels = 1; channels <= 37; ++channels) {
      const size_t count = 1 + (channels * 5 + window.taps) % 11;
      check(window, channels, count, turn % 3, kRanges[turn % 4]);
      ++turn;
    }
    for (size_t count = 1; count <= 20; ++count) check(window, 16 + count % 2, count, 0, kRanges[0]);
  }
}

}  // namespace

void test_gemm_f32(const Kernels& k) {
  size_t turn = 0;
  for (const size_t taps : {1, 3, 9}) {
    for (const size_t depth : {1, 2, 3, 4, 5, 7, 8, 9, 16, 19, 33}) {
      for (size_t n = 1; n <= 40; n += n < 20 ? 1 : 3) {
        Gemm gemm(k, taps, depth, n, turn % 5 != 0);
        for (size_t rows = 1; rows <= k.gemm_mr; rows += taps == 1 ? 1 : 1 + turn % 3) {
          gemm.run(rows, turn % 3, kRanges[turn % 4]);
          ++turn;
        }
      }
    }
  }
}

void test_depthwise_f32(const Kernels& k) {
  over_windows([&](Window window, size_t channels, size_t count, size_t gap, Range range) {
    check_depthwise(k, k.depthwise_f32, window, channels, count, gap, range);
  });
}

void test_depthwise_5x5_f32(const Kernels& k) {
  over_windows([&](Window window, size_t channels, size_t count, size_t gap, Range range) {
    if (window.taps == 25) check_depthwise(k, k.depthwise_5x5_f32, window, channels, count, gap, range);
  });
}

void test_avg_pool_f32(const Kernels& k) {
  over_windows([&](Window window, size_t channels, size_t count, size_t gap, Range range) {
    check_pool(k, true, window, channels, count, gap, range);
  });
}

void test_max_pool_f32(const Kernels& k) {
  over_windows([&](Window window, size_t channels, size_t count, size_t gap, Range range) {
    check_pool(k, false, window, channels, count, gap, range);
  });
  for (size_t tap = 0; tap < 4; ++tap) {
    Case test("%s max_pool with NaN in tap %zu", k.tier, tap);
    Rows inputs(4, 11);
    inputs.row(tap)[10] = NAN;
    const float* x[] = {inputs[0], inputs[1], inputs[2], inputs[3]};
    float y[11];
    k.max_pool_f32({x, 4, 4, 11, 1, nullptr, y, 11, -INFINITY, INFINITY});
    test.expect(std::isnan(y[10]) && !std::isnan(y[9]), "y = %g, %g", y[9], y[10]);
  }
}

}  // namespace lr::test
