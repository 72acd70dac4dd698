// Weights kept as small integers: expanded, and multiplied with one row.
#include <algorithm>
#include <cmath>
#include <vector>

#include "guarded.h"
#include "kernel_test.h"

namespace lr::test {
namespace {

// A panel in the order that kernels.h states, and its weights as doubles.
struct Panel {
  const Kernels& k;
  PanelQ p;
  Guarded<uint8_t> packed;
  std::vector<double> w;  // [k][column]

  Panel(const Kernels& kernels, size_t depth, size_t block, int bits, bool offsets)
      : k(kernels),
        p{nullptr, depth, block, bits, offsets},
        packed(panel_q_bytes(depth, block, bits, offsets, k.gemm_nr)),
        w(depth * k.gemm_nr) {
    p.packed = packed.data();
    uint8_t* at = packed.data();
    std::uniform_int_distribution<int> value(bits == 8 ? -128 : -8, bits == 8 ? 127 : 7);
    const size_t nr = k.gemm_nr;
    for (size_t start = 0; start < depth; start += block) {
      const size_t n = std::min(block, depth - start);
      std::vector<float> scale(nr), offset(nr);
      fill_uniform(scale, -0.1f, 0.1f);
      if (offsets) fill_uniform(offset, -1.f, 1.f);
      at = std::copy_n(reinterpret_cast<const uint8_t*>(scale.data()), nr * sizeof(float), at);
      if (offsets) at = std::copy_n(reinterpret_cast<const uint8_t*>(offset.data()), nr * sizeof(float), at);
      for (size_t i = 0; i < n; i += 2) {
        for (size_t half = 0; half < 2; ++half) {
          for (size_t j = 0; j < nr; ++j) {
            const int q = i + half < n ? value(generator()) : 0;
            if (bits == 8) {
              at[half * nr + j] = static_cast<uint8_t>(q);
            } else {
              at[j] = static_cast<uint8_t>(half == 0 ? q & 15 : at[j] | (q & 15) << 4);
            }
            if (i + half < n) w[(start + i + half) * nr + j] = static_cast<double>(q) * scale[j] + offset[j];
          }
        }
        at += bits == 8 ? 2 * nr : nr;
      }
    }
  }
};

template <class Run>
void over_panels(const Kernels& k, const char* name, Run run) {
  for (const int bits : {8, 4}) {
    for (const size_t depth : {1, 2, 3, 7, 31, 32, 64, 65, 130}) {
      for (const size_t block : {size_t{32}, size_t{5}, depth}) {
        for (const bool offsets : {false, true}) {
          Case test("%s %s bits=%d k=%zu block=%zu offsets=%d", k.tier, name, bits, depth, block, offsets);
          run(test, Panel(k, depth, block, bits, offsets));
        }
      }
    }
  }
}

}  // namespace

void test_expand_q(const Kernels& k) {
  over_panels(k, "expand_q", [&](Case& test, const Panel& panel) {
    Guarded<float> y(panel.w.size());
    k.expand_q(panel.p, y.data());
    for (size_t i = 0; i < y.size(); ++i) {
      test.expect(std::fabs(y[i] - panel.w[i]) <= 2e-6, "w[%zu] = %g, expected %g", i, static_cast<double>(y[i]),
                  panel.w[i]);
    }
    test.expect(y.intact(), "wrote in front of the buffer");
  });
}

void test_multiply_row_q(const Kernels& k) {
  over_panels(k, "multiply_row_q", [&](Case& test, const Panel& panel) {
    Guarded<float> a(panel.p.k), y(k.gemm_nr);
    fill_uniform(a, -2.f, 2.f);
    std::vector<float> sums;
    for (size_t i = 0; i < panel.p.k; ++i) {
      if (i % panel.p.block == 0) sums.push_back(0.f);
      sums.back() += a[i];
    }
    k.multiply_row_q(panel.p, a.data(), panel.p.offsets ? sums.data() : nullptr, y.data());
    for (size_t j = 0; j < y.size(); ++j) {
      double sum = 0, scale = 0;
      for (size_t i = 0; i < panel.p.k; ++i) {
        sum += a[i] * panel.w[i * k.gemm_nr + j];
        scale += std::fabs(a[i]) * 15;  // an integer times its scale, and an offset
      }
      test.expect(std::fabs(y[j] - sum) <= 1e-6 * scale + 1e-6, "y[%zu] = %g, expected %g", j,
                  static_cast<double>(y[j]), sum);
    }
    test.expect(y.intact(), "wrote in front of the buffer");
  });
}

}  // namespace lr::test
