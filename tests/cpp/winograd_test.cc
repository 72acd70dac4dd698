// The Winograd transforms against their matrices. With small integers every sum is exact.
#include <cmath>
#include <memory>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

constexpr int kInput[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                              {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
constexpr int kOutput[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

// Pixels of `channels` floats, each ending at an inaccessible page.
std::vector<std::unique_ptr<Guarded<float>>> make_pixels(size_t count, size_t channels) {
  std::vector<std::unique_ptr<Guarded<float>>> pixels;
  for (size_t i = 0; i < count; ++i) pixels.push_back(std::make_unique<Guarded<float>>(channels));
  return pixels;
}

// Element (i, j) of T d T' at channel c, where T has rows of six; d(p) is value p of 36.
template <class Value>
double transformed(const int (*matrix)[6], int i, int j, const Value& d) {
  double sum = 0;
  for (int p = 0; p < 36; ++p) sum += static_cast<double>(matrix[i][p / 6]) * matrix[j][p % 6] * d(p);
  return sum;
}

}  // namespace

void test_winograd_input_f32(const Kernels& k) {
  for (size_t channels = 1; channels <= 35; ++channels) {
    for (size_t gap : {0, 3}) {
      Case test("%s winograd input channels=%zu gap=%zu", k.tier, channels, gap);
      const auto pixels = make_pixels(36, channels);
      std::vector<const float*> x;
      for (const auto& pixel : pixels) {
        fill_integers(*pixel);
        x.push_back(pixel->data());
      }
      const size_t stride = channels + gap;
      Guarded<float> y(35 * stride + channels);
      k.winograd_input_f32({x.data(), channels, y.data(), stride});
      for (size_t i = 0; i < y.size(); ++i) {
        const size_t point = i / stride, c = i % stride;
        if (c >= channels) {
          test.expect(y.untouched(i), "gap %zu is written", i);
          continue;
        }
        const double want = transformed(kInput, static_cast<int>(point / 6), static_cast<int>(point % 6),
                                        [&](int p) { return x[static_cast<size_t>(p)][c]; });
        test.expect(y[i] == want, "point %zu channel %zu is %g, not %g", point, c, static_cast<double>(y[i]), want);
      }
      test.expect(y.intact(), "memory in front is written");
    }
  }
}

void test_winograd_output_f32(const Kernels& k) {
  for (size_t channels = 1; channels <= 35; ++channels) {
    for (bool with_bias : {false, true}) {
      Case test("%s winograd output channels=%zu bias=%d", k.tier, channels, with_bias);
      const size_t stride = channels + channels % 3;
      Guarded<float> x(35 * stride + channels), bias(channels);
      fill_integers(x);
      fill_integers(bias);
      const auto pixels = make_pixels(16, channels);
      std::vector<float*> y;
      for (size_t i = 0; i < 16; ++i) y.push_back(i % 5 == 3 ? nullptr : pixels[i]->data());
      const float lo = -300, hi = 900;
      k.winograd_output_f32({x.data(), stride, with_bias ? bias.data() : nullptr, channels, y.data(), lo, hi});
      for (size_t i = 0; i < 16; ++i) {
        for (size_t c = 0; c < channels; ++c) {
          if (y[i] == nullptr) {
            test.expect(pixels[i]->untouched(c), "pixel %zu is written", i);
            continue;
          }
          const double sum = transformed(kOutput, static_cast<int>(i / 4), static_cast<int>(i % 4),
                                         [&](int p) { return x[static_cast<size_t>(p) * stride + c]; });
          const double want = std::fmin(std::fmax(sum + (with_bias ? bias[c] : 0), lo), hi);
          test.expect(y[i][c] == want, "pixel %zu channel %zu is %g, not %g", i, c, static_cast<double>(y[i][c]), want);
        }
        test.expect(pixels[i]->intact(), "memory in front is written");
      }
    }
  }
}

}  // namespace lr::test
