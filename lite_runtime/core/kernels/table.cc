// The kernel table of the tier being compiled.
#include "table.h"

#include "tile.h"

#define LR_STRING_(x) #x
#define LR_STRING(x) LR_STRING_(x)

namespace lr {
namespace LR_TIER {

#define LR_UNARY(name) unary_##name,
#define LR_BINARY(name) {binary_vv_##name, binary_vs_##name, binary_sv_##name},
#define LR_REDUCE(name) reduce_##name,

const Kernels table = {
    LR_STRING(LR_TIER),
    kGemmRows,
    kGemmColumns,
    gemm_f32,
    depthwise_f32,
    max_pool_f32,
    avg_pool_f32,
    {LR_UNARY_KERNELS(LR_UNARY)},
    {LR_BINARY_KERNELS(LR_BINARY)},
    {LR_REDUCE_KERNELS(LR_REDUCE)},
    scale_shift_f32,
    prelu_f32,
    axpy_f32,
    dot_f32,
    softmax_f32,
    log_softmax_f32,
    layer_norm_f32,
    transpose_32,
    f16_to_f32,
    f32_to_f16,
};

}  // namespace LR_TIER
}  // namespace lr
