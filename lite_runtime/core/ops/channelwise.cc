// Operators y = x * scale + shift with one scale and shift per channel.
#include "ops/channelwise.h"

#include <cmath>

#include "ops/activation.h"

namespace lr {

namespace {

// Derived classes say where the channels lie and what scale and shift are.
class ChannelAffine : public Op {
 public:
  void prepare(Node& node) override {
    node.need_scratch(0);
    coefficients_.reset();
    const auto known = [](const Tensor* t) { return t->known; };
    if (std::all_of(node.in.begin() + 1, node.in.end(), known)) {
      coefficients_ = allocate_buffer(coefficient_bytes());
      fill(node, static_cast<float*>(coefficients_.get()));
    } else {
      node.need_scratch(coefficient_bytes());
    }
  }

  void run(Node& node) override {
    const float* scale = static_cast<const float*>(coefficients_.get());
    if (scale == nullptr) {
      fill(node, static_cast<float*>(node.scratch));
      scale = static_cast<const float*>(node.scratch);
    }
    const float* shift = scale + channel_period(view_.channels);
    if (view_.inner == 1) {
      run_rows(node, scale, shift);
    } else {
      run_planes(node, scale, shift);
    }
    finish_outputs(node);
  }

  OpTraits traits() const override { return OpTraits::overwriting(0); }

 protected:
  // Sets scale[c] and shift[c] for all channels; inputs 1.. hold their values.
  virtual void coefficients(const Node& node, float* scale, float* shift) const = 0;
  virtual void finish_outputs(Node&) const {}

  // Inputs [1, count) must have one value per channel of the last axis.
  void expect_channels(const Node& node, size_t count) {
    const Shape& x = node.in[0]->shape;
    for (size_t i = 0; i < count; ++i) node.expect_dtype(i, DType::kFloat32);
    if (x.rank() == 0) node.invalid("the input is a scalar; it needs a channel dimension");
    view_ = ChannelView(x, x.rank() - 1, x.rank());
    for (size_t i = 1; i < count; ++i) {
      if (node.in[i]->count() == view_.channels) continue;
      node.invalid("input %zu has %lld values for the %lld channels of input %s", i,
                   static_cast<long long>(node.in[i]->count()), static_cast<long long>(view_.channels),
                   x.str().c_str());
    }
  }

  ChannelView view_;
  FusedActivation activation_;

 private:
  size_t coefficient_bytes() const { return static_cast<size_t>(channel_period(view_.channels)) * 2 * sizeof(float); }

  void fill(const Node& node, float* scale) const {
    float* shift = scale + channel_period(view_.channels);
    coefficients(node, scale, shift);
    repeat_channels(scale, view_.channels);
    repeat_channels(shift, view_.channels);
  }

  void run_rows(Node& node, const float* scale, const float* shift) const {
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    const Kernels& k = kernels();
    node.pool->run(node.in[0]->count(), kChannelGrain, [&](int64_t begin, int64_t end, int) {
      each_period(begin, end, channel_period(view_.channels), [&](int64_t i, int64_t at, size_t n) {
        k.scale_shift_f32(x + i, scale + at, shift + at, y + i, n);
        activation_.apply(y + i, n);
      });
    });
  }

  void run_planes(Node& node, const float* scale, const float* shift) const {
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    const Kernels& k = kernels();
    const int64_t grain = std::max<int64_t>(1, kChannelGrain / std::max<int64_t>(1, view_.inner));
    node.pool->run(view_.outer * view_.channels, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t c = p % view_.channels, at = p * view_.inner;
        k.unary.affine(x + at, y + at, static_cast<size_t>(view_.inner), scale[c], shift[c]);
        activation_.apply(y + at, static_cast<size_t>(view_.inner));
      }
    });
  }

  Buffer coefficients_;
};

void normalizing(const float* gamma, const float* beta, const float* mean, const float* variance, float epsilon,
                 int64_t channels, float* scale, float* shift) {
  for (int64_t c = 0; c < channels; ++c) {
    const double factor = (gamma == nullptr ? 1.0 : gamma[c]) /
                          std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(epsilon));
    scale[c] = static_cast<float>(factor);
    shift[c] = static_cast<float>((beta == nullptr ? 0.0 : beta[c]) - mean[c] * factor);
  }
}

// (x, gamma, beta, mean, variance), channels last. Training results beyond the first output are the
// mean and variance that were used.
class FusedBatchNorm : public ChannelAffine {
 public:
  void infer(Node& node) override {
    node.expect_inputs(5, 5);
    expect_channels(node, 5);
    node.set_out(0, DType::kFloat32, node.in[0]->shape);
    for (size_t i = 1; i < node.out.size(); ++i) node.set_out(i, DType::kFloat32, node.in[3]->shape);
  }

 private:
  void coefficients(const Node& node, float* scale, float* shift) const override {
    normalizing(node.in[1]->as<float>(), node.in[2]->as<float>(), node.in[3]->as<float>(), node.in[4]->as<float>(),
                node.attr<schema::FusedBatchNorm>()->epsilon(), view_.channels, scale, shift);
  }
  void finish_outputs(Node& node) const override {
    for (size_t i = 1; i < node.out.size(); ++i) {
      const Tensor& source = *node.in[i % 2 == 1 ? 3 : 4];
      if (source.bytes() > 0) std::memcpy(node.out[i]->data, source.data, source.bytes());
    }
  }
};

// (x, mean, variance), channels last.
class BatchNorm : public ChannelAffine {
 public:
  void infer(Node& node) override {
    node.expect_inputs(3, 3);
    if (node.attr<schema::BatchNorm>()->is_training()) node.unsupported("is_training=true: only inference is offered");
    expect_channels(node, 3);
    node.set_out(0, DType::kFloat32, node.in[0]->shape);
  }

 private:
  void coefficients(const Node& node, float* scale, float* shift) const override {
    normalizing(nullptr, nullptr, node.in[1]->as<float>(), node.in[2]->as<float>(),
                node.attr<schema::BatchNorm>()->epsilon(), view_.channels, scale, shift);
  }
};

// (x, scale[, bias]): the dimensions of scale are those of x from `axis` on.
class Scale : public ChannelAffine {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 3);
    for (size_t i = 0; i < node.inputs(); ++i) node.expect_dtype(i, DType::kFloat32);
    const auto* attr = node.attr<schema::ScaleFusion>();
    activation_ = FusedActivation(node, attr->activation_type());
    const Shape& x = node.in[0]->shape;
    const Shape& scale = node.in[1]->shape;
    if (scale.count() == 1) {
      view_ = ChannelView(x, 0, 0);
    } else {
      const int axis = normalize_axis(attr->axis(), x.rank());
      bool fits = axis + scale.rank() <= x.rank();
      for (int d = 0; d < scale.rank() && fits; ++d) fits = scale[d] == x[axis + d];
      if (!fits)
        node.invalid("scale of shape %s does not fit input %s from axis %d on", scale.str().c_str(), x.str().c_str(),
                     axis);
      view_ = ChannelView(x, axis, axis + scale.rank());
    }
    if (node.has(2) && node.in[2]->count() != scale.count()) {
      node.invalid("bias of shape %s differs from scale of shape %s", node.in[2]->shape.str().c_str(),
                   scale.str().c_str());
    }
    node.set_out(0, DType::kFloat32, x);
  }

 private:
  void coefficients(const Node& node, float* scale, float* shift) const override {
    const float* factor = node.in[1]->as<float>();
    const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
    std::copy(factor, factor + view_.channels, scale);
    for (int64_t c = 0; c < view_.channels; ++c) shift[c] = bias == nullptr ? 0.f : bias[c];
  }
};

// (x, bias), channels last.
class BiasAdd : public ChannelAffine {
 public:
  void infer(Node& node) override {
    node.expect_inputs(2, 2);
    expect_channels(node, 2);
    node.set_out(0, DType::kFloat32, node.in[0]->shape);
  }

 private:
  void coefficients(const Node& node, float* scale, float* shift) const override {
    const float* bias = node.in[1]->as<float>();
    std::copy(bias, bias + view_.channels, shift);
    std::fill(scale, scale + view_.channels, 1.f);
  }
};

LR_REGISTER_OP(FusedBatchNorm, FusedBatchNorm)
LR_REGISTER_OP(BatchNorm, BatchNorm)
LR_REGISTER_OP(ScaleFusion, Scale)
LR_REGISTER_OP(BiasAdd, BiasAdd)

}  // namespace
}  // namespace lr
