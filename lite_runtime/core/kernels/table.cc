// The kernel table of the tier being compiled.
#include "table.h"

#include "selection.h"
#include "tile.h"

#define LR_STRING_(x) #x
#define LR_STRING(x) LR_STRING_(x)

namespace lr {
namespace LR_TIER {

// Null for kernels that no operator of this build calls; the linker then drops them.
#define LR_ENTRY(selected, kernel) (LR_HAS_KERNEL(selected) ? LR_TIER::kernel : nullptr)
#define LR_OTHER(name, result, parameters) LR_ENTRY(name, name),
#define LR_UNARY(name) LR_ENTRY(unary_##name, unary_##name),
#define LR_BINARY(name)                                                                  \
  {LR_ENTRY(binary_##name, binary_vv_##name), LR_ENTRY(binary_##name, binary_vs_##name), \
   LR_ENTRY(binary_##name, binary_sv_##name)},
#define LR_REDUCE(name) LR_ENTRY(reduce_##name, reduce_##name),

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
    LR_OTHER_KERNELS(LR_OTHER){LR_UNARY_KERNELS(LR_UNARY)},
    {LR_BINARY_KERNELS(LR_BINARY)},
    {LR_REDUCE_KERNELS(LR_REDUCE)},
};

}  // namespace LR_TIER
}  // namespace lr
