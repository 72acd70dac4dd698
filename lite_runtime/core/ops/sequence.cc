// Order along axes: CumSum, ReverseV2, ReverseSequence, Triu, Tril, InvertPermutation. All but CumSum take any
// element type.
#include <algorithm>
#include <type_traits>

#include "ops/dispatch.h"
#include "ops/indexing.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 8192;

int64_t one_int(const Node& node, size_t i) {
  const std::vector<int64_t> values = node.ints(i);
  if (values.size() != 1) node.invalid("input %zu must hold one number, has %zu", i, values.size());
  return values[0];
}

// Inputs (x, axis): sums of the elements up to each one; `exclusive` leaves it out itself, `reverse` starts
// from the end.
class CumSumOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    const Tensor& in = *node.in[0];
    if (!for_number<bool>(in.dtype, [](auto) { return true; })) node.unsupported("%s input", dtype_name(in.dtype));
    refuse_quantized(node);
    axis_ = normalize_axis(one_int(node, 1), in.shape.rank());
    node.set_out(0, in.dtype, in.shape);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const auto* attr = node.attr<schema::CumSum>();
    const int64_t outer = in.shape.count(0, axis_), n = in.shape[axis_];
    const int64_t inner = in.shape.count(axis_ + 1, in.shape.rank());
    if (in.count() == 0) return;
    parallel(node.pool, outer, std::max<int64_t>(1, kGrain / (n * inner)), [&](int64_t begin, int64_t end, int) {
      for_number<bool>(in.dtype, [&](auto zero) {
        using T = decltype(zero);
        for (int64_t o = begin; o < end; ++o) {
          const int64_t first = o * n * inner + (attr->reverse() ? (n - 1) * inner : 0);
          accumulate(in.as<T>() + first, node.out[0]->as<T>() + first, n, inner, attr->reverse() ? -inner : inner,
                     attr->exclusive());
        }
        return true;
      });
    });
  }

 private:
  // n rows of `inner` sums, `step` elements apart.
  template <class T>
  static void accumulate(const T* x, T* y, int64_t n, int64_t inner, int64_t step, bool exclusive) {
    for (int64_t i = 0; i < inner; ++i) y[i] = exclusive ? T{0} : x[i];
    for (int64_t k = 1; k < n; ++k) {
      const T *last = y + (k - 1) * step, *next = x + (exclusive ? k - 1 : k) * step;
      T* row = y + k * step;
      for (int64_t i = 0; i < inner; ++i) {
        if constexpr (std::is_integral_v<T>) {
          row[i] = static_cast<T>(static_cast<uint64_t>(last[i]) + static_cast<uint64_t>(next[i]));  // wraps around
        } else {
          row[i] = last[i] + next[i];
        }
      }
    }
  }

  int axis_ = 0;
};

class ReverseOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    const Shape& in = node.in[0]->shape;
    std::fill(std::begin(reversed_), std::end(reversed_), false);
    if (const auto* axes = node.attr<schema::ReverseV2>()->axis()) {
      for (int64_t axis : *axes) reversed_[normalize_axis(axis, in.rank())] = true;
    }
    node.set_out(0, node.in[0]->dtype, in);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const Steps steps(in.shape);
    const size_t size = dtype_size(in.dtype);
    CopyLoops loops;
    int64_t first = 0;
    for (int d = 0; d < in.shape.rank(); ++d) {
      if (reversed_[d]) first += (in.shape[d] - 1) * steps[d];
      loops.add({in.shape[d], {reversed_[d] ? -steps[d] : steps[d], steps[d]}});
    }
    if (loops.empty()) return;
    copy_strided(loops, in.as<char>() + first * static_cast<int64_t>(size), node.out[0]->data, size, node.pool);
  }

 private:
  bool reversed_[LR_MAX_RANK] = {};
};

// Inputs (x, lengths): entry b of batch_dim has its first lengths[b] elements along seq_dim reversed.
class ReverseSequenceOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    Indices::expect(node, 1);
    const auto* attr = node.attr<schema::ReverseSequence>();
    const Shape& in = node.in[0]->shape;
    seq_ = normalize_axis(attr->seq_dim(), in.rank());
    batch_ = normalize_axis(attr->batch_dim(), in.rank());
    if (seq_ == batch_) node.invalid("seq_dim and batch_dim are both %d", seq_);
    if (node.in[1]->shape != Shape{in[batch_]}) {
      node.invalid("the lengths have shape %s, the batch axis size %lld", node.in[1]->shape.str().c_str(),
                   static_cast<long long>(in[batch_]));
    }
    node.set_out(0, node.in[0]->dtype, in);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const Indices lengths(*node.in[1]);
    const auto size = static_cast<int64_t>(dtype_size(in.dtype));
    const Steps steps(in.shape);
    for (int64_t b = 0; b < in.shape[batch_]; ++b) {
      const int64_t length = lengths[b];
      if (length < 0 || length > in.shape[seq_]) {
        fail(LR_ERROR_RUN, "length %lld is outside a sequence of %lld", static_cast<long long>(length),
             static_cast<long long>(in.shape[seq_]));
      }
      const int64_t first = b * steps[batch_];
      copy_part(node, first, first + (length - 1) * steps[seq_], length, -1, size);
      const int64_t rest = first + length * steps[seq_];
      copy_part(node, rest, rest, in.shape[seq_] - length, 1, size);
    }
  }

 private:
  // n elements along the sequence, from `from` on in steps of `direction`, go to `to` and after.
  void copy_part(Node& node, int64_t to, int64_t from, int64_t n, int direction, int64_t size) const {
    const Tensor& in = *node.in[0];
    const Steps steps(in.shape);
    CopyLoops loops;
    for (int d = 0; d < in.shape.rank(); ++d) {
      if (d == batch_) continue;
      const int64_t count = d == seq_ ? n : in.shape[d];
      loops.add({count, {d == seq_ ? direction * steps[d] : steps[d], steps[d]}});
    }
    if (loops.empty()) return;
    copy_strided(loops, in.as<char>() + from * size, node.out[0]->as<char>() + to * size, static_cast<size_t>(size),
                 node.pool);
  }

  int seq_ = 0, batch_ = 0;
};

// Inputs (x[, k]): of each matrix the part on and above (kUpper) or below its k-th diagonal; zero elsewhere.
template <bool kUpper>
class TriangleOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 2);
    const Shape& in = node.in[0]->shape;
    if (in.rank() < 2) node.invalid("the input must have at least 2 dimensions, has %d", in.rank());
    k_ = node.has(1) ? one_int(node, 1) : 0;
    refuse_quantized(node);
    node.set_out(0, node.in[0]->dtype, in);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const int64_t rows = in.shape[in.shape.rank() - 2], cols = in.shape.back();
    const auto size = static_cast<int64_t>(dtype_size(in.dtype));
    const int64_t k = std::clamp(k_, -rows, cols);
    const int64_t all_rows = in.shape.count(0, in.shape.rank() - 1);
    for (int64_t r = 0; r < all_rows; ++r) {
      // Columns from `border` on lie above the diagonal, or on it for the upper part.
      const int64_t border = std::clamp<int64_t>(r % rows + k + (kUpper ? 0 : 1), 0, cols);
      const int64_t begin = kUpper ? border : 0, end = kUpper ? cols : border;
      char* y = node.out[0]->as<char>() + r * cols * size;
      std::memset(y, 0, static_cast<size_t>(begin * size));
      copy_bytes(y + begin * size, in.as<char>() + (r * cols + begin) * size,
                 static_cast<size_t>((end - begin) * size));
      std::memset(y + end * size, 0, static_cast<size_t>((cols - end) * size));
    }
  }

 private:
  int64_t k_ = 0;
};

// y[x[i]] = i
class InvertPermutationOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    Indices::expect(node, 0);
    if (node.in[0]->shape.rank() != 1) node.invalid("the input must have one dimension");
    node.set_out(0, node.in[0]->dtype, node.in[0]->shape);
  }

  void run(Node& node) override {
    const Indices permutation(*node.in[0]), inverse(*node.out[0]);
    const int64_t n = node.in[0]->count();
    const size_t size = dtype_size(node.in[0]->dtype);
    std::memset(node.out[0]->data, 0xff, node.out[0]->bytes());  // -1 everywhere
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = permutation[i];
      const bool in_range = at >= 0 && at < n;
      if (!in_range || inverse[at] != -1) {
        fail(LR_ERROR_RUN, "%lld is %s a permutation of %lld", static_cast<long long>(at),
             in_range ? "twice in" : "not in", static_cast<long long>(n));
      }
      std::memcpy(node.out[0]->as<char>() + static_cast<size_t>(at) * size, &i, size);  // little-endian
    }
  }
};

using TriuOp = TriangleOp<true>;
using TrilOp = TriangleOp<false>;

LR_REGISTER_OP(CumSum, CumSumOp)
LR_REGISTER_OP(ReverseV2, ReverseOp)
LR_REGISTER_OP(ReverseSequence, ReverseSequenceOp)
LR_REGISTER_OP(Triu, TriuOp)
LR_REGISTER_OP(Tril, TrilOp)
LR_REGISTER_OP(InvertPermutation, InvertPermutationOp)

}  // namespace
}  // namespace lr
