// Choosing by truth: Select, Where, NonZero, Unique.
#include <algorithm>
#include <unordered_map>

#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384;
using SelectLoops = Loops<4>;  // condition, x, y, result

template <class T>
void select_rows(SelectLoops loops, const uint8_t* condition, const void* x, const void* y, void* z, ThreadPool* pool) {
  const SelectLoops::Dim row = loops.take_inner();
  const int64_t blocks = div_up(row.size, kGrain);
  SelectLoops::Dim block = {blocks, {}};
  for (int k = 0; k < 4; ++k) block.step[k] = kGrain * row.step[k];
  loops.add(block);
  parallel(pool, loops.count(), std::max<int64_t>(1, kGrain / row.size), [&](int64_t begin, int64_t end, int) {
    int64_t i = begin;
    loops.each(begin, end, [&](const int64_t* at) {
      const int64_t n = std::min(kGrain, row.size - i++ % blocks * kGrain);
      const uint8_t* c = condition + at[0];
      const T *a = static_cast<const T*>(x) + at[1], *b = static_cast<const T*>(y) + at[2];
      T* out = static_cast<T*>(z) + at[3];
      for (int64_t k = 0; k < n; ++k) {
        const T chosen = a[k * row.step[1]], other = b[k * row.step[2]];  // both read: no branch to mispredict
        out[k] = c[k * row.step[0]] != 0 ? chosen : other;
      }
    });
  });
}

// result = condition ? x : y, element by element with broadcasting.
void select(const Tensor& condition, const Tensor& x, const Tensor& y, Tensor& result, ThreadPool* pool) {
  const Steps c = broadcast_steps(condition.shape, result.shape), a = broadcast_steps(x.shape, result.shape);
  const Steps b = broadcast_steps(y.shape, result.shape), z(result.shape);
  SelectLoops loops;
  for (int d = 0; d < result.shape.rank(); ++d) loops.add({result.shape[d], {c[d], a[d], b[d], z[d]}});
  if (loops.empty()) return;
  const auto run = [&](auto zero) {
    select_rows<decltype(zero)>(loops, condition.as<uint8_t>(), x.data, y.data, result.data, pool);
  };
  switch (dtype_size(result.dtype)) {
    case 1:
      return run(uint8_t{});
    case 2:
      return run(uint16_t{});
    case 4:
      return run(uint32_t{});
    default:
      return run(uint64_t{});
  }
}

Shape selected_shape(const Node& node, size_t x, size_t y) {
  if (node.in[x]->dtype != node.in[y]->dtype) {
    node.invalid("inputs %zu and %zu have different types: %s and %s", x, y, dtype_name(node.in[x]->dtype),
                 dtype_name(node.in[y]->dtype));
  }
  const Shape values = broadcast_shape(node, node.in[x]->shape, node.in[y]->shape);
  return broadcast_shape(node, node.in[0]->shape, values);
}

// Inputs (condition, x for each output, y for each output).
class SelectOp : public Op {
 public:
  void infer(Node& node) override {
    const size_t n = node.out.size();
    node.expect_inputs(1 + 2 * n, 1 + 2 * n);
    node.expect_dtype(0, DType::kBool);
    for (size_t i = 0; i < n; ++i) {
      const Shape shape = selected_shape(node, 1 + i, 1 + n + i);
      node.set_out(i, node.in[1 + i]->dtype, shape);
    }
  }
  void run(Node& node) override {
    const size_t n = node.out.size();
    for (size_t i = 0; i < n; ++i) select(*node.in[0], *node.in[1 + i], *node.in[1 + n + i], *node.out[i], node.pool);
  }
};

// Calls found(position) for each element that is not zero (not false).
template <class Found>
void each_nonzero(const Tensor& tensor, const Found& found) {
  const bool is_half = tensor.dtype == DType::kFloat16;
  const DType dtype = tensor.dtype == DType::kBool ? DType::kUInt8 : is_half ? DType::kUInt16 : tensor.dtype;
  const int64_t count = tensor.count();
  for_number<bool>(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = tensor.as<T>();
    for (int64_t i = 0; i < count; ++i) {
      // The sign of a float16 zero does not count.
      const bool nonzero = is_half ? (static_cast<uint64_t>(x[i]) & 0x7fff) != 0 : x[i] != zero;
      if (nonzero) found(i);
    }
    return true;
  });
}

// The positions of what is not zero, in order: one row of the result for each (kByRow), or one column.
template <bool kByRow>
class PositionsOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    int64_t count = 0;
    each_nonzero(node.value(0), [&](int64_t) { ++count; });
    const int64_t rank = node.in[0]->shape.rank();
    node.set_out(0, DType::kInt32, kByRow ? Shape{count, rank} : Shape{rank, count});
  }
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const int rank = in.shape.rank();
    const int64_t count = node.out[0]->shape[kByRow ? 0 : 1];
    int32_t* out = node.out[0]->as<int32_t>();
    int64_t k = 0;
    each_nonzero(in, [&](int64_t i) {
      for (int d = rank - 1; d >= 0; --d) {
        out[kByRow ? k * rank + d : d * count + k] = static_cast<int32_t>(i % in.shape[d]);
        i /= in.shape[d];
      }
      ++k;
    });
  }
};

// One input: positions of true elements [n, rank]. Three: choose between two tensors, as Select.
class WhereOp : public Op {
 public:
  void infer(Node& node) override {
    if (node.inputs() == 1) return positions_.infer(node);
    node.expect_inputs(3, 3);
    choice_.infer(node);
  }
  void run(Node& node) override { node.inputs() == 1 ? positions_.run(node) : choice_.run(node); }

 private:
  PositionsOp<true> positions_;
  SelectOp choice_;
};

// Input of one dimension; outputs: its different values in order of appearance, and for each element the
// position (int32) of its value among them.
class UniqueOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    const Tensor& in = node.value(0);
    if (in.shape.rank() != 1) node.invalid("the input must have one dimension, has %d", in.shape.rank());
    find(in);
    node.set_out(0, in.dtype, Shape{static_cast<int64_t>(first_.size())});
    node.set_out(1, DType::kInt32, in.shape);
    expect_same_quantization(node);
  }
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const size_t size = dtype_size(in.dtype);
    for (size_t k = 0; k < first_.size(); ++k) {
      std::memcpy(node.out[0]->as<char>() + k * size, in.as<char>() + static_cast<size_t>(first_[k]) * size, size);
    }
    if (node.out.size() > 1) copy_bytes(node.out[1]->data, number_.data(), number_.size() * sizeof(int32_t));
  }

 private:
  // Elements are compared by their bits, zeros of both signs being equal.
  void find(const Tensor& in) {
    first_.clear();
    number_.clear();
    std::unordered_map<uint64_t, int32_t> seen;
    const size_t size = dtype_size(in.dtype);
    const bool is_float = in.dtype == DType::kFloat16 || in.dtype == DType::kFloat32 || in.dtype == DType::kFloat64;
    const uint64_t minus_zero = is_float ? uint64_t{1} << (8 * size - 1) : 0;
    for (int64_t i = 0; i < in.count(); ++i) {
      uint64_t bits = 0;
      std::memcpy(&bits, in.as<char>() + static_cast<size_t>(i) * size, size);
      if (bits == minus_zero) bits = 0;
      const auto [entry, is_new] = seen.emplace(bits, static_cast<int32_t>(first_.size()));
      if (is_new) first_.push_back(i);
      number_.push_back(entry->second);
    }
  }

  std::vector<int64_t> first_;   // where each value comes first
  std::vector<int32_t> number_;  // which value each element is
};

using NonZeroOp = PositionsOp<false>;

LR_REGISTER_OP(Select, SelectOp)
LR_REGISTER_OP(Where, WhereOp)
LR_REGISTER_OP(NonZero, NonZeroOp)
LR_REGISTER_OP(Unique, UniqueOp)

}  // namespace
}  // namespace lr
