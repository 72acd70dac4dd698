// The largest or least elements along an axis, in order, equal ones by position and not-a-number last:
// TopKFusion (outputs values, positions), ArgMaxFusion and ArgMinFusion (outputs positions, values; a single
// output holds the values when out_max_value is set). Positions are int32.
#include <algorithm>
#include <cstdint>

#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384;

struct Row {
  const void* x;
  int64_t n, step;  // elements and the distance between them
  int64_t top;      // how many are wanted
  bool largest;
  int32_t* work;  // result: positions, the first `top` in order; has room for n when top > 1
};

template <bool kLargest, class T>
int64_t find_first(const T* x, int64_t n, int64_t step) {
  int64_t at = 0;
  T best = x[0];
  for (int64_t i = 1; i < n; ++i) {
    const T value = x[i * step];
    const bool better = kLargest ? value > best : value < best;
    if (better || (best != best && value == value)) {
      best = value;
      at = i;
    }
  }
  return at;
}

template <class T>
void find_top(const Row& row) {
  const T* x = static_cast<const T*>(row.x);
  const auto before = [&](int64_t i, int64_t j) {
    const T a = x[i * row.step], b = x[j * row.step];
    if (a != a || b != b) return a == a || (b != b && i < j);
    if (a == b) return i < j;
    return row.largest ? a > b : a < b;
  };
  if (row.top == 1) {
    row.work[0] = static_cast<int32_t>(row.largest ? find_first<true>(x, row.n, row.step)
                                                   : find_first<false>(x, row.n, row.step));
    return;
  }
  for (int64_t i = 0; i < row.n; ++i) row.work[i] = static_cast<int32_t>(i);
  std::partial_sort(row.work, row.work + row.top, row.work + row.n, before);
}

using Finder = void (*)(const Row&);

Finder finder_of(DType dtype) {
  if (dtype == DType::kBool) dtype = DType::kUInt8;
  if (dtype == DType::kFloat16) dtype = DType::kFloat32;  // searched in a widened copy
  return for_number<Finder>(dtype, [](auto number) { return find_top<decltype(number)>; });
}

void copy_element(const void* from, int64_t i, void* to, int64_t j, size_t size) {
  std::memcpy(static_cast<char*>(to) + static_cast<size_t>(j) * size,
              static_cast<const char*>(from) + static_cast<size_t>(i) * size, size);
}

class TopBase : public Op {
 public:
  void prepare(Node& node) override {
    const Tensor& in = *node.in[0];
    const auto threads = static_cast<size_t>(node.pool == nullptr ? 1 : node.pool->threads());
    const size_t widened = in.dtype == DType::kFloat16 ? static_cast<size_t>(in.count()) * sizeof(float) : 0;
    node.need_scratch(widened + threads * work_size(in) * sizeof(int32_t));
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const int64_t n = in.shape[axis_], inner = in.shape.count(axis_ + 1, in.shape.rank());
    const int64_t rows = in.shape.count(0, axis_) * inner;
    const size_t size = dtype_size(in.dtype);
    if (rows == 0 || top_ == 0) return;
    const char* x = in.as<char>();
    size_t x_size = size;
    auto* work = static_cast<int32_t*>(node.scratch);
    if (in.dtype == DType::kFloat16) {
      auto* wide = static_cast<float*>(node.scratch);
      kernels().f16_to_f32(in.as<uint16_t>(), wide, static_cast<size_t>(in.count()));
      x = reinterpret_cast<const char*>(wide);
      x_size = sizeof(float);
      work = reinterpret_cast<int32_t*>(wide + in.count());
    }
    const Finder find = finder_of(in.dtype);
    Tensor* values = values_ < node.out.size() ? node.out[values_] : nullptr;
    Tensor* positions = positions_ < node.out.size() ? node.out[positions_] : nullptr;
    parallel(node.pool, rows, std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end, int thread) {
      int32_t* order = work + static_cast<size_t>(thread) * work_size(in);
      for (int64_t r = begin; r < end; ++r) {
        const int64_t first = r / inner * n * inner + r % inner, out = r / inner * top_ * inner + r % inner;
        find({x + static_cast<size_t>(first) * x_size, n, inner, top_, largest_, order});
        for (int64_t k = 0; k < top_; ++k) {
          if (positions != nullptr) positions->as<int32_t>()[out + k * inner] = order[k];
          if (values != nullptr) copy_element(in.data, first + order[k] * inner, values->data, out + k * inner, size);
        }
      }
    });
  }

 protected:
  // axis, top and which output is which have been read; `keep_axis` tells whether the axis stays in the shape.
  void set_outputs(const Node& node, int64_t axis, bool keep_axis) {
    const Tensor& in = *node.in[0];
    if (finder_of(in.dtype) == nullptr) node.unsupported("%s input", dtype_name(in.dtype));
    axis_ = normalize_axis(axis, in.shape.rank());
    const int64_t n = in.shape[axis_];
    if (top_ < 0 || top_ > n) {
      node.invalid("%lld elements wanted of %lld along axis %d", static_cast<long long>(top_),
                   static_cast<long long>(n), axis_);
    }
    if (n > INT32_MAX) node.unsupported("more than 2^31 elements along axis %d", axis_);
    Shape out = in.shape;
    out[axis_] = top_;
    if (!keep_axis) out.erase(axis_);
    node.set_out(values_, in.dtype, out);
    node.set_out(positions_, DType::kInt32, out);
  }

  int64_t top_ = 1;
  bool largest_ = true;
  size_t values_ = 0, positions_ = 1;  // outputs; one that the node does not have is not computed

 private:
  size_t work_size(const Tensor& in) const { return top_ == 1 ? 1 : static_cast<size_t>(in.shape[axis_]); }

  int axis_ = 0;
};

template <class Attributes, bool kLargest>
class ArgOp : public TopBase {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    const auto* attr = node.attr<Attributes>();
    constexpr size_t kNone = SIZE_MAX;
    const bool only_values = attr->out_max_value() && node.out.size() == 1;
    positions_ = only_values ? kNone : 0;
    values_ = only_values ? 0 : 1;
    largest_ = kLargest;
    top_ = std::max<int64_t>(1, attr->top_k());  // ArgMinFusion's default is 0
    set_outputs(node, attr->axis(), attr->keep_dims() || top_ != 1);
  }
};

// Writers leave the attribute `largest` out whatever they mean, and MindSpore Lite always takes the largest.
class TopKOp : public TopBase {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    const std::vector<int64_t> k = node.ints(1);
    if (k.size() != 1) node.invalid("input 1 must hold one number, has %zu", k.size());
    top_ = k[0];
    set_outputs(node, node.attr<schema::TopKFusion>()->axis(), true);
  }
};

using ArgMaxOp = ArgOp<schema::ArgMaxFusion, true>;
using ArgMinOp = ArgOp<schema::ArgMinFusion, false>;

LR_REGISTER_OP(TopKFusion, TopKOp)
LR_REGISTER_OP(ArgMaxFusion, ArgMaxOp)
LR_REGISTER_OP(ArgMinFusion, ArgMinOp)

}  // namespace
}  // namespace lr
