// Division by a norm of the input: L2NormalizeFusion, LpNormalization, LRN.
#include <algorithm>
#include <cmath>

#include "ops/activation.h"
#include "ops/along_axes.h"

namespace lr {

namespace {

// y = x / norm(x) over neighbouring axes.
class NormalizeAlongAxes : public AlongAxes {
 protected:
  bool absolute_ = false;  // the sum of absolute values instead of the root of the sum of squares
  float epsilon_ = 0;      // least value of the sum of squares
  FusedActivation activation_;

 private:
  float factor(float sum) const {
    if (sum != sum) return sum;
    const float norm = absolute_ ? sum : std::sqrt(std::max(sum, epsilon_));
    return norm > 0 ? 1 / norm : 0.f;
  }

  void row(const float* x, float* y, size_t n) const override {
    const Kernels& k = kernels();
    k.unary.affine(x, y, n, factor((absolute_ ? k.reduce.sum_abs : k.reduce.sum_square)(x, n)), 0.f);
    activation_.apply(y, n);
  }

  void columns(const float* x, float* y, size_t n, Columns& c) const override {
    const Kernels& k = kernels();
    const int64_t end = view_.channels * view_.inner;
    std::fill(c.sum, c.sum + n, 0.f);
    for (int64_t at = 0; at < end; at += view_.inner) {
      (absolute_ ? k.unary.abs : k.unary.square)(x + at, c.value, n, 0.f, 0.f);
      k.binary.add.vv(c.sum, c.value, c.sum, n);
    }
    for (size_t i = 0; i < n; ++i) c.value[i] = factor(c.sum[i]);
    for (int64_t at = 0; at < end; at += view_.inner) {
      k.binary.mul.vv(x + at, c.value, y + at, n);
      activation_.apply(y + at, n);
    }
  }
};

// y = x / sqrt(max(sum of squares, epsilon)) over `axis`, or over everything when it is empty.
class L2Normalize : public NormalizeAlongAxes {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    const auto* attr = node.attr<schema::L2NormalizeFusion>();
    const Shape& x = node.in[0]->shape;
    std::vector<int> axes;
    if (attr->axis() != nullptr) {
      for (int64_t axis : *attr->axis()) axes.push_back(normalize_axis(axis, x.rank()));
    }
    std::sort(axes.begin(), axes.end());
    for (size_t i = 1; i < axes.size(); ++i) {
      if (axes[i] != axes[i - 1] + 1) node.unsupported("axis must name neighbouring dimensions, each once");
    }
    view_ = axes.empty() ? ChannelView(x, 0, x.rank()) : ChannelView(x, axes.front(), axes.back() + 1);
    epsilon_ = attr->epsilon();
    activation_ = FusedActivation(node, attr->activation_type());
    node.set_out(0, DType::kFloat32, x);
  }
};

// y = x / (sum of |x|^p)^(1/p) along `axis`, for p of 1 or 2; zero where the norm is zero.
class LpNormalization : public NormalizeAlongAxes {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    const auto* attr = node.attr<schema::LpNormalization>();
    const Shape& x = node.in[0]->shape;
    const int axis = normalize_axis(attr->axis(), x.rank());
    if (attr->p() != 1 && attr->p() != 2) {
      node.unsupported("p=%lld; only 1 and 2 are offered", static_cast<long long>(attr->p()));
    }
    absolute_ = attr->p() == 1;
    view_ = ChannelView(x, axis, axis + 1);
    node.set_out(0, DType::kFloat32, x);
  }
};

// y[c] = x[c] / (bias + alpha * sum of x[i]^2 for |i - c| <= depth_radius)^beta; channels last.
class LocalResponseNorm : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    const auto* attr = node.attr<schema::LRN>();
    const Shape& x = node.in[0]->shape;
    if (x.rank() == 0) node.invalid("the input is a scalar; it needs a channel dimension");
    if (attr->depth_radius() < 0) {
      node.invalid("depth_radius=%lld is negative", static_cast<long long>(attr->depth_radius()));
    }
    const std::string region = attr->norm_region() == nullptr ? "" : attr->norm_region()->str();
    if (!region.empty() && region != "ACROSS_CHANNELS") {
      node.unsupported("norm_region='%s'; only ACROSS_CHANNELS is offered", region.c_str());
    }
    channels_ = x.back();
    radius_ = std::min(attr->depth_radius(), channels_);
    node.set_out(0, DType::kFloat32, x);
  }

  void prepare(Node& node) override {
    Workspace workspace;
    workspace.add<float>(Shape{node.pool->threads(), channels_}.count());
    workspace.reserve(node);
  }

  void run(Node& node) override {
    if (node.out[0]->count() == 0) return;
    const auto* attr = node.attr<schema::LRN>();
    const Kernels& k = kernels();
    const auto n = static_cast<size_t>(channels_);
    constexpr int64_t kGrain = 8192;  // elements worth a thread
    const int64_t grain = std::max<int64_t>(1, kGrain / (channels_ * (radius_ + 2)));
    node.pool->run(node.in[0]->count() / channels_, grain, [&](int64_t begin, int64_t end, int thread) {
      float* squares = Workspace::at<float>(node, 0) + thread * channels_;
      for (int64_t i = begin; i < end; ++i) {
        const float* x = node.in[0]->as<float>() + i * channels_;
        float* y = node.out[0]->as<float>() + i * channels_;
        k.unary.square(x, squares, n, 0.f, 0.f);
        std::copy(squares, squares + n, y);
        for (int64_t distance = 1; distance <= radius_; ++distance) {
          const auto both = static_cast<size_t>(channels_ - distance);
          k.binary.add.vv(y, squares + distance, y, both);
          k.binary.add.vv(y + distance, squares, y + distance, both);
        }
        k.unary.affine(y, y, n, attr->alpha(), attr->bias());
        k.unary.log(y, y, n, 0.f, 0.f);
        k.unary.affine(y, y, n, -attr->beta(), 0.f);
        k.unary.exp(y, y, n, 0.f, 0.f);
        k.binary.mul.vv(x, y, y, n);
      }
    });
  }

 private:
  int64_t channels_ = 0, radius_ = 0;
};

LR_REGISTER_OP(L2NormalizeFusion, L2Normalize)
LR_REGISTER_OP(LpNormalization, LpNormalization)
LR_REGISTER_OP(LRN, LocalResponseNorm)

}  // namespace
}  // namespace lr
