// The kernel behind the measured peak of the multiply-add units.
#include <cmath>
#include <initializer_list>

#include "check.h"
#include "kernel_test.h"

namespace lr::test {

// The count is what the measured peak stands on: two operations per lane, sum and round, none without rounds.
void test_multiply_add_f32(const Kernels& k) {
  Case test("%s multiply_add_f32", k.tier);
  const double once = k.multiply_add_f32(1);
  test.expect(once >= 2 && std::fmod(once, 2) == 0, "one round is %g operations", once);
  for (const size_t rounds : std::initializer_list<size_t>{0, 2, 1000}) {
    const double done = k.multiply_add_f32(rounds);
    test.expect(done == once * static_cast<double>(rounds), "%zu rounds are %g operations", rounds, done);
  }
}

}  // namespace lr::test
