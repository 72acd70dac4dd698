// Reductions of one row, and the row functions built on them.
//
// Sums: four vector accumulators over at most kChunk values, chunks added in double; the relative error
// is that of adding 64 floats one after another, whatever n is.
#include "simd/math.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

constexpr size_t kChunk = 4 * kLanes * 64;

// Several sums over i < n, in chunks. blocks(i, acc) adds to acc[j] the terms of the j-th of four vectors from i on,
// full(i, acc) those of one vector, part(i, left, acc) those of the last values, with zeros in the missing lanes.
template <size_t kSums>
using Sums = vf[kSums];
template <size_t kSums, class Blocks, class Full, class Part>
LR_INLINE void sum_terms(size_t n, double (&totals)[kSums], Blocks blocks, Full full, Part part) {
  LR_UNROLL
  for (size_t k = 0; k < kSums; ++k) totals[k] = 0;
  for (size_t begin = 0; begin < n; begin += kChunk) {
    const size_t end = n - begin < kChunk ? n : begin + kChunk;
    Sums<kSums> acc[4];
    LR_UNROLL
    for (size_t j = 0; j < 4; ++j) {
      LR_UNROLL
      for (size_t k = 0; k < kSums; ++k) acc[j][k] = splat(0.f);
    }
    size_t i = begin;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) blocks(i, acc);
    for (; i + kLanes <= end; i += kLanes) full(i, acc[0]);
    if (i < end) part(i, end - i, acc[1]);
    LR_UNROLL
    for (size_t k = 0; k < kSums; ++k) {
      totals[k] += hsum((acc[0][k] + acc[1][k]) + (acc[2][k] + acc[3][k]));
    }
  }
}

// One sum of terms that full and part give.
template <class Full, class Part>
LR_INLINE double sum_terms(size_t n, Full full, Part part) {
  double total[1];
  sum_terms(
      n, total,
      [=](size_t i, Sums<1>(&acc)[4]) {
        LR_UNROLL
        for (size_t j = 0; j < 4; ++j) acc[j][0] = full(i + j * kLanes, acc[j][0]);
      },
      [=](size_t i, Sums<1>& acc) { acc[0] = full(i, acc[0]); },
      [=](size_t i, size_t left, Sums<1>& acc) { acc[0] = part(i, left, acc[0]); });
  return total[0];
}

// Sums of terms of x that add(x, acc) adds; missing lanes are zero, whose terms must be 0.
template <size_t kSums, class Add>
LR_INLINE void sums_of(const float* x, size_t n, double (&totals)[kSums], Add add) {
  sum_terms(
      n, totals,
      [=](size_t i, Sums<kSums>(&acc)[4]) {
        LR_UNROLL
        for (size_t j = 0; j < 4; j += kAtOnce) {
          vf v[kAtOnce];
          load_all(x + i + j * kLanes, v);
          LR_UNROLL
          for (size_t b = 0; b < kAtOnce; ++b) add(v[b], acc[j + b]);
        }
      },
      [=](size_t i, Sums<kSums>& acc) { add(load(x + i), acc); },
      [=](size_t i, size_t left, Sums<kSums>& acc) { add(load_part(x + i, left), acc); });
}
template <class Add>
LR_INLINE double sum_of(const float* x, size_t n, Add add) {
  double total[1];
  sums_of(x, n, total, [=](vf v, Sums<1>& acc) { acc[0] = add(v, acc[0]); });
  return total[0];
}

// y[i] = f(x[i]) for i < n, and the sums of their terms that add(y, acc) adds; y may equal x.
template <size_t kSums, class F, class Add>
LR_INLINE void map_sums(const float* x, float* y, size_t n, double (&totals)[kSums], F f, Add add) {
  sum_terms(
      n, totals,
      [=](size_t i, Sums<kSums>(&acc)[4]) {
        LR_UNROLL
        for (size_t j = 0; j < 4; j += kAtOnce) {
          vf v[kAtOnce];
          load_all(x + i + j * kLanes, v);
          LR_UNROLL
          for (size_t b = 0; b < kAtOnce; ++b) v[b] = f(v[b]);
          store_all(y + i + j * kLanes, v);
          LR_UNROLL
          for (size_t b = 0; b < kAtOnce; ++b) add(v[b], acc[j + b]);
        }
      },
      [=](size_t i, Sums<kSums>& acc) {
        const vf v = f(load(x + i));
        store(y + i, v);
        add(v, acc);
      },
      [=](size_t i, size_t left, Sums<kSums>& acc) {
        store_part(y + i, f(load_part(x + i, left)), left);
        add(load_part(y + i, left), acc);
      });
}

float reduce_sum(const float* x, size_t n) {
  return static_cast<float>(sum_of(x, n, [](vf v, vf acc) { return acc + v; }));
}
float reduce_sum_square(const float* x, size_t n) {
  return static_cast<float>(sum_of(x, n, [](vf v, vf acc) { return fma(v, v, acc); }));
}
float reduce_sum_abs(const float* x, size_t n) {
  return static_cast<float>(sum_of(x, n, [](vf v, vf acc) { return acc + abs(v); }));
}

float dot_f32(const float* x, const float* y, size_t n) {
  return static_cast<float>(sum_terms(
      n, [=](size_t i, vf acc) { return fma(load(x + i), load(y + i), acc); },
      [=](size_t i, size_t left, vf acc) { return fma(load_part(x + i, left), load_part(y + i, left), acc); }));
}

// The value pick(a, b) leaves of n; NaN if there is one; `none` for n = 0.
template <class Pick, class Across>
LR_INLINE float extremum(const float* x, size_t n, float none, Pick pick, Across across) {
  vf acc[2] = {splat(none), splat(none)};
  vi nan = splat_i(0);
  size_t i = 0;
#if defined(LR_NAN_LIMITS)
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    vf v[4];
    load_all(x + i, v);
    LR_UNROLL
    for (size_t j = 0; j < 4; ++j) acc[j % 2] = pick(v[j], acc[j % 2]);
  }
#else
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const vf a = load(x + i), b = load(x + i + kLanes);
    acc[0] = pick(a, acc[0]);
    acc[1] = pick(b, acc[1]);
    nan = nan | is_nan(a) | is_nan(b);
  }
#endif
  for (; i < n; i += kLanes) {
    vf v = splat(0.f);
    if (n - i >= kLanes) {
      v = load(x + i);
    } else if (n >= kLanes) {
      v = load(x + n - kLanes);
    } else {
      float padded[kLanes];
      for (size_t j = 0; j < kLanes; ++j) padded[j] = j < n ? x[j] : none;
      v = load(padded);
    }
    acc[0] = pick(v, acc[0]);
    nan = nan | is_nan(v);
  }
#if defined(LR_NAN_LIMITS)
  nan = nan | is_nan(acc[0]) | is_nan(acc[1]);
#endif
  return any(nan) ? NAN : across(pick(acc[0], acc[1]));
}

float reduce_max(const float* x, size_t n) {
  return extremum(
      x, n, -INFINITY, [](vf a, vf b) { return max(a, b); }, [](vf v) { return hmax(v); });
}
float reduce_min(const float* x, size_t n) {
  return extremum(
      x, n, INFINITY, [](vf a, vf b) { return min(a, b); }, [](vf v) { return hmin(v); });
}

void softmax_f32(const float* x, float* y, size_t n) {
  const vf top = splat(reduce_max(x, n));
  double sum[1];
  map_sums(
      x, y, n, sum, [=](vf v) { return exp_nonpositive(v - top); }, [](vf e, Sums<1>& acc) { acc[0] = acc[0] + e; });
  const vf scale = splat(static_cast<float>(1. / sum[0]));
  map_light(y, y, n, [=](vf v) { return v * scale; });
}

void log_softmax_f32(const float* x, float* y, size_t n) {
  const float top = reduce_max(x, n);
  const vf vtop = splat(top);
  const double sum = sum_terms(
      n, [=](size_t i, vf acc) { return acc + exp_nonpositive(load(x + i) - vtop); },
      [=](size_t i, size_t left, vf acc) {
        // Missing lanes must add nothing: they are moved to where the exponential is 0.
        float padded[kLanes];
        LR_UNROLL
        for (size_t j = 0; j < kLanes; ++j) padded[j] = j < left ? x[i + j] - top : -INFINITY;
        return acc + exp_nonpositive(load(padded));
      });
  const vf log_sum = splat(logf(static_cast<float>(sum)));
  map(x, y, n, [=](vf v) { return (v - vtop) - log_sum; });
}

// Two passes over the centred row. The mean is kept as the sum of two floats, so that a large mean
// costs no accuracy.
void layer_norm_f32(const float* x, const float* gamma, const float* beta, float epsilon, float* y, size_t n) {
  if (n == 0) return;
  const double mean = sum_of(x, n, [](vf v, vf acc) { return acc + v; }) / static_cast<double>(n);
  const float high = static_cast<float>(mean);
  const vf mean_high = splat(high), mean_low = splat(static_cast<float>(mean - high));

  // Centred, with the sums of what that gives and of its squares.
  double sums[2];
  map_sums(
      x, y, n, sums, [=](vf v) { return (v - mean_high) - mean_low; },
      [](vf v, Sums<2>& acc) {
        acc[0] = acc[0] + v;
        acc[1] = fma(v, v, acc[1]);
      });
  const double rows = static_cast<double>(n), rest = sums[0] / rows, variance = sums[1] / rows - rest * rest;
  const double positive = variance > 0 ? variance : variance != variance ? variance : 0.0;
  const vf scale = splat(static_cast<float>(1.0 / __builtin_sqrt(positive + static_cast<double>(epsilon))));
  const vf shift = splat(static_cast<float>(rest));

  if (gamma != nullptr && beta != nullptr) {
    return map3(y, gamma, beta, y, n, [=](vf v, vf g, vf b) { return (v - shift) * scale * g + b; });
  }
  map(y, y, n, [=](vf v) { return (v - shift) * scale; });
  if (gamma != nullptr) map2(y, gamma, y, n, [](vf v, vf g) { return v * g; });
  if (beta != nullptr) map2(y, beta, y, n, [](vf v, vf b) { return v + b; });
}

}  // namespace LR_TIER
}  // namespace lr
