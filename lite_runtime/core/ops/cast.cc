// Cast between any two element types; input 1 holds the number of the wanted one.
#include <type_traits>

#include "ops/convert.h"
#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384;
constexpr int64_t kChunk = 512;

// bool is read as bytes so that any non-zero byte counts as true.
template <class T>
struct Stored {
  using Type = T;
};
template <>
struct Stored<bool> {
  using Type = uint8_t;
};

using CastRow = void (*)(const void* x, void* y, int64_t n);

template <class From, class To>
void rows(const void* x, void* y, int64_t n) {
  const auto* from = static_cast<const typename Stored<From>::Type*>(x);
  To* to = static_cast<To*>(y);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<From, bool>) {
      to[i] = convert<To>(static_cast<uint8_t>(from[i] != 0));
    } else {
      to[i] = convert<To>(from[i]);
    }
  }
}

template <class From>
CastRow rows_to(DType to) {
  if (to == DType::kBool) return rows<From, bool>;
  return for_number<CastRow>(to, [](auto number) { return rows<From, decltype(number)>; });
}

CastRow row_of(DType from, DType to) {
  if (from == DType::kBool) return rows_to<bool>(to);
  return for_number<CastRow>(from, [&](auto number) { return rows_to<decltype(number)>(to); });
}

DType float_for_half(DType dtype) { return dtype == DType::kFloat16 ? DType::kFloat32 : dtype; }

// MindSpore also numbers the kinds int, uint and float without a width; they mean 32 bits.
DType dtype_of_number(int64_t number) {
  constexpr int64_t kInt = 31, kUInt = 36, kFloat = 41;
  if (number == kInt) return DType::kInt32;
  if (number == kUInt) return DType::kUInt32;
  if (number == kFloat) return DType::kFloat32;
  if (number < 0 || number > std::numeric_limits<int32_t>::max()) return DType::kUnknown;
  const DType dtype = static_cast<DType>(number);
  return dtype_size(dtype) > 0 ? dtype : DType::kUnknown;
}

class CastOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    const std::vector<int64_t> number = node.ints(1);
    if (number.size() != 1) node.invalid("input 1 must hold one type number, has %zu", number.size());
    const DType to = dtype_of_number(number[0]);
    if (to == DType::kUnknown) node.unsupported("type number %lld", static_cast<long long>(number[0]));
    if (node.in[0]->dtype == DType::kUnknown) node.unsupported("an input of unknown type");
    if (to != node.in[0]->dtype) refuse_quantized(node);
    node.set_out(0, to, node.in[0]->shape);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const auto in_size = static_cast<int64_t>(dtype_size(in.dtype));
    const auto out_size = static_cast<int64_t>(dtype_size(out.dtype));
    parallel(node.pool, in.count(), kGrain, [&](int64_t begin, int64_t end, int) {
      const char* x = in.as<char>() + begin * in_size;
      char* y = out.as<char>() + begin * out_size;
      if (in.dtype == out.dtype) {
        copy_bytes(y, x, static_cast<size_t>((end - begin) * in_size));
      } else if (in.dtype == DType::kFloat16 || out.dtype == DType::kFloat16) {
        convert_half(in.dtype, x, out.dtype, y, end - begin);
      } else {
        row_of(in.dtype, out.dtype)(x, y, end - begin);
      }
    });
  }

  OpTraits traits() const override { return OpTraits::overwriting(0); }

 private:
  static void convert_half(DType from, const char* x, DType to, char* y, int64_t n) {
    float wide_in[kChunk], wide_out[kChunk];
    const CastRow row = row_of(float_for_half(from), float_for_half(to));
    const auto from_size = static_cast<int64_t>(dtype_size(from)), to_size = static_cast<int64_t>(dtype_size(to));
    for (int64_t i = 0; i < n; i += kChunk) {
      const int64_t count = std::min(kChunk, n - i);
      const void* source = x + i * from_size;
      void* target = y + i * to_size;
      if (from == DType::kFloat16) {
        kernels().f16_to_f32(static_cast<const uint16_t*>(source), wide_in, static_cast<size_t>(count));
        source = wide_in;
      }
      row(source, to == DType::kFloat16 ? wide_out : target, count);
      if (to == DType::kFloat16) {
        kernels().f32_to_f16(wide_out, static_cast<uint16_t*>(target), static_cast<size_t>(count));
      }
    }
  }
};

LR_REGISTER_OP(Cast, CastOp)

}  // namespace
}  // namespace lr
