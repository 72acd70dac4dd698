// One row times a panel of weights, in floats and as integers of 4 bits in blocks of 32: what tests/arm counts the
// instructions of. getppid marks where a product begins and where it ends, in this order.
#include <unistd.h>

#include <vector>

#include "kernels/tiers.h"

int main() {
  using namespace lr;
  constexpr size_t kDepth = 1024, kBlock = 32;
  const Kernels& k = kernels();
  const std::vector<float> weights(kDepth * k.gemm_nr, 0.5f), row(kDepth, 1.f);
  std::vector<float> packed(packed_gemm_f32_bytes(1, kDepth, k.gemm_nr) / sizeof(float)), y(k.gemm_nr);
  pack_gemm_f32(weights.data(), 0, k.gemm_nr, 1, nullptr, 1, kDepth, k.gemm_nr, packed.data());
  const std::vector<float> integers(panel_q_bytes(kDepth, kBlock, 4, false, k.gemm_nr, k.quads) / sizeof(float));
  std::vector<float> digits(row_q_floats(kDepth, kBlock, k.quads));

  const float* a = row.data();
  GemmF32 g = {&a, 1, 1, kDepth, k.gemm_nr, packed.data(), y.data(), k.gemm_nr, -1e30f, 1e30f};
  const PanelQ p = {integers.data(), kDepth, kBlock, 4, false};
  if (!k.split_row_q(p, a, digits.data())) return 1;
  for (int run = 0; run < 2; ++run) {  // the counts of the second
    getppid();
    k.gemm_f32(g);
    getppid();
    k.multiply_row_q(p, {a, nullptr, digits.data()}, y.data());
    getppid();
  }
}
