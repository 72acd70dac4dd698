// What the tier's multiply-add units can do at most.
#include "simd/simd.h"
#include "table.h"

namespace lr {
namespace LR_TIER {

// Independent sums: enough to hide the latency of the units, few enough for the registers.
#if defined(__aarch64__) || defined(__AVX512F__)
constexpr size_t kSums = 16;
#else
constexpr size_t kSums = 10;
#endif

double multiply_add_f32(size_t rounds) {
  const vf factor = splat(0.999f), term = splat(0.001f);
  vf sums[kSums];
  LR_UNROLL for (size_t i = 0; i < kSums; ++i) sums[i] = splat(static_cast<float>(i));
  for (size_t round = 0; round < rounds; ++round) {
    LR_UNROLL for (size_t i = 0; i < kSums; ++i) sums[i] = fma(sums[i], factor, term);
  }
  vf total = sums[0];
  LR_UNROLL for (size_t i = 1; i < kSums; ++i) total += sums[i];
  volatile float used = hsum(total);
  (void)used;
  return 2.0 * static_cast<double>(kLanes * kSums) * static_cast<double>(rounds);
}

}  // namespace LR_TIER
}  // namespace lr
