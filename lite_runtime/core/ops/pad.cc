// PadFusion: inputs (x, paddings [rank, 2][, value]); without input 1 the attribute holds the paddings.
// CONSTANT accepts negative paddings, which cut. REFLECT mirrors without the edge, SYMMETRIC with it.
#include <cmath>

#include "ops/elementwise.h"

namespace lr {
namespace {

using Mode = schema::PaddingMode;

// The element that stands for `value`; quantised tensors hold it in their own scale.
uint64_t padding_bits(const Tensor& tensor, double value) {
  if (is_quantized(&tensor)) {
    const QuantParam& quant = tensor.def->quant[0];
    value = std::round(value / quant.scale) + quant.zero_point;
  }
  return element_bits(tensor.dtype, value);
}

class PadOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 3);
    const auto* attr = node.attr<schema::PadFusion>();
    mode_ = attr->padding_mode();
    if (mode_ < Mode::PaddingMode_CONSTANT || mode_ > Mode::PaddingMode_SYMMETRIC) node.unsupported("mode %d", mode_);
    const Shape& in = node.in[0]->shape;
    const std::vector<int64_t> paddings = node.has(1) ? node.ints(1) : attribute(node);
    if (paddings.size() != 2 * static_cast<size_t>(in.rank())) {
      node.invalid("%zu paddings for a tensor of %d dimensions", paddings.size(), in.rank());
    }
    Shape out;
    for (int d = 0; d < in.rank(); ++d) {
      const auto at = 2 * static_cast<size_t>(d);
      before_[d] = paddings[at];
      out.push_back(padded(node, d, paddings[at], paddings[at + 1]));
    }
    if (node.has(2) && (node.in[2]->count() != 1 || node.in[2]->dtype != node.in[0]->dtype)) {
      node.invalid("input 2 must hold one %s, not %s of shape %s", dtype_name(node.in[0]->dtype),
                   dtype_name(node.in[2]->dtype), node.in[2]->shape.str().c_str());
    }
    node.set_out(0, node.in[0]->dtype, out);
    expect_same_quantization(node);
  }

  void run(Node& node) override {
    if (node.out[0]->count() == 0) return;
    mode_ == Mode::PaddingMode_CONSTANT ? pad_constant(node) : pad_mirrored(node);
  }

 private:
  static std::vector<int64_t> attribute(const Node& node) {
    std::vector<int64_t> values;
    const auto* table = node.attr<schema::PadFusion>()->paddings();
    if (table == nullptr || table->data() == nullptr) node.invalid("there are no paddings");
    for (const schema::Vec* row : *table->data()) {
      if (row->data() != nullptr) values.insert(values.end(), row->data()->begin(), row->data()->end());
    }
    return values;
  }

  // Size of axis d of the result.
  int64_t padded(const Node& node, int d, int64_t before, int64_t after) const {
    constexpr int64_t kLimit = int64_t{1} << 40;
    const int64_t size = node.in[0]->shape[d];
    const int64_t most = mode_ == Mode::PaddingMode_CONSTANT  ? kLimit
                         : mode_ == Mode::PaddingMode_REFLECT ? size - 1
                                                              : size;
    const int64_t least = mode_ == Mode::PaddingMode_CONSTANT ? -size : 0;
    const bool none = before == 0 && after == 0;
    if (!none && (before < least || after < least || before > most || after > most || size + before + after < 0)) {
      node.invalid("paddings %lld and %lld do not fit axis %d of size %lld in mode %s", static_cast<long long>(before),
                   static_cast<long long>(after), d, static_cast<long long>(size), schema::EnumNamePaddingMode(mode_));
    }
    return size + before + after;
  }

  void pad_constant(Node& node) const {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const size_t size = dtype_size(in.dtype);
    const Inside inside = copy_inside(node);
    const uint64_t bits = padding_bits(in, static_cast<double>(node.attr<schema::PadFusion>()->constant_value()));
    const void* value = node.has(2) ? node.in[2]->data : &bits;
    // The borders of axis d: inside along the axes before it, whole along those after it.
    const Steps to(out.shape);
    for (int d = 0; d < in.shape.rank(); ++d) {
      const int64_t edges[][2] = {{0, inside.begin[d]}, {inside.end[d], out.shape[d]}};
      for (const auto& edge : edges) {
        CopyLoops loops;
        int64_t first = edge[0] * to[d];
        for (int e = 0; e < in.shape.rank(); ++e) {
          const int64_t inner = inside.end[e] - inside.begin[e];
          if (e < d) first += inside.begin[e] * to[e];
          loops.add({e < d ? inner : e == d ? edge[1] - edge[0] : out.shape[e], {0, to[e]}});
        }
        if (!loops.empty())
          copy_strided(loops, value, out.as<char>() + first * static_cast<int64_t>(size), size, node.pool);
      }
    }
  }

  // The part of the result that comes from the input, per axis.
  struct Inside {
    int64_t begin[LR_MAX_RANK], end[LR_MAX_RANK];
  };

  Inside copy_inside(Node& node) const {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const auto size = static_cast<int64_t>(dtype_size(in.dtype));
    const Steps from(in.shape), to(out.shape);
    Inside inside = {};
    CopyLoops loops;
    int64_t first_in = 0, first_out = 0;
    for (int d = 0; d < in.shape.rank(); ++d) {
      inside.begin[d] = std::clamp<int64_t>(before_[d], 0, out.shape[d]);
      inside.end[d] = std::clamp<int64_t>(before_[d] + in.shape[d], inside.begin[d], out.shape[d]);
      loops.add({inside.end[d] - inside.begin[d], {from[d], to[d]}});
      first_in += (inside.begin[d] - before_[d]) * from[d];
      first_out += inside.begin[d] * to[d];
    }
    if (!loops.empty()) {
      copy_strided(loops, in.as<char>() + first_in * size, out.as<char>() + first_out * size, static_cast<size_t>(size),
                   node.pool);
    }
    return inside;
  }

  // Axis by axis, the borders of the result are copied from its inside.
  void pad_mirrored(Node& node) const {
    copy_inside(node);
    Tensor& out = *node.out[0];
    const Shape& in = node.in[0]->shape;
    const size_t size = dtype_size(out.dtype);
    const int64_t edge = mode_ == Mode::PaddingMode_REFLECT ? 1 : 0;
    const Steps steps(out.shape);
    for (int d = 0; d < in.rank(); ++d) {
      const int64_t before = before_[d], after = out.shape[d] - in[d] - before;
      // Position p before the inside mirrors 2 * before - p (REFLECT), and likewise behind it.
      mirror(out, d, steps, 0, before, 2 * before - 1 + edge, size, node.pool);
      const int64_t end = before + in[d];
      mirror(out, d, steps, end, after, end - 1 - edge, size, node.pool);
    }
  }

  // Copies positions source, source - 1, .. of axis d to at, at + 1, .. (n of them), for all positions of the
  // other axes. What this reads from borders that are not filled yet is overwritten when their turn comes.
  void mirror(Tensor& out, int d, const Steps& steps, int64_t at, int64_t n, int64_t source, size_t size,
              ThreadPool* pool) const {
    if (n == 0) return;
    CopyLoops loops;
    for (int e = 0; e < out.shape.rank(); ++e) {
      if (e == d) {
        loops.add({n, {-steps[e], steps[e]}});
      } else {
        loops.add({out.shape[e], {steps[e], steps[e]}});
      }
    }
    char* data = out.as<char>();
    const auto bytes = static_cast<int64_t>(size) * steps[d];
    copy_strided(loops, data + source * bytes, data + at * bytes, size, pool);
  }

  Mode mode_ = Mode::PaddingMode_CONSTANT;
  int64_t before_[LR_MAX_RANK] = {};
};

LR_REGISTER_OP(PadFusion, PadOp)

}  // namespace
}  // namespace lr
