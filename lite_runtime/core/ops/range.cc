// Sequences of numbers: Range and LinSpace.
#include <cmath>
#include <limits>
#include <type_traits>

#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

// Inputs (start, limit, delta) of one type, or the attributes of these names (int32).
class RangeOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(0, 3);
    if (node.inputs() != 3) return from_attributes(node);
    const DType dtype = node.in[0]->dtype;
    for (size_t i = 0; i < 3; ++i) {
      if (node.in[i]->dtype != dtype || node.in[i]->count() != 1) {
        node.invalid("input %zu must hold one %s", i, dtype_name(dtype));
      }
    }
    int64_t count = -1;
    const Tensor *start = &node.value(0), *limit = &node.value(1), *delta = &node.value(2);
    const bool known = for_number<bool>(dtype, [&](auto zero) {
      using T = decltype(zero);
      count = length(*start->as<T>(), *limit->as<T>(), *delta->as<T>());
      return true;
    });
    if (!known) node.unsupported("%s inputs", dtype_name(dtype));
    if (count < 0) fail(LR_ERROR_RUN, "the step is 0, or there are too many numbers");
    node.set_out(0, dtype, Shape{count});
  }

  void run(Node& node) override {
    Tensor& out = *node.out[0];
    const bool attributes = node.inputs() != 3;
    const auto* attr = node.attr<schema::Range>();
    for_number<bool>(out.dtype, [&](auto zero) {
      using T = decltype(zero);
      const T start = attributes ? static_cast<T>(attr->start()) : *node.in[0]->as<T>();
      const T delta = attributes ? static_cast<T>(attr->delta()) : *node.in[2]->as<T>();
      fill(start, delta, out.as<T>(), out.count());
      return true;
    });
  }

 private:
  void from_attributes(const Node& node) const {
    const auto* attr = node.attr<schema::Range>();
    const auto fits = [](int64_t value) { return value == static_cast<int32_t>(value); };
    const bool small = fits(attr->start()) && fits(attr->limit()) && fits(attr->delta());
    const int64_t count = small ? length(attr->start(), attr->limit(), attr->delta()) : -1;
    if (count < 0) node.invalid("start, limit and delta must fit into int32 and delta must not be 0");
    node.set_out(0, DType::kInt32, Shape{count});
  }

  // ceil((limit - start) / delta), at least 0; -1 when there is no such number of elements.
  template <class T>
  static int64_t length(T start, T limit, T delta) {
    if (delta == 0) return -1;
    if constexpr (std::is_integral_v<T>) {
      if (delta > 0 ? start >= limit : start <= limit) return 0;
      // Unsigned: the distance may exceed the range of T.
      const uint64_t distance = delta > 0 ? static_cast<uint64_t>(limit) - static_cast<uint64_t>(start)
                                          : static_cast<uint64_t>(start) - static_cast<uint64_t>(limit);
      const uint64_t step = delta > 0 ? static_cast<uint64_t>(delta) : uint64_t{0} - static_cast<uint64_t>(delta);
      const uint64_t count = distance / step + (distance % step != 0);
      return count > kMost ? -1 : static_cast<int64_t>(count);
    } else {
      const double count =
          std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
      if (!(count < static_cast<double>(kMost))) return -1;
      return count > 0 ? static_cast<int64_t>(count) : 0;
    }
  }

  template <class T>
  static void fill(T start, T delta, T* out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_integral_v<T>) {
        out[i] = static_cast<T>(static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(delta));
      } else {
        out[i] = start + static_cast<T>(i) * delta;
      }
    }
  }

  static constexpr uint64_t kMost = uint64_t{1} << 40;
};

// Inputs (start, stop, count): evenly spaced float32 numbers from start to stop.
class LinSpaceOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    for (size_t i = 0; i < 2; ++i) {
      node.expect_dtype(i, DType::kFloat32);
      if (node.in[i]->count() != 1) node.invalid("input %zu must hold one value", i);
    }
    const std::vector<int64_t> count = node.ints(2);
    if (count.size() != 1 || count[0] < 1) node.invalid("input 2 must hold one number above 0");
    node.set_out(0, DType::kFloat32, Shape{count[0]});
  }
  void run(Node& node) override {
    const double start = static_cast<double>(*node.in[0]->as<float>());
    const double stop = static_cast<double>(*node.in[1]->as<float>());
    const int64_t count = node.out[0]->count();
    float* out = node.out[0]->as<float>();
    for (int64_t i = 0; i < count; ++i) {
      const double part = count == 1 ? 0.0 : static_cast<double>(i) / static_cast<double>(count - 1);
      out[i] = static_cast<float>(start + (stop - start) * part);
    }
  }
};

LR_REGISTER_OP(Range, RangeOp)
LR_REGISTER_OP(LinSpace, LinSpaceOp)

}  // namespace
}  // namespace lr
