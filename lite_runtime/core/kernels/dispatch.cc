// Chooses the tier of this CPU. Compiled for the baseline: nothing here may need a tier's instructions.
#include <cstdlib>
#include <cstring>

#include "half.h"
#include "tiers.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif (defined(__arm__) || defined(__aarch64__)) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace lr {
namespace {

[[maybe_unused]] bool has_baseline() { return true; }

#if defined(__x86_64__)
// Whether the operating system saves these registers; only after the CPU's word that it may be asked (OSXSAVE).
bool saves(unsigned registers) {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & registers) == registers;
}
// AVX2, FMA and F16C, and an operating system that saves the wide registers.
bool has_avx2() {
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  const unsigned needed = bit_FMA | bit_OSXSAVE | bit_AVX | bit_F16C;
  if ((c & needed) != needed) return false;
  if (!saves(6)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_AVX2) != 0;
}
// The same and AVX-512 (F, DQ, BW, VL), whose registers the operating system must save too; `more` names bits of ECX.
bool has_avx512_and(unsigned more) {
  if (!has_avx2()) return false;
  unsigned a, b, c, d;
  if (!saves(0xe6) || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const unsigned needed = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
  return (b & needed) == needed && (c & more) == more;
}
bool has_avx512() { return has_avx512_and(0); }
bool has_vnni() { return has_avx512_and(bit_AVX512VNNI | bit_AVX512VBMI); }
// AMX with int8. The system must save the tiles, and gives them only to a process that has asked for them.
bool has_amx() {
#if defined(__linux__)
  if (!has_vnni()) return false;
  unsigned a, b, c, d;
  const unsigned tiles = 3u << 17, tiles_and_int8 = 3u << 24;
  if (!saves(tiles) || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return (d & tiles_and_int8) == tiles_and_int8 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#elif defined(__aarch64__)
bool has_capability([[maybe_unused]] unsigned bit) {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) >> bit & 1) != 0;
#else
  return false;
#endif
}
bool has_dotprod() { return has_capability(20); }
bool has_i8mm() {
#if defined(__linux__)
  const unsigned long i8mm = 1ul << 13;
  return has_dotprod() && (getauxval(AT_HWCAP2) & i8mm) != 0;
#else
  return false;
#endif
}
#elif defined(__arm__)
bool has_neon_vfpv4() {
#if defined(__linux__)
  const unsigned long neon_and_vfpv4 = 1ul << 12 | 1ul << 16;
  return (getauxval(AT_HWCAP) & neon_and_vfpv4) == neon_and_vfpv4;
#else
  return false;
#endif
}
#endif

// A name that is unknown or not available here is as good as none.
size_t choose() {
  size_t count;
  const Tier* all = tiers(&count);
  const char* wanted = std::getenv("LITE_RUNTIME_ISA");
  for (size_t i = 0; i < count && wanted != nullptr; ++i) {
    if (all[i].available && std::strcmp(all[i].table->tier, wanted) == 0) return i;
  }
  size_t i = 0;
  while (!all[i].available) ++i;  // the scalar tier always is
  return i;
}

}  // namespace

const Tier* tiers(size_t* count) {
#define LR_TIER_ROW(tier, available, ...) {&tier::table, available()},
  static const Tier all[] = {LR_TIERS(LR_TIER_ROW)};
#undef LR_TIER_ROW
  *count = sizeof all / sizeof all[0];
  return all;
}

const Kernels& kernels() {
  size_t count;
  static const Kernels& chosen = *tiers(&count)[choose()].table;
  return chosen;
}

#ifdef LR_OPS
size_t chosen_tier() {
  static const size_t chosen = choose();
  return chosen;
}

#define LR_FUNCTION(name, result, parameters) extern result(*const name##_entry) parameters;
#define LR_DECLARE_TIER(tier, ...) \
  namespace tier {                 \
  LR_FUNCTIONS                     \
  }
LR_TIERS(LR_DECLARE_TIER)
#undef LR_FUNCTION
#define LR_OF_TIER(tier, available, name) &tier::name##_entry,
#define LR_FUNCTION(name, result, parameters) \
  result(*const* const name##_of_tiers[]) parameters = {LR_TIERS(LR_OF_TIER, name)};
LR_FUNCTIONS
#endif

#if defined(LR_HALF)
namespace fp16 {
extern const HalfKernels table;
}

const HalfKernels* half_kernels() {
  constexpr unsigned kHalfVectors = 10;
  size_t count;
  const Tier* best = tiers(&count);
  while (!best->available) ++best;
  static const bool offered = best->table == &kernels() && has_capability(kHalfVectors);
  return offered ? &fp16::table : nullptr;
}
#endif

}  // namespace lr
