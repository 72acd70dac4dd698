// QuantDTypeCast: from float32 to integers that stand for numbers, and back.
//
// real = (q - zero_point) * scale * var_corr + mean_corr, by the quantisation parameters of the integer
// tensor: one for all elements, or one for each position along `axis`. With inputs (q, scales, zero points,
// mean corrections, variance corrections) the parameters are values. To integers: nearest, ties to even,
// limited to the type; not-a-number becomes the least integer.
#include <cmath>
#include <limits>

#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384;

struct Parameter {
  float scale, zero_point, shift;  // real = (q - zero_point) * scale + shift
};

template <class T>
void quantize(const float* x, T* q, int64_t n, const Parameter& p) {
  constexpr auto kLeast = static_cast<float>(std::numeric_limits<T>::min());
  constexpr auto kMost = std::numeric_limits<T>::max();
  for (int64_t i = 0; i < n; ++i) {
    const float level = std::nearbyint((x[i] - p.shift) / p.scale) + p.zero_point;
    if (!(level > kLeast)) {
      q[i] = std::numeric_limits<T>::min();
    } else {
      q[i] = level >= static_cast<float>(kMost) ? kMost : static_cast<T>(level);
    }
  }
}

template <class T>
void dequantize(const T* q, float* x, int64_t n, const Parameter& p) {
  for (int64_t i = 0; i < n; ++i) x[i] = (static_cast<float>(q[i]) - p.zero_point) * p.scale + p.shift;
}

using Rows = void (*)(const void* from, void* to, int64_t at, int64_t n, const Parameter& p);

template <class T>
void quantize_rows(const void* from, void* to, int64_t at, int64_t n, const Parameter& p) {
  quantize(static_cast<const float*>(from) + at, static_cast<T*>(to) + at, n, p);
}

template <class T>
void dequantize_rows(const void* from, void* to, int64_t at, int64_t n, const Parameter& p) {
  dequantize(static_cast<const T*>(from) + at, static_cast<float*>(to) + at, n, p);
}

struct Conversion {
  DType integer;
  Rows to_integer, to_float;
};

constexpr Conversion kConversions[] = {
    {DType::kInt8, quantize_rows<int8_t>, dequantize_rows<int8_t>},
    {DType::kUInt8, quantize_rows<uint8_t>, dequantize_rows<uint8_t>},
    {DType::kInt16, quantize_rows<int16_t>, dequantize_rows<int16_t>},
    {DType::kInt32, quantize_rows<int32_t>, dequantize_rows<int32_t>},
};

class QuantCastOp : public Op {
 public:
  void infer(Node& node) override {
    if (node.inputs() != 1) node.expect_inputs(5, 5);
    const auto* attr = node.attr<schema::QuantDTypeCast>();
    const DType from = node.in[0]->dtype, to = static_cast<DType>(attr->dst_t());
    rows_ = nullptr;
    for (const Conversion& c : kConversions) {
      if (from == DType::kFloat32 && to == c.integer) rows_ = c.to_integer;
      if (from == c.integer && to == DType::kFloat32) rows_ = c.to_float;
    }
    if (rows_ == nullptr) node.unsupported("%s to %s", dtype_name(from), dtype_name(to));
    parameters_.clear();
    if (node.inputs() == 5) {
      read_values(node);
    } else {
      read_tensor(node, from == DType::kFloat32 ? node.out[0]->def : node.in[0]->def);
    }
    lay_out(node, attr->axis());
    node.set_out(0, to, node.in[0]->shape);
  }

  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const auto channels = static_cast<int64_t>(parameters_.size());
    parallel(node.pool, div_up(in.count(), inner_), std::max<int64_t>(1, kGrain / inner_),
             [&](int64_t begin, int64_t end, int) {
               for (int64_t i = begin; i < end; ++i) {
                 const Parameter& p = parameters_[static_cast<size_t>(i % channels)];
                 const int64_t at = i * inner_;
                 rows_(in.data, node.out[0]->data, at, std::min(inner_, in.count() - at), p);
               }
             });
  }

 private:
  void add(const Node& node, double scale, double zero_point, double shift) {
    if (!(std::fabs(scale) > 0.0) || !std::isfinite(scale)) node.invalid("the scale is %g", scale);
    parameters_.push_back({static_cast<float>(scale), static_cast<float>(zero_point), static_cast<float>(shift)});
  }

  void read_values(const Node& node) {
    const std::vector<float> scales = node.floats(1), means = node.floats(3), factors = node.floats(4);
    const std::vector<int64_t> zeros = node.ints(2);
    if (zeros.size() != scales.size() || means.size() != scales.size() || factors.size() != scales.size()) {
      node.invalid("%zu scales, %zu zero points and %zu and %zu corrections", scales.size(), zeros.size(), means.size(),
                   factors.size());
    }
    for (size_t c = 0; c < scales.size(); ++c) {
      add(node, static_cast<double>(scales[c]) * static_cast<double>(factors[c]), static_cast<double>(zeros[c]),
          static_cast<double>(means[c]));
    }
  }

  void read_tensor(const Node& node, const TensorDef* def) {
    if (def == nullptr) node.unsupported("an integer tensor that crosses a sub-graph's border");
    for (const QuantParam& p : def->quant) {
      add(node, p.scale * static_cast<double>(p.var_corr), p.zero_point, static_cast<double>(p.mean_corr));
    }
  }

  // Runs of inner_ neighbouring elements have the same parameters.
  void lay_out(const Node& node, int64_t axis) {
    const Shape& shape = node.in[0]->shape;
    if (parameters_.empty()) node.invalid("the integer tensor has no quantisation parameters");
    if (parameters_.size() == 1) {
      inner_ = kGrain;
      return;
    }
    const int along = normalize_axis(axis, shape.rank());
    if (shape[along] != static_cast<int64_t>(parameters_.size())) {
      node.invalid("%zu quantisation parameters for axis %d of %s", parameters_.size(), along, shape.str().c_str());
    }
    inner_ = std::max<int64_t>(1, shape.count(along + 1, shape.rank()));
  }

  Rows rows_ = nullptr;
  std::vector<Parameter> parameters_;
  int64_t inner_ = 1;
};

LR_REGISTER_OP(QuantDTypeCast, QuantCastOp)

}  // namespace
}  // namespace lr
