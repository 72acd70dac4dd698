// Weights kept as small integers: expanded, and multiplied with one row.
#include <algorithm>
#include <cmath>
#include <limits>
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
        packed(panel_q_bytes(depth, block, bits, offsets, k.gemm_nr, k.quads)),
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
      const size_t filled = (n + group_q(k.quads) - 1) / group_q(k.quads) * group_q(k.quads);
      for (size_t i = 0; i < filled; ++i) {
        for (size_t j = 0; j < nr; ++j) {
          const int q = value(generator());
          put(at, i, j, q);
          if (i < n) w[(start + i) * nr + j] = static_cast<double>(q) * scale[j] + offset[j];
        }
      }
      at += filled * nr * static_cast<size_t>(bits) / 8;
    }
  }

  // Value i of column j in a block's integers.
  void put(uint8_t* at, size_t i, size_t j, int q) const {
    const size_t run = k.quads ? 4 : 1, in_byte = bits() == 8 ? 1 : 2;  // values of k side by side
    const size_t half = i / run % in_byte;
    uint8_t& byte = at[i / (run * in_byte) * run * k.gemm_nr + j * run + i % run];
    if (in_byte == 1) {
      byte = static_cast<uint8_t>(q);
    } else {
      byte = static_cast<uint8_t>(half != 0 ? (byte & 15) | (q & 15) << 4 : (k.quads ? q + 8 : q) & 15);
    }
  }
  int bits() const { return p.bits; }
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

// A row with its sums, and its digits where it has them.
struct Row {
  const Panel& panel;
  Guarded<float> a, digits, y;
  std::vector<float> sums;
  bool split = false;

  explicit Row(const Panel& of)
      : panel(of), a(of.p.k), digits(row_q_floats(of.p.k, of.p.block, of.k.quads)), y(of.k.gemm_nr) {
    fill_uniform(a, -2.f, 2.f);
  }
  void multiply() {
    const PanelQ& p = panel.p;
    sums.clear();
    for (size_t i = 0; i < p.k; ++i) {
      if (i % p.block == 0) sums.push_back(0.f);
      sums.back() += a[i];
    }
    split = panel.k.split_row_q(p, a.data(), digits.data());
    panel.k.multiply_row_q(p, {a.data(), p.offsets ? sums.data() : nullptr, split ? digits.data() : nullptr}, y.data());
  }
  // Digits hold a value to 1.6e-5 of the greatest one of its part, floats to their last place.
  void expect_product(Case& test, const char* values) {
    multiply();
    float greatest = 0;
    for (const float x : a) greatest = std::max(greatest, std::fabs(x));
    for (size_t j = 0; j < y.size(); ++j) {
      double sum = 0, scale = 0, weights = 0;
      for (size_t i = 0; i < panel.p.k; ++i) {
        const double w = panel.w[i * y.size() + j];
        sum += static_cast<double>(a[i]) * w;
        scale += std::fabs(a[i]) * 15;  // an integer times its scale, and an offset
        weights += std::fabs(w);
      }
      const double error = 1e-6 * scale + (split ? 1.6e-5 * static_cast<double>(greatest) * weights : 0);
      test.expect(std::fabs(y[j] - sum) <= error, "%s: y[%zu] = %g, expected %g", values, j, static_cast<double>(y[j]),
                  sum);
    }
    test.expect(y.intact() && digits.intact(), "wrote in front of the buffer");
  }
};

void expect_digits(Case& test, const Row& row, size_t from, size_t n, const char* at) {
  PartQ part;
  memcpy(&part, at, sizeof part);
  const auto* digits = reinterpret_cast<const int8_t*>(at + sizeof part);
  float greatest = 0;
  for (size_t i = 0; i < n; ++i) greatest = std::max(greatest, std::fabs(row.a[from + i]));
  int32_t low = 0;
  for (size_t i = 0; i < (n + kPartStep - 1) / kPartStep * kPartStep; ++i) {
    const int8_t* first = digits + i / kPartStep * 2 * kPartStep + i % kPartStep;
    const int8_t second = first[kPartStep];
    const double x = i < n ? static_cast<double>(row.a[from + i]) : 0;
    const double held = (254 * *first + second) * static_cast<double>(part.scale);
    if (i / 4 % 2 == 0) low += 254 * *first + second;
    test.expect(std::fabs(held - x) <= 1.6e-5 * static_cast<double>(greatest) && *first >= -127 && second >= -127,
                "%g became %d and %d, %g", x, *first, second, held);
  }
  const int32_t start = row.panel.p.bits == 8 ? 0 : -8 * low;
  test.expect(part.start == start, "starts with %d instead of %d", part.start, start);
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

void test_split_row_q(const Kernels& k) {
  over_panels(k, "split_row_q", [&](Case& test, const Panel& panel) {
    Row row(panel);
    row.multiply();
    if (!test.expect(row.split == k.quads, "digits: %d", row.split) || !row.split) return;
    const char* at = reinterpret_cast<const char*>(row.digits.data());
    for (size_t start = 0; start < panel.p.k; start += panel.p.block) {
      const size_t end = std::min(panel.p.k, start + panel.p.block);
      for (size_t from = start; from < end; from += kPart) {
        const size_t n = std::min(kPart, end - from);
        expect_digits(test, row, from, n, at);
        at += part_q_bytes(n);
      }
    }
    test.expect(at == reinterpret_cast<const char*>(row.digits.end()), "takes another size");
  });
}

void test_multiply_row_q(const Kernels& k) {
  over_panels(k, "multiply_row_q", [&](Case& test, const Panel& panel) {
    Row row(panel);
    row.expect_product(test, "around zero");
    for (float& x : row.a) x = x < 0 ? -2.f : 2.f;  // all first digits are the greatest
    row.expect_product(test, "greatest");
    for (float& x : row.a) x = 2.f;
    row.expect_product(test, "equal");
    for (float& x : row.a) x = 0.f;
    row.expect_product(test, "zero");
  });
  // What digits cannot hold.
  over_panels(k, "multiply_row_q of a row without digits", [&](Case& test, const Panel& panel) {
    Row row(panel);
    for (float& x : row.a) x *= 1e-32f;
    row.expect_product(test, "small");
    test.expect(!row.split, "small values have digits");
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const float odd : {kInfinity, -kInfinity, std::nanf("")}) {
      row.a[panel.p.k / 2] = odd;
      row.multiply();
      test.expect(!row.split, "%g has digits", static_cast<double>(odd));
      for (const float y : row.y)
        test.expect(!std::isfinite(y), "%g times weights is %g", static_cast<double>(odd), static_cast<double>(y));
    }
  });
}

}  // namespace lr::test
