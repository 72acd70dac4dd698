// Concat on int8: inputs whose scale or zero point is not that of the result are converted, value by value.
#include <algorithm>

#include "ops/quantized/quantized.h"
#include "ops/strided.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384, kEntries = 256;

class ConcatInt8 : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    return is_int8(output_of(node, 0, model)) &&
           std::all_of(node.inputs.begin(), node.inputs.end(), [&](uint32_t i) { return is_int8(model.tensors()[i]); });
  }

  void infer(Node& node) override {
    Shape out = node.in[0]->shape;
    axis_ = normalize_axis(node.attr<schema::Concat>()->axis(), out.rank());
    const Affine to = affine_of(node, *node.out[0], DType::kInt8);
    parts_.clear();
    int64_t total = 0;
    for (size_t i = 0; i < node.inputs(); ++i) {
      node.expect_dtype(i, DType::kInt8);
      const Shape& shape = node.in[i]->shape;
      Shape rest = out;
      if (shape.rank() == out.rank()) rest[axis_] = shape[axis_];
      if (shape != rest) {
        node.invalid("input %zu of shape %s does not fit input 0 of shape %s along axis %d", i, shape.str().c_str(),
                     node.in[0]->shape.str().c_str(), axis_);
      }
      parts_.push_back({total, shape[axis_], conversion(affine_of(node, *node.in[i], DType::kInt8), to)});
      total += shape[axis_];
    }
    out[axis_] = total;
    node.set_out(0, DType::kInt8, out);
  }

  RowWork row_work(const Node& node) override { return {axis_ == node.out[0]->shape.rank() - 1, false, nullptr}; }

  void run(Node& node) override {
    const auto in_place = [](const Tensor* t) { return t->row_stride != 0; };
    if (std::all_of(node.in.begin(), node.in.end(), in_place)) return;
    const Shape& shape = node.out[0]->shape;
    const int64_t outer = shape.count(0, axis_), inner = shape.count(axis_ + 1, shape.rank());
    const int64_t row = shape[axis_] * inner;
    uint8_t* y = node.out[0]->as<uint8_t>();
    parallel(node.pool, outer, std::max<int64_t>(1, kGrain / (row + 1)), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        for (size_t k = 0; k < parts_.size(); ++k) {
          if (in_place(node.in[k])) continue;
          const Part& part = parts_[k];
          const int64_t n = part.size * inner;
          const uint8_t* x = node.in[k]->as<uint8_t>() + i * n;
          uint8_t* to = y + i * row + part.at * inner;
          if (part.table.empty()) {
            copy_bytes(to, x, static_cast<size_t>(n));
            continue;
          }
          kernels().look_up_u8(x, to, static_cast<size_t>(n), part.table.data());
        }
      }
    });
  }

 private:
  struct Part {
    int64_t at, size;
    std::vector<uint8_t> table;  // from input to output, both as bytes; empty when they agree
  };

  static std::vector<uint8_t> conversion(const Affine& from, const Affine& to) {
    if (from.scale == to.scale && from.zero == to.zero) return {};
    uint8_t all[kEntries];
    float values[kEntries];
    for (int64_t i = 0; i < kEntries; ++i) all[i] = static_cast<uint8_t>(i);
    dequantize(DType::kInt8, all, values, kEntries, {{from}, 1}, 0);
    std::vector<uint8_t> table(kEntries);
    quantize(values, DType::kInt8, table.data(), kEntries, {{to}, 1}, 0);
    return table;
  }

  int axis_ = 0;
  std::vector<Part> parts_;
};

LR_REGISTER_QUANTIZED_OP(Concat, ConcatInt8)

}  // namespace
}  // namespace lr
