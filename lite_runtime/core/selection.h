// Which operators and kernels this build has: all of them, unless CMake was given LITE_RUNTIME_SELECTION, a folder with
// selected.cmake, which sets OPS to the sources of the operators, and selected.h. This says 0 or 1 of each primitive
// (LR_SELECTED_OP_...), of its form for quantised integers (LR_SELECTED_QUANTIZED_...) and of each kernel by the name
// lr_kernel_name gives (LR_SELECTED_KERNEL_...); it lists the primitives whose form for integers is left out
// (LR_LEFT_OUT_QUANTIZED) and names the models it was made for (LR_SELECTION). Nothing writes such a folder yet.
#pragma once

#ifdef LR_SELECTED
#include "selected.h"
#define LR_HAS_OP(Primitive) LR_SELECTED_OP_##Primitive
#define LR_HAS_QUANTIZED_OP(Primitive) LR_SELECTED_QUANTIZED_##Primitive
#define LR_HAS_KERNEL(name) LR_SELECTED_KERNEL_##name
#else
#define LR_HAS_OP(Primitive) 1
#define LR_HAS_QUANTIZED_OP(Primitive) 1
#define LR_HAS_KERNEL(name) 1
#endif
