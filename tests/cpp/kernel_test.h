// The tests of each group of kernels; kernel_test.cc calls them for every tier.
#pragma once

#include "kernels/half.h"
#include "kernels/tiers.h"

namespace lr::test {

// 32-bit NEON takes denormal operands for zero and returns zero for denormal results.
inline bool flushes_denormals([[maybe_unused]] const Kernels& k) {
#if defined(__arm__)
  return k.tier[0] == 'n';
#else
  return false;
#endif
}

void test_unary(const Kernels& k);
void test_binary(const Kernels& k);
void test_reduce(const Kernels& k);
#if defined(LR_HALF)
void test_half();  // where the CPU has it
#endif

// One for each of LR_OTHER_KERNELS: a kernel without a test does not link.
#define LR_DECLARE(name, result, parameters) void test_##name(const Kernels& k);
LR_OTHER_KERNELS(LR_DECLARE)
#undef LR_DECLARE

}  // namespace lr::test
