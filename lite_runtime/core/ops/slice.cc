// Cutting blocks out of a tensor: StridedSlice, SliceFusion, Crop. Any element type.
#include <algorithm>

#include "ops/elementwise.h"

namespace lr {
namespace {

// Along one axis: `size` elements from `begin` on, `step` apart.
struct Range {
  int64_t begin = 0, size = 1, step = 1;
};

class SliceBase : public Op {
 public:
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const Steps from(in.shape);
    int64_t to[LR_MAX_RANK] = {}, step = 1, first = 0;
    for (int d = in.shape.rank() - 1; d >= 0; --d) {
      to[d] = step;
      step *= ranges_[d].size;
      first += ranges_[d].begin * from[d];
    }
    if (step == 0) return;
    CopyLoops loops;
    for (int d = 0; d < in.shape.rank(); ++d) loops.add({ranges_[d].size, {from[d] * ranges_[d].step, to[d]}});
    const size_t size = dtype_size(in.dtype);
    copy_strided(loops, in.as<char>() + first * static_cast<int64_t>(size), node.out[0]->data, size, node.pool);
  }

 protected:
  void set_output(const Node& node, const Shape& shape) const {
    node.set_out(0, node.in[0]->dtype, shape);
    expect_same_quantization(node);
  }

  Range ranges_[LR_MAX_RANK];  // one per axis of the input
};

// Inputs (x, begin, end, strides) with NumPy's meaning of negative values and the masks of TensorFlow, or
// (x, begin, end, axes, strides). An absent `strides` means 1.
class StridedSliceOp : public SliceBase {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 5);
    const std::vector<int64_t> begin = node.ints(1), end = node.ints(2);
    const size_t strides_at = node.inputs() == 5 ? 4 : 3;
    std::vector<int64_t> strides = node.has(strides_at) ? node.ints(strides_at) : std::vector<int64_t>();
    if (strides.empty()) strides.assign(begin.size(), 1);
    if (end.size() != begin.size() || strides.size() != begin.size()) {
      node.invalid("begin, end and strides have different lengths: %zu, %zu and %zu", begin.size(), end.size(),
                   strides.size());
    }
    std::vector<Spec> specs;
    for (size_t i = 0; i < begin.size(); ++i) specs.push_back({begin[i], end[i], strides[i]});
    const Shape& in = node.in[0]->shape;
    for (int d = 0; d < in.rank(); ++d) ranges_[d] = {0, in[d], 1};
    set_output(node, node.inputs() == 5 ? by_axes(node, specs) : by_masks(node, specs));
  }

 private:
  struct Spec {
    int64_t begin, end, stride;
    bool from_start = false, to_end = false, single = false;
  };

  // The part of axis d that a spec selects.
  static Range select(const Node& node, const Spec& spec, int d) {
    const int64_t size = node.in[0]->shape[d];
    if (spec.stride == 0) node.invalid("the stride along axis %d is 0", d);
    if (spec.single) {
      const int64_t at = spec.begin < 0 ? spec.begin + size : spec.begin;
      if (at < 0 || at >= size) {
        fail(LR_ERROR_RUN, "index %lld is outside axis %d of size %lld", static_cast<long long>(spec.begin), d,
             static_cast<long long>(size));
      }
      return {at, 1, 1};
    }
    // A backward slice starts at the last element at most and may end before the first.
    const bool backward = spec.stride < 0;
    const int64_t low = backward ? -1 : 0, high = backward ? size - 1 : size;
    const auto clamp = [&](int64_t at) { return std::clamp(at < 0 ? at + size : at, low, high); };
    const int64_t begin = spec.from_start ? (backward ? high : low) : clamp(spec.begin);
    const int64_t end = spec.to_end ? (backward ? low : high) : clamp(spec.end);
    const int64_t length = backward ? begin - end : end - begin;
    if (length <= 0) return {0, 0, 1};
    // A stride beyond the axis takes one element; limiting it keeps products in range.
    const int64_t stride = std::clamp(spec.stride, -size, size);
    return {begin, div_up(length, backward ? -stride : stride), stride};
  }

  Shape by_axes(const Node& node, const std::vector<Spec>& specs) {
    const std::vector<int64_t> axes = node.ints(3);
    Shape shape = node.in[0]->shape;
    if (!axes.empty() && axes.size() != specs.size()) {
      node.invalid("%zu axes for a begin of length %zu", axes.size(), specs.size());
    }
    if (axes.empty() && specs.size() > static_cast<size_t>(shape.rank())) {
      node.invalid("begin has length %zu, the input %d dimensions", specs.size(), shape.rank());
    }
    for (size_t i = 0; i < specs.size(); ++i) {
      const int d = axes.empty() ? static_cast<int>(i) : normalize_axis(axes[i], shape.rank());
      Spec spec = specs[i];
      // As ONNX has it, a backward slice starts at the first element at least.
      if (spec.stride < 0) spec.begin = std::max(spec.begin, -node.in[0]->shape[d]);
      ranges_[d] = select(node, spec, d);
      shape[d] = ranges_[d].size;
    }
    return shape;
  }

  Shape by_masks(const Node& node, std::vector<Spec>& specs) {
    const auto* attr = node.attr<schema::StridedSlice>();
    const Shape& in = node.in[0]->shape;
    const auto bit = [](int64_t mask, size_t i) { return i < 63 && (mask >> i & 1) != 0; };
    // The ellipsis takes the axes that the entries around it leave.
    size_t used = 0;
    bool ellipsis_seen = false;
    for (size_t i = 0; i < specs.size(); ++i) {
      const bool ellipsis = bit(attr->ellipsis_mask(), i);
      if (ellipsis && ellipsis_seen) node.invalid("there is more than one ellipsis");
      ellipsis_seen = ellipsis_seen || ellipsis;
      if (!ellipsis && !bit(attr->new_axis_mask(), i)) ++used;
    }
    const auto rank = static_cast<size_t>(in.rank());
    if (used > rank) node.invalid("%zu axes are sliced, the input has %zu dimensions", used, rank);
    Shape shape;
    int d = 0;
    for (size_t i = 0; i < specs.size(); ++i) {
      if (bit(attr->ellipsis_mask(), i)) {
        for (size_t k = used; k < rank; ++k) shape.push_back(in[d++]);
        continue;
      }
      if (bit(attr->new_axis_mask(), i)) {
        shape.push_back(1);
        continue;
      }
      specs[i].from_start = bit(attr->begin_mask(), i);
      specs[i].to_end = bit(attr->end_mask(), i);
      specs[i].single = bit(attr->shrink_axis_mask(), i);
      ranges_[d] = select(node, specs[i], d);
      if (!specs[i].single) shape.push_back(ranges_[d].size);
      ++d;
    }
    while (d < in.rank()) shape.push_back(in[d++]);
    return shape;
  }
};

// Inputs (x, begin, size); size -1 reaches to the end. `axes` names the axes, by default the first ones.
class SliceOp : public SliceBase {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    const std::vector<int64_t> begin = node.ints(1), size = node.ints(2);
    const auto* axes = node.attr<schema::SliceFusion>()->axes();
    const size_t named = axes == nullptr ? 0 : axes->size();
    Shape shape = node.in[0]->shape;
    const int rank = shape.rank();
    if (begin.size() != size.size() || (named > 0 && named != begin.size()) ||
        (named == 0 && begin.size() > static_cast<size_t>(rank))) {
      node.invalid("begin, size and axes have lengths %zu, %zu and %zu for %d dimensions", begin.size(), size.size(),
                   named, rank);
    }
    for (int d = 0; d < rank; ++d) ranges_[d] = {0, shape[d], 1};
    for (size_t i = 0; i < begin.size(); ++i) {
      const auto index = static_cast<flatbuffers::uoffset_t>(i);
      const int d = named == 0 ? static_cast<int>(i) : normalize_axis(axes->Get(index), rank);
      const int64_t full = node.in[0]->shape[d];
      const int64_t length = size[i] == -1 ? full - begin[i] : size[i];
      if (begin[i] < 0 || begin[i] > full || length < 0 || length > full - begin[i]) {
        node.invalid("begin %lld and size %lld do not fit axis %d of size %lld", static_cast<long long>(begin[i]),
                     static_cast<long long>(size[i]), d, static_cast<long long>(full));
      }
      ranges_[d] = {begin[i], length, 1};
      shape[d] = length;
    }
    set_output(node, shape);
  }
};

// Cuts input 0 to the size of input 1 from `axis` on, starting at `offsets` (one for all axes, or one each).
class CropOp : public SliceBase {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    const auto* attr = node.attr<schema::Crop>();
    const Shape &in = node.in[0]->shape, &like = node.in[1]->shape;
    const int rank = in.rank(), axis = normalize_axis(attr->axis(), rank);
    if (like.rank() != rank) node.invalid("inputs have %d and %d dimensions", rank, like.rank());
    const size_t count = attr->offsets() == nullptr ? 0 : attr->offsets()->size();
    if (count > 1 && count != static_cast<size_t>(rank - axis)) {
      node.invalid("%zu offsets for %d axes", count, rank - axis);
    }
    Shape shape = in;
    for (int d = 0; d < rank; ++d) {
      ranges_[d] = {0, in[d], 1};
      if (d < axis) continue;
      const auto index = static_cast<flatbuffers::uoffset_t>(count > 1 ? d - axis : 0);
      const int64_t offset = count == 0 ? 0 : attr->offsets()->Get(index);
      if (offset < 0 || offset > in[d] || like[d] > in[d] - offset) {
        node.invalid("offset %lld and size %lld do not fit axis %d of size %lld", static_cast<long long>(offset),
                     static_cast<long long>(like[d]), d, static_cast<long long>(in[d]));
      }
      ranges_[d] = {offset, like[d], 1};
      shape[d] = like[d];
    }
    set_output(node, shape);
  }
};

LR_REGISTER_OP(StridedSlice, StridedSliceOp)
LR_REGISTER_OP(SliceFusion, SliceOp)
LR_REGISTER_OP(Crop, CropOp)

}  // namespace
}  // namespace lr
