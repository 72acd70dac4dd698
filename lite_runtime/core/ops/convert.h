// Conversion of a value to another element type.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

namespace lr {

// float to integer: towards zero, limited to the range of the integer, not-a-number becomes 0.
// integer to narrower integer: the low bits. Anything to bool: whether it differs from zero. To float:
// the nearest value (to float16 by way of float32).
template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    // 2^digits is the first value too large; it is exact in any float type, the largest integer is not.
    const From limit = std::ldexp(From{1}, Limits::digits);
    if (!(x > -limit - From{1})) return x != x ? To{0} : Limits::min();
    if (x >= limit) return Limits::max();
    if constexpr (std::is_unsigned_v<To>) {
      if (x < From{0}) return To{0};
    }
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace lr
