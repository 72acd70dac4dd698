// Comparison and logic with broadcasting; the result is bool. Equal, NotEqual, Less, LessEqual, Greater,
// GreaterEqual on numbers of one type (Equal and NotEqual on bool too), LogicalAnd, LogicalOr and
// LogicalNot on bool.
#include <type_traits>

#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

struct Equal {
  template <class T>
  static bool apply(T x, T y) {
    return x == y;
  }
};
struct NotEqual {
  template <class T>
  static bool apply(T x, T y) {
    return x != y;
  }
};
struct Less {
  template <class T>
  static bool apply(T x, T y) {
    return x < y;
  }
};
struct LessEqual {
  template <class T>
  static bool apply(T x, T y) {
    return x <= y;
  }
};

template <class F, class T>
bool rows(const void* a, int64_t a_step, const void* b, int64_t b_step, void* z, int64_t n) {
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  bool* out = static_cast<bool*>(z);
  for (int64_t i = 0; i < n; ++i) out[i] = F::apply(x[i * a_step], y[i * b_step]);
  return true;
}

// The same with the operands exchanged: a > b is b < a.
template <BinaryRow kRow>
bool swapped(const void* a, int64_t a_step, const void* b, int64_t b_step, void* z, int64_t n) {
  return kRow(b, b_step, a, a_step, z, n);
}

class LogicOp : public BinaryOp {
 protected:
  DType result(DType) const override { return DType::kBool; }
};

template <class F, bool kExchange = false>
class Compare : public LogicOp {
 protected:
  BinaryRow row(DType dtype) const override {
    constexpr bool kAnyOrder = std::is_same_v<F, Equal> || std::is_same_v<F, NotEqual>;
    if (dtype == DType::kBool && kAnyOrder) dtype = DType::kUInt8;
    return for_number<BinaryRow>(dtype, [](auto number) -> BinaryRow {
      constexpr BinaryRow kRow = rows<F, decltype(number)>;
      return kExchange ? swapped<kRow> : kRow;
    });
  }
};

struct And {
  template <class T>
  static bool apply(T x, T y) {
    return (x != 0) & (y != 0);
  }
};
struct Or {
  template <class T>
  static bool apply(T x, T y) {
    return (x | y) != 0;
  }
};

template <class F>
class Logical : public LogicOp {
 protected:
  BinaryRow row(DType dtype) const override { return dtype == DType::kBool ? rows<F, uint8_t> : nullptr; }
};

class LogicalNotOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kBool);
    node.set_out(0, DType::kBool, node.in[0]->shape);
  }
  void run(Node& node) override {
    const uint8_t* x = node.in[0]->as<uint8_t>();
    bool* y = node.out[0]->as<bool>();
    const int64_t n = node.out[0]->count();
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] == 0;
  }
  OpTraits traits() const override { return OpTraits::overwriting(0); }
};

using GreaterOp = Compare<Less, true>;
using GreaterEqualOp = Compare<LessEqual, true>;

LR_REGISTER_OP(Equal, Compare<Equal>)
LR_REGISTER_OP(NotEqual, Compare<NotEqual>)
LR_REGISTER_OP(Less, Compare<Less>)
LR_REGISTER_OP(LessEqual, Compare<LessEqual>)
LR_REGISTER_OP(Greater, GreaterOp)
LR_REGISTER_OP(GreaterEqual, GreaterEqualOp)
LR_REGISTER_OP(LogicalAnd, Logical<And>)
LR_REGISTER_OP(LogicalOr, Logical<Or>)
LR_REGISTER_OP(LogicalNot, LogicalNotOp)

}  // namespace
}  // namespace lr
