// ReduceFusion and All: reductions over any set of dimensions.
//
// Input 1 holds the axes (int32 or int64); without it, or when it is empty, all dimensions are reduced.
// reduce_to_end takes one axis, reduces it and all after it, drops them, and multiplies by coeff.
// float32 runs on the kernels, float16 is computed in float32; other types are accumulated in 64 bits, and
// the mean of integers rounds towards zero. The maximum of nothing is the least value of the type, the minimum
// the greatest; an integer mean of nothing fails.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "ops/convert.h"
#include "ops/dispatch.h"
#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384;  // input elements worth a thread
constexpr int64_t kColumns = 256;  // columns accumulated at once, on the stack
constexpr int64_t kBlock = 64;     // rows added up before they join the total: bounds the rounding error
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Mode = schema::ReduceMode;

// How float32 is reduced. A row is reduced to one number by `row`; rows are combined by `map` on each of
// them (if any) and then `fold`, starting from `first`.
struct FloatMode {
  float (*row)(const float*, size_t);
  void (*map)(const float*, float*, size_t, float, float);
  Kernels::Binary fold;
  float first;
};

FloatMode float_mode(Mode mode) {
  const Kernels& k = kernels();
  switch (mode) {
#define LR_ROW(name, ...)                            \
  case Mode::ReduceMode_##name:                      \
    if constexpr (has_form(Mode::ReduceMode_##name)) \
      return {__VA_ARGS__};                          \
    else                                             \
      break;
    LR_ROW(ReduceMean, k.reduce.sum, nullptr, k.binary.add, 0.0f)
    LR_ROW(ReduceMax, k.reduce.max, nullptr, k.binary.max, -kInfinity)
    LR_ROW(ReduceMin, k.reduce.min, nullptr, k.binary.min, kInfinity)
    LR_ROW(ReduceProd, nullptr, nullptr, k.binary.mul, 1.0f)
    LR_ROW(ReduceSum, k.reduce.sum, nullptr, k.binary.add, 0.0f)
    LR_ROW(ReduceSumSquare, k.reduce.sum_square, k.unary.square, k.binary.add, 0.0f)
    LR_ROW(ReduceASum, k.reduce.sum_abs, k.unary.abs, k.binary.add, 0.0f)
    LR_ROW(ReduceL2, k.reduce.sum_square, k.unary.square, k.binary.add, 0.0f)
#undef LR_ROW
    default:
      break;
  }
  left_out("mode", schema::EnumNameReduceMode(mode));
}

// The dimensions of the input, split by what becomes of them. Array 0 is the input, array 1 the output.
struct Split {
  Loops<2> kept, reduced;
};

float product(const float* x, size_t n) {
  float result = 1.0f;
  for (size_t i = 0; i < n; ++i) result *= x[i];
  return result;
}

class FloatReducer {
 public:
  FloatReducer(Mode mode, const Split& split, float coeff) : split_(split), mode_(float_mode(mode)) {
    reduced_count_ = split.reduced.count();
    factor_ = mode == Mode::ReduceMode_ReduceMean ? coeff / static_cast<float>(reduced_count_) : coeff;
    root_ = mode == Mode::ReduceMode_ReduceL2;
  }

  void run(const float* x, float* y, ThreadPool* pool) const {
    const Loops<2>::Dim kept = split_.kept.inner();
    const bool columns = split_.kept.rank() > 0 && kept.step[0] == 1;
    columns ? by_columns(x, y, pool) : by_rows(x, y, pool);
  }

 private:
  // The innermost dimension is reduced: its rows are contiguous.
  void by_rows(const float* x, float* y, ThreadPool* pool) const {
    Loops<2> outer = split_.reduced;
    const Loops<2>::Dim row = outer.take_inner();
    parallel(pool, split_.kept.count(), grain(1), [&](int64_t begin, int64_t end, int) {
      split_.kept.each(begin, end, [&](const int64_t* at) {
        y[at[1]] = reduce_rows(x + at[0], outer, row);
        finish(y + at[1], 1);
      });
    });
  }

  float reduce_rows(const float* x, const Loops<2>& outer, const Loops<2>::Dim& row) const {
    const auto n = static_cast<size_t>(row.size);
    float total = mode_.first;
    if (reduced_count_ == 0) return total;
    outer.each(0, outer.count(), [&](const int64_t* at) {
      const float part = mode_.row == nullptr ? product(x + at[0], n) : mode_.row(x + at[0], n);
      mode_.fold.vs(&total, part, &total, 1);
    });
    return total;
  }

  // The innermost dimension stays: whole rows are combined with each other.
  void by_columns(const float* x, float* y, ThreadPool* pool) const {
    Loops<2> outer = split_.kept;
    const Loops<2>::Dim row = outer.take_inner();
    const int64_t blocks = div_up(row.size, kColumns);
    outer.add({blocks, {kColumns, kColumns}});
    parallel(pool, outer.count(), grain(std::min(row.size, kColumns)), [&](int64_t begin, int64_t end, int) {
      int64_t i = begin;
      outer.each(begin, end, [&](const int64_t* at) {
        const int64_t n = std::min(kColumns, row.size - i++ % blocks * kColumns);
        fold_columns(x + at[0], y + at[1], static_cast<size_t>(n));
        finish(y + at[1], static_cast<size_t>(n));
      });
    });
  }

  void fold_columns(const float* x, float* total, size_t n) const {
    const Kernels::Binary& fold = mode_.fold;
    float part[kColumns], mapped[kColumns];
    std::fill(total, total + n, mode_.first);
    std::fill(part, part + n, mode_.first);
    int64_t rows = 0;
    split_.reduced.each(0, reduced_count_, [&](const int64_t* at) {
      const float* row = x + at[0];
      if (mode_.map != nullptr) {
        mode_.map(row, mapped, n, 0.0f, 0.0f);
        row = mapped;
      }
      fold.vv(part, row, part, n);
      if (++rows % kBlock != 0) return;
      fold.vv(total, part, total, n);
      std::fill(part, part + n, mode_.first);
    });
    fold.vv(total, part, total, n);
  }

  void finish(float* y, size_t n) const {
    if (has_form(Mode::ReduceMode_ReduceL2) && root_) kernels().unary.sqrt(y, y, n, 0.0f, 0.0f);
    if (factor_ != 1.0f) kernels().unary.affine(y, y, n, factor_, 0.0f);
  }

  int64_t grain(int64_t columns) const {
    return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, columns * reduced_count_));
  }

  const Split& split_;
  const FloatMode mode_;
  int64_t reduced_count_;
  float factor_;
  bool root_;
};

// 64-bit accumulation; unsigned arithmetic for integers, where overflow wraps around.
template <class T>
struct Accumulator {
  static constexpr bool kInteger = std::is_integral_v<T>;
  using Wide = std::conditional_t<kInteger, uint64_t, double>;
  using Signed = std::conditional_t<std::is_unsigned_v<T>, uint64_t, std::conditional_t<kInteger, int64_t, double>>;

  static Wide first(Mode mode) {
    switch (mode) {
      case Mode::ReduceMode_ReduceProd:
      case Mode::ReduceMode_ReduceAll:
        return Wide{1};
      case Mode::ReduceMode_ReduceMax:
        return static_cast<Wide>(kInteger ? std::numeric_limits<T>::min() : -std::numeric_limits<T>::infinity());
      case Mode::ReduceMode_ReduceMin:
        return static_cast<Wide>(kInteger ? std::numeric_limits<T>::max() : std::numeric_limits<T>::infinity());
      default:
        return Wide{0};
    }
  }

  static Wide add(Mode mode, Wide total, T x) {
    const auto wide = static_cast<Wide>(x);
    switch (mode) {
      case Mode::ReduceMode_ReduceMax:
        return static_cast<Signed>(wide) > static_cast<Signed>(total) ? wide : total;
      case Mode::ReduceMode_ReduceMin:
        return static_cast<Signed>(wide) < static_cast<Signed>(total) ? wide : total;
      case Mode::ReduceMode_ReduceProd:
        return total * wide;
      case Mode::ReduceMode_ReduceSumSquare:
      case Mode::ReduceMode_ReduceL2:
        return total + wide * wide;
      case Mode::ReduceMode_ReduceASum:
        return static_cast<Signed>(wide) < Signed{0} ? total - wide : total + wide;
      case Mode::ReduceMode_ReduceAll:
        return static_cast<Wide>(total != Wide{0} && x != T{0});
      default:
        return total + wide;
    }
  }

  static T result(Mode mode, Wide total, int64_t n) {
    if (mode == Mode::ReduceMode_ReduceMean) return static_cast<T>(static_cast<Signed>(total) / static_cast<Signed>(n));
    if (mode == Mode::ReduceMode_ReduceL2) return convert<T>(std::sqrt(static_cast<double>(total)));
    return static_cast<T>(total);
  }
};

template <class T>
void reduce_typed(Mode mode, const Split& split, double coeff, const void* in, void* out, ThreadPool* pool) {
  const int64_t n = split.reduced.count();
  parallel(pool, split.kept.count(), std::max<int64_t>(1, kGrain / std::max<int64_t>(1, n)),
           [&](int64_t begin, int64_t end, int) {
             split.kept.each(begin, end, [&](const int64_t* at) {
               const T* x = static_cast<const T*>(in) + at[0];
               auto total = Accumulator<T>::first(mode);
               split.reduced.each(
                   0, n, [&](const int64_t* offset) { total = Accumulator<T>::add(mode, total, x[offset[0]]); });
               T result = Accumulator<T>::result(mode, total, n);
               if (coeff != 1.0) result = convert<T>(static_cast<double>(result) * coeff);
               static_cast<T*>(out)[at[1]] = result;
             });
           });
}

using TypedReducer = void (*)(Mode, const Split&, double, const void*, void*, ThreadPool*);

TypedReducer typed_reducer(DType dtype) {
  if (dtype == DType::kBool) dtype = DType::kUInt8;
  return for_number<TypedReducer>(dtype, [](auto number) -> TypedReducer {
    using T = decltype(number);
    if constexpr (!std::is_same_v<T, float>) return reduce_typed<T>;
    return nullptr;
  });
}

class ReduceBase : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 2);
    read_attributes(node);
    check_type(node);
    const Shape& in = node.in[0]->shape;
    find_axes(node, in.rank());
    Shape out;
    int64_t reduced = 1;
    for (int d = 0; d < in.rank(); ++d) {
      if (reduced_[d]) reduced *= in[d];
      if (!reduced_[d] || keep_dims_) out.push_back(reduced_[d] ? 1 : in[d]);
    }
    const DType dtype = node.in[0]->dtype;
    const bool needs_elements = (mode_ == Mode::ReduceMode_ReduceMean && !dtype_is_float(dtype)) ||
                                (mode_ == Mode::ReduceMode_ReduceMin && dtype == DType::kBool);
    if (needs_elements && reduced == 0 && out.count() > 0) {
      node.invalid("%s over no elements of shape %s", schema::EnumNameReduceMode(mode_), in.str().c_str());
    }
    node.set_out(0, node.in[0]->dtype, out);
  }

  void prepare(Node& node) override {
    if (node.in[0]->dtype != DType::kFloat16) return;
    node.need_scratch(static_cast<size_t>(node.in[0]->count() + node.out[0]->count()) * sizeof(float));
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    if (out.count() == 0) return;
    const Split split = split_dims(in.shape);
    if (in.dtype == DType::kFloat32)
      return FloatReducer(mode_, split, coeff_).run(in.as<float>(), out.as<float>(), node.pool);
    if (in.dtype != DType::kFloat16)
      return typed_reducer(in.dtype)(mode_, split, static_cast<double>(coeff_), in.data, out.data, node.pool);
    float* wide = static_cast<float*>(node.scratch);
    float* result = wide + in.count();
    kernels().f16_to_f32(in.as<uint16_t>(), wide, static_cast<size_t>(in.count()));
    FloatReducer(mode_, split, coeff_).run(wide, result, node.pool);
    kernels().f32_to_f16(result, out.as<uint16_t>(), static_cast<size_t>(out.count()));
  }

 protected:
  virtual void read_attributes(const Node& node) = 0;

  Mode mode_ = Mode::ReduceMode_ReduceMean;
  bool keep_dims_ = false, to_end_ = false;
  float coeff_ = 1.0f;

 private:
  static bool dtype_is_float(DType dtype) {
    return dtype == DType::kFloat16 || dtype == DType::kFloat32 || dtype == DType::kFloat64;
  }

  void check_type(const Node& node) const {
    const DType dtype = node.in[0]->dtype;
    const bool logical = mode_ == Mode::ReduceMode_ReduceAll;
    // Among truth values the largest tells "any", the least and the product tell "all".
    const bool fits_bool = logical || mode_ == Mode::ReduceMode_ReduceMax || mode_ == Mode::ReduceMode_ReduceMin ||
                           mode_ == Mode::ReduceMode_ReduceProd;
    const bool known = dtype == DType::kFloat32 || dtype == DType::kFloat16 || typed_reducer(dtype) != nullptr;
    if (!known || (dtype == DType::kBool ? !fits_bool : logical)) {
      node.unsupported("%s of %s", schema::EnumNameReduceMode(mode_), dtype_name(dtype));
    }
    refuse_quantized(node);
  }

  void find_axes(const Node& node, int rank) {
    const std::vector<int64_t> axes = node.has(1) ? node.ints(1) : std::vector<int64_t>();
    std::fill(std::begin(reduced_), std::end(reduced_), axes.empty());
    for (int64_t axis : axes) reduced_[normalize_axis(axis, rank)] = true;
    if (!to_end_ || axes.empty()) return;
    if (axes.size() != 1) node.invalid("reduce_to_end takes one axis, not %zu", axes.size());
    for (int d = normalize_axis(axes[0], rank); d < rank; ++d) reduced_[d] = true;
  }

  Split split_dims(const Shape& in) const {
    const Steps steps(in);
    int64_t out_step[LR_MAX_RANK] = {}, step = 1;
    for (int d = in.rank() - 1; d >= 0; --d) {
      out_step[d] = step;
      if (!reduced_[d]) step *= in[d];
    }
    Split split;
    for (int d = 0; d < in.rank(); ++d) {
      if (reduced_[d]) {
        split.reduced.add({in[d], {steps[d], 0}});
      } else {
        split.kept.add({in[d], {steps[d], out_step[d]}});
      }
    }
    return split;
  }

  bool reduced_[LR_MAX_RANK] = {};
};

class ReduceOp : public ReduceBase {
 protected:
  void read_attributes(const Node& node) override {
    const auto* attr = node.attr<schema::ReduceFusion>();
    mode_ = attr->mode();
    if (mode_ < Mode::ReduceMode_MIN || mode_ > Mode::ReduceMode_MAX) node.unsupported("mode %d", mode_);
    if (!has_form(mode_)) left_out("mode", schema::EnumNameReduceMode(mode_));
    to_end_ = attr->reduce_to_end();
    keep_dims_ = attr->keep_dims() && !to_end_;
    // Without reduce_to_end coeff means nothing; there, writers that leave it out mean 1.
    coeff_ = to_end_ && attr->coeff() != 0.0f ? attr->coeff() : 1.0f;
  }
};

class AllOp : public ReduceBase {
 protected:
  void read_attributes(const Node& node) override {
    mode_ = Mode::ReduceMode_ReduceAll;
    keep_dims_ = node.attr<schema::All>()->keep_dims() != 0;
  }
};

LR_REGISTER_OP(ReduceFusion, ReduceOp)
LR_REGISTER_OP(All, AllOp)

}  // namespace
}  // namespace lr
