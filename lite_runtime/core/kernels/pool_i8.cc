// Pooling of int8: maxima and sums of the taps of one pixel, vectorised over channels.
#include "simd/int8.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// Compilers make vectors of loops over a block of fixed size.
constexpr size_t kBlock = 64;

// body(first channel, channels), which are kBlock or at the end fewer.
template <class Body>
LR_INLINE void each_block(size_t channels, const Body& body) {
  for (size_t c = 0; c < channels; c += kBlock) body(c, channels - c < kBlock ? channels - c : kBlock);
}

LR_INLINE void raise_to(int8_t* __restrict y, const int8_t* __restrict x, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] > y[i] ? x[i] : y[i];
}

void max_pool_i8(const PoolI8& p, int8_t* y, int32_t lo, int32_t hi) {
  const auto least = static_cast<int8_t>(lo), most = static_cast<int8_t>(hi);
  each_block(p.channels, [&](size_t c, size_t n) {
    int8_t best[kBlock];
    for (size_t i = 0; i < kBlock; ++i) best[i] = least;
    for (size_t t = 0; t < p.taps; ++t)
      n == kBlock ? raise_to(best, p.x[t] + p.first + c, kBlock) : raise_to(best, p.x[t] + p.first + c, n);
    for (size_t i = 0; i < kBlock; ++i) best[i] = best[i] < most ? best[i] : most;
    if (n == kBlock) return static_cast<void>(__builtin_memcpy(y + c, best, kBlock));
    for (size_t i = 0; i < n; ++i) y[c + i] = best[i];
  });
}

void sum_pool_i8(const PoolI8& p, int32_t* y) {
  size_t c = 0;
  for (; c + kLanes <= p.channels; c += kLanes) {
    vi sum = load_i8(p.x[0] + p.first + c);
    for (size_t t = 1; t < p.taps; ++t) sum = sum + load_i8(p.x[t] + p.first + c);
    __builtin_memcpy(y + c, &sum, sizeof sum);
  }
  for (; c < p.channels; ++c) {
    int32_t sum = 0;
    for (size_t t = 0; t < p.taps; ++t) sum += p.x[t][p.first + c];
    y[c] = sum;
  }
}

}  // namespace LR_TIER
}  // namespace lr
