// AddFusion, SubFusion and MulFusion on int8 with broadcasting, and a fused clamp.
#include "ops/elementwise.h"
#include "ops/quantized/quantized.h"

namespace lr {
namespace {

constexpr int64_t kGrain = 16384, kChunk = 512;

enum class Kind { kAdd, kSub, kMul };

template <class Attributes, Kind kKind>
class BinaryInt8 : public Op {
 public:
  static bool accepts(const NodeDef& node, const Model& model) {
    return node.inputs.size() == 2 && is_int8(input_of(node, 0, model)) && is_int8(input_of(node, 1, model)) &&
           is_int8(output_of(node, 0, model)) && is_clamp(node.attributes->value_as<Attributes>()->activation_type());
  }

  void infer(Node& node) override {
    const Shape out = broadcast_shape(node, node.in[0]->shape, node.in[1]->shape);
    node.set_out(0, DType::kInt8, out);
    const Affine x = affine_of(node, *node.in[0], DType::kInt8), y = affine_of(node, *node.in[1], DType::kInt8);
    const Affine z = affine_of(node, *node.out[0], DType::kInt8);
    const Range range = clamped_range(node.attr<Attributes>()->activation_type(), z);
    const auto ratio = [](double scale, float by) { return static_cast<float>(scale / static_cast<double>(by)); };
    const double x_scale = static_cast<double>(x.scale), y_scale = static_cast<double>(y.scale);
    params_ = {x.zero, y.zero, ratio(x_scale, z.scale), ratio(y_scale, z.scale), z.zero, range.lo, range.hi};
    if (kKind == Kind::kSub) params_.y_scale = -params_.y_scale;
    if (kKind == Kind::kMul) params_.x_scale = ratio(x_scale * y_scale, z.scale);
  }

  void run(Node& node) override {
    const Tensor &a = *node.in[0], &b = *node.in[1];
    Tensor& out = *node.out[0];
    const Steps a_steps = broadcast_steps(a.shape, out.shape), b_steps = broadcast_steps(b.shape, out.shape);
    const Steps z_steps(out.shape);
    Loops<3> loops;
    for (int d = 0; d < out.shape.rank(); ++d) loops.add({out.shape[d], {a_steps[d], b_steps[d], z_steps[d]}});
    if (loops.empty()) return;
    Loops<3>::Dim inner = loops.take_inner();
    const int64_t period = take_repeated(loops, inner);
    const int64_t most = period == 0 ? kGrain : kGrain / period * period;
    const int64_t size = std::min(inner.size, most), per_row = div_up(inner.size, size);
    loops.add({per_row, {size * inner.step[0], size * inner.step[1], size * inner.step[2]}});
    parallel(node.pool, loops.count(), std::max<int64_t>(1, kGrain / size), [&](int64_t begin, int64_t end, int) {
      int64_t i = begin;
      loops.each(begin, end, [&](const int64_t* at) {
        const int64_t n = std::min(size, inner.size - i++ % per_row * size);
        row(a.as<int8_t>() + at[0], inner.step[0], b.as<int8_t>() + at[1], inner.step[1], out.as<int8_t>() + at[2], n,
            period);
      });
    });
  }

  OpTraits traits() const override { return OpTraits::overwriting(0); }

 private:
  // Short rows of which one operand has the same one every time, as for a factor per channel, become a single row, in
  // which that operand has the step 0 and so many elements; 0: they are not such.
  static int64_t take_repeated(Loops<3>& loops, Loops<3>::Dim& inner) {
    const int64_t n = inner.size;
    if (loops.rank() == 0 || n > kChunk / 2 || inner.step[0] != 1 || inner.step[1] != 1) return 0;
    const Loops<3>::Dim outer = loops.inner();
    const bool repeats_a = outer.step[0] == 0 && outer.step[1] == n,
               repeats_b = outer.step[1] == 0 && outer.step[0] == n;
    if ((!repeats_a && !repeats_b) || outer.step[2] != n) return 0;
    loops.take_inner();
    inner.size *= outer.size;
    inner.step[repeats_a ? 0 : 1] = 0;
    return n;
  }

  // An operand of step 0 is one element, or `period` of them, again and again.
  void row(const int8_t* a, int64_t a_step, const int8_t* b, int64_t b_step, int8_t* z, int64_t n,
           int64_t period) const {
    int8_t repeated[kChunk];
    if (a_step == b_step) return compute(a, b, z, n);  // both are 0 for single elements
    const int8_t* from = a_step == 0 ? a : b;
    const int64_t chunk = period == 0 ? kChunk : kChunk / period * period;
    if (period == 0) std::memset(repeated, *from, static_cast<size_t>(std::min(n, chunk)));
    for (int64_t i = 0; period != 0 && i < std::min(n, chunk); i += period) std::copy_n(from, period, repeated + i);
    for (int64_t i = 0; i < n; i += chunk) {
      compute(a_step == 0 ? repeated : a + i, b_step == 0 ? repeated : b + i, z + i, std::min(chunk, n - i));
    }
  }

  void compute(const int8_t* a, const int8_t* b, int8_t* z, int64_t n) const {
    const Kernels& k = kernels();
    (kKind == Kind::kMul ? k.mul_i8 : k.add_i8)(a, b, z, static_cast<size_t>(n), params_);
  }

  BinaryI8 params_{};
};

using AddInt8 = BinaryInt8<schema::AddFusion, Kind::kAdd>;
using SubInt8 = BinaryInt8<schema::SubFusion, Kind::kSub>;
using MulInt8 = BinaryInt8<schema::MulFusion, Kind::kMul>;

LR_REGISTER_QUANTIZED_OP(AddFusion, AddInt8)
LR_REGISTER_QUANTIZED_OP(SubFusion, SubInt8)
LR_REGISTER_QUANTIZED_OP(MulFusion, MulInt8)

}  // namespace
}  // namespace lr
