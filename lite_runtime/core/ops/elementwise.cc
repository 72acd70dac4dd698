#include "ops/elementwise.h"

#include <atomic>
#include <limits>
#include <type_traits>

#include "ops/dispatch.h"

namespace lr {
namespace {

constexpr int64_t kChunk = 512;     // elements of a buffer on the stack
constexpr int64_t kGrain = 4096;    // elements worth a thread
constexpr int64_t kShortRow = 257;  // rows below this are repeated to make longer ones
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The innermost loop, cut into blocks for the threads. Array k starts block_step[k] elements further in
// each block.
struct Blocks {
  Loops<3>::Dim inner;
  int64_t size;
  int64_t block_step[3];

  int64_t count() const { return div_up(inner.size, size); }
};

Blocks plain_blocks(const Loops<3>::Dim& inner) {
  Blocks blocks = {inner, std::min(inner.size, kGrain), {}};
  for (int k = 0; k < 3; ++k) blocks.block_step[k] = blocks.size * inner.step[k];
  return blocks;
}

// For [.., M, C] op [C] with a small C: `array` is replaced by a buffer that holds it several times, so
// that the inner loop runs over several rows at once. The buffer has room for kChunk elements.
bool repeat_short_row(Loops<3>& loops, int array, const char** data, int64_t element_size, char* buffer,
                      Blocks* blocks) {
  const int last = loops.rank() - 1;
  if (last < 1 || loops[last].size >= kShortRow || loops[last].step[array] != 1) return false;
  for (int d = 0; d < last; ++d) {
    if (loops[d].step[array] != 0) return false;
  }
  const int64_t row = loops[last].size;
  for (int k = 0; k < 3; ++k) {
    const bool continues = loops[last].step[k] == 1 && loops[last - 1].step[k] == row;
    if (k != array && !continues) return false;
  }
  loops.take_inner();
  const int64_t rows = loops.take_inner().size, times = std::min(kChunk / row, rows);
  *blocks = {{rows * row, {1, 1, 1}}, times * row, {times * row, times * row, times * row}};
  blocks->block_step[array] = 0;
  const auto bytes = static_cast<size_t>(row * element_size);
  for (int64_t i = 0; i < times; ++i) std::memcpy(buffer + static_cast<size_t>(i) * bytes, *data, bytes);
  *data = buffer;
  return true;
}

}  // namespace

bool is_quantized(const Tensor* tensor) {
  if (tensor == nullptr || tensor->def == nullptr || tensor->def->quant.empty()) return false;
  return tensor->dtype == DType::kInt8 || tensor->dtype == DType::kUInt8 || tensor->dtype == DType::kInt16;
}

bool same_quantization(const Tensor& a, const Tensor& b) {
  if (is_quantized(&a) != is_quantized(&b)) return false;
  if (!is_quantized(&a)) return true;
  if (a.def->quant.size() != b.def->quant.size()) return false;
  return std::equal(
      a.def->quant.begin(), a.def->quant.end(), b.def->quant.begin(),
      [](const QuantParam& p, const QuantParam& q) { return p.scale == q.scale && p.zero_point == q.zero_point; });
}

void refuse_quantized(const Node& node) {
  for (const Tensor* tensor : node.in) {
    if (is_quantized(tensor)) node.unsupported("a quantised %s tensor", dtype_name(tensor->dtype));
  }
}

void expect_same_quantization(const Node& node) {
  for (const auto* side : {&node.in, &node.out}) {
    for (const Tensor* tensor : *side) {
      if (tensor == nullptr || tensor->dtype != node.in[0]->dtype) continue;
      if (!same_quantization(*node.in[0], *tensor)) {
        node.unsupported("inputs and outputs of different scale or zero point");
      }
    }
  }
}

uint64_t element_bits(DType dtype, double value) {
  uint64_t bits = 0;
  if (dtype == DType::kFloat16) {
    const auto single = static_cast<float>(value);
    uint16_t half;
    kernels().f32_to_f16(&single, &half, 1);
    return half;
  }
  if (dtype == DType::kBool) return value != 0.0;
  for_number<bool>(dtype, [&](auto zero) {
    using T = decltype(zero);
    using Limits = std::numeric_limits<T>;
    const double least = static_cast<double>(Limits::lowest()), most = static_cast<double>(Limits::max());
    T element = static_cast<T>(0);
    if (std::is_floating_point_v<T>) {
      element = static_cast<T>(value);
    } else if (value >= most) {
      element = Limits::max();
    } else if (value > least) {
      element = static_cast<T>(value);
    } else if (value <= least) {
      element = Limits::lowest();
    }
    std::memcpy(&bits, &element, sizeof(T));
    return true;
  });
  return bits;
}

Shape broadcast_shape(const Node& node, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Shape::of_rank(rank);
  for (int d = 0; d < rank; ++d) {
    const int da = d - rank + a.rank(), db = d - rank + b.rank();
    const int64_t x = da < 0 ? 1 : a[da], y = db < 0 ? 1 : b[db];
    if (x != y && x != 1 && y != 1) {
      node.invalid("shapes %s and %s cannot be broadcast together", a.str().c_str(), b.str().c_str());
    }
    out[d] = x == 1 ? y : x;
  }
  return out;
}

Steps broadcast_steps(const Shape& shape, const Shape& out) {
  const Steps own(shape);
  Steps steps(Shape{});
  const int shift = out.rank() - shape.rank();
  for (int d = 0; d < shape.rank(); ++d) steps.at[d + shift] = shape[d] == 1 ? 0 : own[d];
  return steps;
}

bool Bounds::any() const { return lo != -kInfinity || hi != kInfinity; }

Bounds fused_bounds(const Node& node, int activation_type) {
  switch (activation_type) {
    case schema::ActivationType_NO_ACTIVATION:
      return {-kInfinity, kInfinity};
    case schema::ActivationType_RELU:
      return {0.0f, kInfinity};
    case schema::ActivationType_RELU6:
      return {0.0f, 6.0f};
    case schema::ActivationType_RELU1:
      return {-1.0f, 1.0f};
    default:
      node.unsupported("fused activation %d; offered: NO_ACTIVATION, RELU, RELU6, RELU1", activation_type);
  }
}

struct BinaryOp::Span {
  BinaryRow row;
  bool a_half, b_half, z_half;  // float16 that is computed in float32
  int64_t a_size, b_size, z_size;
  Bounds bounds;
};

// The loader widens float16 constants to float32; beside a float16 tensor they still count as float16.
DType BinaryOp::check_pair(const Node& node, size_t i) const {
  const Tensor &a = *node.in[0], &b = *node.in[i];
  DType dtype = a.dtype;
  if (a.is_const() && a.dtype == DType::kFloat32 && b.dtype == DType::kFloat16) dtype = DType::kFloat16;
  const bool widened = b.is_const() && b.dtype == DType::kFloat32 && dtype == DType::kFloat16;
  if (b.dtype != dtype && !widened) {
    node.invalid("inputs have different types: %s and %s", dtype_name(dtype), dtype_name(b.dtype));
  }
  if (row(dtype) == nullptr && (dtype != DType::kFloat16 || row(DType::kFloat32) == nullptr)) {
    node.unsupported("%s inputs", dtype_name(dtype));
  }
  const bool is_float = dtype == DType::kFloat32 || dtype == DType::kFloat16;
  if (fused_bounds(node, activation(node)).any() && !is_float) {
    node.unsupported("a fused activation on %s", dtype_name(dtype));
  }
  refuse_quantized(node);
  return dtype;
}

void BinaryOp::infer(Node& node) {
  node.expect_inputs(2, 2);
  const DType dtype = check_pair(node, 1);
  node.set_out(0, result(dtype), broadcast_shape(node, node.in[0]->shape, node.in[1]->shape));
}

bool BinaryOp::compute(const Span& span, const char* a, int64_t a_step, const char* b, int64_t b_step, char* z,
                       int64_t n) const {
  float x[kChunk], y[kChunk];
  const auto widened = [](const char* half, int64_t step, int64_t count, float* to) -> const void* {
    kernels().f16_to_f32(reinterpret_cast<const uint16_t*>(half), to, static_cast<size_t>(step == 0 ? 1 : count));
    return to;
  };
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = std::min(kChunk, n - i);
    const char *pa = a + i * a_step * span.a_size, *pb = b + i * b_step * span.b_size;
    char* pz = z + i * span.z_size;
    void* result = span.z_half ? static_cast<void*>(x) : pz;
    if (!span.row(span.a_half ? widened(pa, a_step, count, x) : pa, a_step,
                  span.b_half ? widened(pb, b_step, count, y) : pb, b_step, result, count)) {
      return false;
    }
    float* values = static_cast<float*>(result);
    const auto size = static_cast<size_t>(count);
    if (span.bounds.any()) kernels().unary.clamp(values, values, size, span.bounds.lo, span.bounds.hi);
    if (span.z_half) kernels().f32_to_f16(values, reinterpret_cast<uint16_t*>(pz), size);
  }
  return true;
}

void BinaryOp::run(Node& node) { apply(node, *node.in[0], *node.in[1], *node.out[0]); }

void BinaryOp::apply(const Node& node, const Tensor& a, const Tensor& b, Tensor& out) const {
  const auto is_half = [](const Tensor& t) { return t.dtype == DType::kFloat16; };
  const auto size = [](const Tensor& t) { return static_cast<int64_t>(dtype_size(t.dtype)); };
  const bool half = (is_half(a) || is_half(b)) && row(DType::kFloat16) == nullptr;
  const Span span = {row(half ? DType::kFloat32 : a.dtype),
                     half && is_half(a),
                     half && is_half(b),
                     half && is_half(out),
                     size(a),
                     size(b),
                     size(out),
                     fused_bounds(node, activation(node))};
  const Steps a_steps = broadcast_steps(a.shape, out.shape);
  const Steps b_steps = broadcast_steps(b.shape, out.shape);
  const Steps z_steps(out.shape);
  Loops<3> loops;
  for (int d = 0; d < out.shape.rank(); ++d) loops.add({out.shape[d], {a_steps[d], b_steps[d], z_steps[d]}});
  if (loops.empty()) return;

  const char* data[] = {a.as<char>(), b.as<char>()};
  char* z = static_cast<char*>(out.data);
  alignas(8) char buffer[kChunk * 8];
  Blocks blocks;
  if (!repeat_short_row(loops, 1, &data[1], span.b_size, buffer, &blocks) &&
      !repeat_short_row(loops, 0, &data[0], span.a_size, buffer, &blocks)) {
    blocks = plain_blocks(loops.take_inner());
  }
  const Loops<3>::Dim& inner = blocks.inner;
  const int64_t per_row = blocks.count();
  loops.add({per_row, {blocks.block_step[0], blocks.block_step[1], blocks.block_step[2]}});
  std::atomic<bool> ok{true};
  parallel(node.pool, loops.count(), std::max<int64_t>(1, kGrain / blocks.size), [&](int64_t begin, int64_t end, int) {
    int64_t i = begin;
    loops.each(begin, end, [&](const int64_t* at) {
      const int64_t n = std::min(blocks.size, inner.size - i++ % per_row * blocks.size);
      if (!compute(span, data[0] + at[0] * span.a_size, inner.step[0], data[1] + at[1] * span.b_size, inner.step[1],
                   z + at[2] * span.z_size, n)) {
        ok = false;
      }
    });
  });
  if (!ok) fail(LR_ERROR_RUN, "%s", failure());
}

}  // namespace lr
