// MatMulFusion and FullConnection in float16, for weights that are known beforehand; as ops/matmul.cc.
#include "ops/matmul.h"

#include "ops/half/product.h"

#if defined(LR_HALF)

namespace lr {

namespace {
float largest_magnitude(const Tensor& values) {
  const auto count = static_cast<size_t>(values.count());
  const Kernels::Reduce& reduce = kernels().reduce;
  return std::max(reduce.max(values.as<float>(), count), -reduce.min(values.as<float>(), count));
}
}  // namespace

bool weights_fit_half(const Node& node) {
  for (size_t i = 1; i < node.inputs(); ++i) {
    if (!node.in[i]->known || node.in[i]->count() == 0) return false;
  }
  const DecodedInputs decoded(node, {1, 2});
  constexpr float kLargest = 65504.f;
  // Below 2^-14 a float16 has fewer bits: what is lost there is to be little beside the largest value.
  constexpr float kLeast = 1.f / 512;
  const float largest = largest_magnitude(*node.in[1]);
  return largest >= kLeast && largest <= kLargest && (!node.has(2) || largest_magnitude(*node.in[2]) <= kLargest);
}

void HalfProduct::pack(const Node& node, int64_t first, const Strides& strides, int64_t column, half* packed) const {
  const auto size = [](int64_t value) { return static_cast<size_t>(value); };
  const float* bias = node.has(2) ? node.in[2]->as<float>() + column : nullptr;
  pack_gemm_f16(node.in[1]->as<float>() + first, size(strides.tap), size(strides.k), size(strides.n), bias,
                size(shape_.taps), size(shape_.k), size(shape_.n), packed);
}

namespace {

class HalfMatrixProduct : public HalfStep {
 public:
  using Fit = MatrixGeometry (*)(const Node& node);
  HalfMatrixProduct(std::unique_ptr<Op> op, Fit fit) : HalfStep(std::move(op), true), fit_(fit) {}

 private:
  bool accepts(const Node& node) override {
    if (!weights_fit_half(node)) return false;
    g_ = fit_(node);
    const bool is_matmul = node.def->primitive == schema::PrimitiveType_MatMulFusion;
    activation_ = FusedActivation(node, is_matmul ? node.attr<schema::MatMulFusion>()->activation_type()
                                                  : node.attr<schema::FullConnection>()->activation_type());
    return !g_.transpose_a || g_.m == 1;
  }

  void prepare_half(Node& node) override {
    const int threads = node.pool->threads();
    product_ = HalfProduct(g_.gemm(), threads);
    pointers_ = workspace_.add(product_.pointer_bytes(threads));
    weights_.prepare(node, {1, 2}, "gemm16", product_.packed_bytes() * static_cast<size_t>(g_.b_count), workspace_,
                     [&](half* packed) {
                       for (int64_t i = 0; i < g_.b_count; ++i) {
                         product_.pack(node, i * g_.k * g_.n, {0, g_.transpose_b ? 1 : g_.n, g_.transpose_b ? g_.k : 1},
                                       0, packed + i * product_.packed_count());
                       }
                     });
  }

  void run_half(Node& node) override {
    const half* a = input(node);
    half* c = node.out[0]->as<half>();
    const half* weights = weights_.get(node, [](half*) {});
    product_.run(
        node, HalfEpilogue(activation_, node), static_cast<size_t>(g_.n), Workspace::at<const half*>(node, pointers_),
        [&](int64_t i) {
          return std::pair(weights + g_.stored(i, &MatrixGeometry::Lead::b) * product_.packed_count(),
                           c + i * g_.m * g_.n);
        },
        [&](int64_t i, int64_t row, size_t rows, const half** pointers) {
          const half* from = a + (g_.stored(i, &MatrixGeometry::Lead::a) * g_.m + row) * g_.k;
          for (size_t r = 0; r < rows; ++r, from += g_.k) pointers[r] = from;
        });
  }

  Fit fit_;
  MatrixGeometry g_;
  HalfProduct product_;
  Packed<half> weights_;
  size_t pointers_ = 0;
};

}  // namespace

std::unique_ptr<Op> make_half_matmul(std::unique_ptr<Op> op) {
  return std::make_unique<HalfMatrixProduct>(std::move(op), fit_matmul);
}
std::unique_ptr<Op> make_half_full_connection(std::unique_ptr<Op> op) {
  return std::make_unique<HalfMatrixProduct>(std::move(op), fit_full_connection);
}

}  // namespace lr

#endif
