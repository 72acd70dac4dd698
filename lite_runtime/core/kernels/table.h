// Declarations of every kernel of the tier being compiled. table.cc collects them in `table`.
#pragma once

#include "kernels.h"

namespace lr {
namespace LR_TIER {

extern const Kernels table;

#define LR_DECLARE(name) void unary_##name(const float* x, float* y, size_t n, float a, float b);
LR_UNARY_KERNELS(LR_DECLARE)
#undef LR_DECLARE

#define LR_DECLARE(name)                                                     \
  void binary_vv_##name(const float* x, const float* y, float* z, size_t n); \
  void binary_vs_##name(const float* x, float y, float* z, size_t n);        \
  void binary_sv_##name(float x, const float* y, float* z, size_t n);
LR_BINARY_KERNELS(LR_DECLARE)
#undef LR_DECLARE

#define LR_DECLARE(name) float reduce_##name(const float* x, size_t n);
LR_REDUCE_KERNELS(LR_DECLARE)
#undef LR_DECLARE

void gemm_f32(const GemmF32& g);
void depthwise_f32(const DepthwiseF32& d);
void max_pool_f32(const PoolF32& d);
void avg_pool_f32(const PoolF32& d);
void scale_shift_f32(const float* x, const float* scale, const float* shift, float* y, size_t n);
void prelu_f32(const float* x, const float* slope, float* y, size_t n);
void axpy_f32(float a, const float* x, float* acc, size_t n);
float dot_f32(const float* x, const float* y, size_t n);
void softmax_f32(const float* x, float* y, size_t n);
void log_softmax_f32(const float* x, float* y, size_t n);
void layer_norm_f32(const float* x, const float* gamma, const float* beta, float epsilon, float* y, size_t n);
void transpose_32(const uint32_t* src, size_t src_stride, uint32_t* dst, size_t dst_stride, size_t rows, size_t cols);
void f16_to_f32(const uint16_t* x, float* y, size_t n);
void f32_to_f16(const float* x, uint16_t* y, size_t n);

}  // namespace LR_TIER
}  // namespace lr
