// The walk over a panel of weights kept as small integers (PanelQ).
#pragma once

#include "kernels.h"
#include "tile.h"

namespace lr {
namespace LR_TIER {

// Values of k whose integers lie together.
#if LR_QUADS
constexpr size_t kTogetherQ = kPartStep;
#else
constexpr size_t kTogetherQ = 2;
#endif
template <int kBits>
constexpr size_t kTogetherBytes = kTogetherQ* kGemmColumns* kBits / 8;

struct Block {
  size_t start, n;              // values of k
  const float *scale, *offset;  // offset may be null
  const int8_t* w;
};

// body(block) for all blocks.
template <int kBits, class Body>
LR_INLINE void each_block(const PanelQ& p, const Body& body) {
  const auto* at = static_cast<const char*>(p.packed);
  for (size_t start = 0; start < p.k; start += p.block) {
    const size_t n = p.k - start < p.block ? p.k - start : p.block;
    const auto* scale = reinterpret_cast<const float*>(at);
    const float* offset = p.offsets ? scale + kGemmColumns : nullptr;
    at += (p.offsets ? 2 : 1) * kGemmColumns * sizeof(float);
    body(Block{start, n, scale, offset, reinterpret_cast<const int8_t*>(at)});
    at += (n + kTogetherQ - 1) / kTogetherQ * kTogetherBytes<kBits>;
  }
}

}  // namespace LR_TIER
}  // namespace lr
