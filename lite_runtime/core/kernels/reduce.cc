// Reductions of one row, and the row functions built on them.
//
// Sums: four vector accumulators over at most kChunk values, chunks added in double; the relative error
// is that of adding 64 floats one after another, whatever n is.
#include "simd/math.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

constexpr size_t kChunk = 4 * kLanes * 64;

// Sum over i < n of f(full(i)) in chunks; f(i) gives kLanes terms, part(i, left) the last ones with
// zeros in the missing lanes.
template <class Full, class Part>
LR_INLINE double sum_terms(size_t n, Full full, Part part) {
  double total = 0;
  for (size_t begin = 0; begin < n; begin += kChunk) {
    const size_t end = n - begin < kChunk ? n : begin + kChunk;
    vf acc[4] = {splat(0.f), splat(0.f), splat(0.f), splat(0.f)};
    size_t i = begin;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      LR_UNROLL
      for (size_t j = 0; j < 4; ++j) acc[j] = full(i + j * kLanes, acc[j]);
    }
    for (; i + kLanes <= end; i += kLanes) acc[0] = full(i, acc[0]);
    if (i < end) acc[1] = part(i, end - i, acc[1]);
    total += hsum((acc[0] + acc[1]) + (acc[2] + acc[3]));
  }
  return total;
}

// Sum of term(x) added by add(x, acc); missing lanes are zero, so term(0) must be 0.
template <class Add>
LR_INLINE double sum_of(const float* x, size_t n, Add add) {
  return sum_terms(
      n, [=](size_t i, vf acc) { return add(load(x + i), acc); },
      [=](size_t i, size_t left, vf acc) { return add(load_part(x + i, left), acc); });
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
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const vf a = load(x + i), b = load(x + i + kLanes);
    acc[0] = pick(a, acc[0]);
    acc[1] = pick(b, acc[1]);
    nan = nan | is_nan(a) | is_nan(b);
  }
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
  const double sum = sum_terms(
      n,
      [=](size_t i, vf acc) {
        const vf e = exp_nonpositive(load(x + i) - top);
        store(y + i, e);
        return acc + e;
      },
      [=](size_t i, size_t left, vf acc) {
        store_part(y + i, exp_nonpositive(load_part(x + i, left) - top), left);
        return acc + load_part(y + i, left);
      });
  const vf scale = splat(static_cast<float>(1. / sum));
  map(y, y, n, [=](vf v) { return v * scale; });
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
  map(x, y, n, [=](vf v) { return (v - mean_high) - mean_low; });

  const double rows = static_cast<double>(n);
  const double rest = sum_of(y, n, [](vf v, vf acc) { return acc + v; }) / rows;
  const double variance = sum_of(y, n, [](vf v, vf acc) { return fma(v, v, acc); }) / rows - rest * rest;
  const double positive = variance > 0 ? variance : variance != variance ? variance : 0.0;
  const vf scale = splat(static_cast<float>(1.0 / __builtin_sqrt(positive + static_cast<double>(epsilon))));
  const vf shift = splat(static_cast<float>(rest));

  const auto row = [=](size_t i, vf v, auto read) {
    vf r = (v - shift) * scale;
    if (gamma != nullptr) r = r * read(gamma + i);
    if (beta != nullptr) r = r + read(beta + i);
    return r;
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, row(i, load(y + i), [](const float* p) { return load(p); }));
  const size_t left = n - i;
  if (left == 0) return;
  store_part(y + i, row(i, load_part(y + i, left), [=](const float* p) { return load_part(p, left); }), left);
}

}  // namespace LR_TIER
}  // namespace lr
