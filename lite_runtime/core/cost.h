// How much arithmetic a node is, for profiles.
#pragma once

#include "op.h"

namespace lr {

// Floating-point (or integer) operations of a node whose shapes are known: two for every multiply-add of a
// convolution or matrix product as its formula states it, whatever algorithm computes it; 0 for all others.
double operations(const Node& node);

}  // namespace lr
