// Declarations of every kernel of the tier being compiled. table.cc collects them in `table`.
//
// The tier LR_ALL has all kernels itself. With LR_FLOATS, that tier is the same but for float kernels of its own; with
// LR_INTEGERS, that one again but for the integer kernels; with LR_PRODUCTS, but for the integer GEMM. A qualified name
// of a namespace finds its own declarations first, then those of the namespace it uses.
#pragma once

#include "kernels.h"
#include "tile.h"

#ifndef LR_ALL
#define LR_ALL LR_TIER
#endif
#ifndef LR_FLOATS
#define LR_FLOATS LR_ALL
#endif

#define LR_FUNCTION(name, result, parameters) result name parameters;

namespace lr {
namespace LR_ALL {
LR_FUNCTIONS
}  // namespace LR_ALL

namespace LR_FLOATS {
using namespace LR_ALL;
LR_ACTIVATION_KERNELS(LR_UNARY_FUNCTION)
LR_REDUCE_KERNELS(LR_REDUCE_FUNCTION)
LR_FLOAT_KERNELS(LR_FUNCTION)
LR_STORED_KERNELS(LR_FUNCTION)
}  // namespace LR_FLOATS

#ifdef LR_INTEGERS
namespace LR_INTEGERS {
using namespace LR_FLOATS;
LR_INT8_KERNELS(LR_FUNCTION)
#if LR_QUADS
LR_STORED_KERNELS(LR_FUNCTION)
#endif
}  // namespace LR_INTEGERS
#endif

#ifdef LR_PRODUCTS
namespace LR_PRODUCTS {
using namespace LR_INTEGERS;
void gemm_i8(const GemmI8& g);
void gemm_i8_f32(const GemmI8F32& g);
}  // namespace LR_PRODUCTS
#endif

namespace LR_TIER {
extern const Kernels table;
}
}  // namespace lr

#undef LR_FUNCTION
