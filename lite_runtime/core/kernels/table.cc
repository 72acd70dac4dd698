// The kernel table of the tier being compiled.
#include "table.h"

#include "tile.h"

#define LR_STRING_(x) #x
#define LR_STRING(x) LR_STRING_(x)

namespace lr {
namespace LR_TIER {

#ifdef LR_OPS
#define LR_FUNCTION(name, result, parameters)    \
  extern result(*const name##_entry) parameters; \
  result(*const name##_entry) parameters = LR_TIER::name;
LR_FUNCTIONS
#define LR_OTHER(name, result, parameters) {},
#define LR_UNARY(name) {},
#define LR_BINARY(name) {},
#define LR_REDUCE(name) {},
#else
#define LR_OTHER(name, result, parameters) LR_TIER::name,
#define LR_UNARY(name) LR_TIER::unary_##name,
#define LR_BINARY(name) {LR_TIER::binary_vv_##name, LR_TIER::binary_vs_##name, LR_TIER::binary_sv_##name},
#define LR_REDUCE(name) LR_TIER::reduce_##name,
#endif

const Kernels table = {
    LR_STRING(LR_TIER),
    kFloatLanes,
    kGemmRows,
    kGemmColumns,
    kGemmI8Rows,
    kGemmI8Columns,
    kGemmI8Depth,
    kGemmI8Shift,
    kIntegerLanes,
    kDepthwiseI8Depth,
    LR_QUADS,
    LR_OTHER_KERNELS(LR_OTHER){LR_UNARY_KERNELS(LR_UNARY)},
    {LR_BINARY_KERNELS(LR_BINARY)},
    {LR_REDUCE_KERNELS(LR_REDUCE)},
};

}  // namespace LR_TIER
}  // namespace lr
