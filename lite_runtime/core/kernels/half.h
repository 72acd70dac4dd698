// Kernels that compute in float16, of 64-bit ARM CPUs with ARMv8.2's half precision: beside the table of the tier,
// which still has everything else. A float16 is a uint16_t here; limits stay floats.
//
// Overflow is not met with tests of every result: the CPU keeps a flag of it, see take_overflow.
#pragma once

// Libraries with the operators of some models only (selection.h) do without.
#if defined(__aarch64__) && !defined(LR_OPS)

#include "kernels.h"

#define LR_HALF 1

namespace lr {

using half = uint16_t;

struct HalfKernels {
  size_t lanes;             // values in a vector
  size_t gemm_mr, gemm_nr;  // rows and columns of the GEMM tile
  // As the kernels of the same names on floats. A sum of more than kHalfTerms products is made of parts as long.
  void (*gemm)(const Gemm<half>& g);
  void (*depthwise)(const Depthwise<half>& d);
  void (*add)(const half* x, const half* y, half* z, size_t n);         // z may equal x or y
  void (*clamp)(const half* x, half* y, size_t n, float lo, float hi);  // y may equal x
};

// A sum in float16 loses about its square root of terms in units of the last place.
constexpr size_t kHalfTerms = 256;

// Null when this CPU does not compute in float16, or LITE_RUNTIME_ISA asks for another tier than the best.
const HalfKernels* half_kernels();

// Packs what pack_gemm_f32 and pack_depthwise_f32 would, as float16 for the kernels above.
size_t packed_gemm_f16_bytes(size_t taps, size_t k, size_t n);
void pack_gemm_f16(const float* w, size_t tap_stride, size_t k_stride, size_t n_stride, const float* bias, size_t taps,
                   size_t k, size_t n, half* packed);
size_t packed_depthwise_f16_bytes(size_t taps, size_t channels);
void pack_depthwise_f16(const float* w, size_t tap_stride, size_t channel_stride, const float* bias, size_t taps,
                        size_t channels, half* packed);

// Whether arithmetic of this thread, of any precision, has overflowed since the last call.
inline bool take_overflow() {
  constexpr uint64_t kOverflow = 1u << 2;
  uint64_t status;
  asm volatile("mrs %0, fpsr" : "=r"(status) : : "memory");
  if ((status & kOverflow) == 0) return false;
  asm volatile("msr fpsr, %0" : : "r"(status & ~kOverflow) : "memory");
  return true;
}

}  // namespace lr

#endif
