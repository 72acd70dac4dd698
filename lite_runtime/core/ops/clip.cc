// Clip: inputs (x[, min[, max]]); with x alone, the attributes min and max hold the bounds.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384;
constexpr int64_t kChunk = 512;

template <class T>
struct Bounded {
  T lo, hi;
};

template <class T>
Bounded<T> bounds_of(const Node& node) {
  Bounded<T> bounds = {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()};
  if constexpr (std::is_floating_point_v<T>)
    bounds = {-std::numeric_limits<T>::infinity(), std::numeric_limits<T>::infinity()};
  if (node.has(1)) bounds.lo = *node.in[1]->as<T>();
  if (node.has(2)) bounds.hi = *node.in[2]->as<T>();
  if (node.has(1)) return bounds;
  const auto* attr = node.attr<schema::Clip>();
  const uint64_t lo = element_bits(node.in[0]->dtype, static_cast<double>(attr->min()));
  const uint64_t hi = element_bits(node.in[0]->dtype, static_cast<double>(attr->max()));
  std::memcpy(&bounds.lo, &lo, sizeof(T));
  std::memcpy(&bounds.hi, &hi, sizeof(T));
  return bounds;
}

// The bounds of a float16 tensor; operand bounds may be float32 constants, as the loader widens them.
Bounded<float> half_bounds(const Node& node) {
  if (!node.has(1)) return {node.attr<schema::Clip>()->min(), node.attr<schema::Clip>()->max()};
  const auto value = [&](size_t i, float absent) {
    if (!node.has(i)) return absent;
    float number = absent;
    if (node.in[i]->dtype == DType::kFloat32) return *node.in[i]->as<float>();
    kernels().f16_to_f32(node.in[i]->as<uint16_t>(), &number, 1);
    return number;
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {value(1, -kInfinity), value(2, kInfinity)};
}

template <class T>
void clip(const T* x, T* y, int64_t n, const Bounded<T>& bounds) {
  if constexpr (std::is_same_v<T, float>) {
    kernels().unary.clamp(x, y, static_cast<size_t>(n), bounds.lo, bounds.hi);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = std::min(std::max(x[i], bounds.lo), bounds.hi);
  }
}

void clip_half(const uint16_t* x, uint16_t* y, int64_t n, const Bounded<float>& bounds) {
  float values[kChunk];
  for (int64_t i = 0; i < n; i += kChunk) {
    const auto count = static_cast<size_t>(std::min(kChunk, n - i));
    kernels().f16_to_f32(x + i, values, count);
    kernels().unary.clamp(values, values, count, bounds.lo, bounds.hi);
    kernels().f32_to_f16(values, y + i, count);
  }
}

class ClipOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 3);
    const DType dtype = node.in[0]->dtype;
    const bool is_half = dtype == DType::kFloat16;
    if (!is_half && !for_number<bool>(dtype, [](auto) { return true; }))
      node.unsupported("%s input", dtype_name(dtype));
    for (size_t i = 1; i < node.inputs(); ++i) {
      const Tensor& bound = *node.in[i];
      const bool widened = is_half && bound.is_const() && bound.dtype == DType::kFloat32;
      if ((bound.dtype != dtype && !widened) || bound.count() != 1) {
        node.invalid("input %zu must hold one %s, not %s of shape %s", i, dtype_name(dtype), dtype_name(bound.dtype),
                     bound.shape.str().c_str());
      }
    }
    refuse_quantized(node);
    node.set_out(0, dtype, node.in[0]->shape);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    parallel(node.pool, in.count(), kGrain, [&](int64_t begin, int64_t end, int) {
      if (in.dtype == DType::kFloat16) {
        return clip_half(in.as<uint16_t>() + begin, out.as<uint16_t>() + begin, end - begin, half_bounds(node));
      }
      for_number<bool>(in.dtype, [&](auto zero) {
        using T = decltype(zero);
        clip(in.as<T>() + begin, out.as<T>() + begin, end - begin, bounds_of<T>(node));
        return true;
      });
    });
  }

  OpTraits traits() const override { return OpTraits::overwriting(0); }
};

LR_REGISTER_OP(Clip, ClipOp)

}  // namespace
}  // namespace lr
