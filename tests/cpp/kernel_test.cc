// Tests every kernel on every tier this CPU can run. `kernel_test tier` prints the tier the dispatcher chose.
#include "kernel_test.h"

#include "check.h"

namespace {

void test_tier(const lr::Kernels& k) {
  using namespace lr::test;
  test_unary(k);
  test_binary(k);
  test_reduce(k);
#define LR_RUN(name, result, parameters) test_##name(k);
  LR_OTHER_KERNELS(LR_RUN)
#undef LR_RUN
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "tier") == 0) {
    puts(lr::kernels().tier);
    return 0;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  lr::test::report_crashes();
  size_t count;
  const lr::Tier* tiers = lr::tiers(&count);
  for (size_t i = 0; i < count; ++i) {
    const lr::Kernels& k = *tiers[i].table;
    if (!tiers[i].available) {
      printf("%s: not available on this CPU\n", k.tier);
      continue;
    }
    const lr::test::Totals before = lr::test::totals;
    test_tier(k);
    printf("%s: %d cases\n", k.tier, lr::test::totals.passed + lr::test::totals.failed - before.passed - before.failed);
  }
#if defined(LR_HALF)
  const lr::test::Totals before = lr::test::totals;
  lr::test::test_half();
  printf("float16: %d cases\n", lr::test::totals.passed + lr::test::totals.failed - before.passed - before.failed);
#endif
  return lr::test::report();
}
