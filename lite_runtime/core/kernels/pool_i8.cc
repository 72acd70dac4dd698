// Pooling of int8: maxima and sums of the taps of one pixel, vectorised over channels.
#include "simd/int8.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// kBlock channels from c on. Compilers make vectors of loops of fixed length.
template <size_t kBlock>
LR_INLINE void max_block(const PoolI8& p, size_t c, int8_t* y, int8_t least, int8_t most) {
  int8_t best[kBlock];
  for (size_t i = 0; i < kBlock; ++i) best[i] = least;
  for (size_t t = 0; t < p.taps; ++t) {
    const int8_t* x = p.x[t] + p.first + c;
    for (size_t i = 0; i < kBlock; ++i) best[i] = x[i] > best[i] ? x[i] : best[i];
  }
  for (size_t i = 0; i < kBlock; ++i) best[i] = best[i] < most ? best[i] : most;
  __builtin_memcpy(y + c, best, kBlock);
}

// The last short block overlaps the one before it.
void max_pool_i8(const PoolI8& p, int8_t* y, int32_t lo, int32_t hi) {
  const auto least = static_cast<int8_t>(lo), most = static_cast<int8_t>(hi);
  constexpr size_t kLong = 64, kShort = 16;
  const size_t n = p.channels;
  size_t c = 0;
  for (; c + kLong <= n; c += kLong) max_block<kLong>(p, c, y, least, most);
  for (; n >= kShort && c < n; c += kShort) max_block<kShort>(p, c + kShort <= n ? c : n - kShort, y, least, most);
  for (; c < n; ++c) max_block<1>(p, c, y, least, most);
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
