// The table of float16 kernels, and those of one line.
#include "half.h"

#include "simd/simd.h"
#include "tile.h"

#if LR_IS_HALF

namespace lr {
namespace LR_TIER {

void gemm_f16(const Gemm<half>& g);
void depthwise_f16(const Depthwise<half>& d);

static void add_f16(const half* x, const half* y, half* z, size_t n) {
  map2(x, y, z, n, [](vf a, vf b) { return a + b; });
}

static void clamp_f16(const half* x, half* y, size_t n, float low, float high) {
  const vf lo = splat(low), hi = splat(high);
  map(x, y, n, [=](vf v) { return clamp(v, lo, hi); });
}

extern const HalfKernels table;
const HalfKernels table = {kLanes, kGemmRows, kGemmColumns, gemm_f16, depthwise_f16, add_f16, clamp_f16};

}  // namespace LR_TIER
}  // namespace lr

#endif
