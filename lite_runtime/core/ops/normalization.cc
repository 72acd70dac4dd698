// Normalisation by mean and variance: LayerNormFusion, InstanceNorm, GroupNormFusion.
#include <algorithm>
#include <cmath>

#include "ops/channelwise.h"
#include "ops/workspace.h"

namespace lr {

namespace {

// Elements worth a thread.
constexpr int64_t kGrain = 2048;
constexpr int kFormatNchw = 0;

int64_t rows_per_thread(int64_t row) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, row)); }

// (x[, gamma, beta]): normalises over the dimensions from begin_norm_axis on. gamma and beta have the
// shape of trailing dimensions of x. Outputs 1 and 2, if any, are mean and variance.
class LayerNorm : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 3);
    for (size_t i = 0; i < node.inputs(); ++i) node.expect_dtype(i, DType::kFloat32);
    const Shape& x = node.in[0]->shape;
    const int axis = normalize_axis(node.attr<schema::LayerNormFusion>()->begin_norm_axis(), x.rank());
    row_ = x.count(axis, x.rank());
    rows_ = x.count(0, axis);
    parameters_ = node.has(1) ? node.in[1]->count() : 0;
    if (node.has(1)) {
      int first = x.rank();
      while (first > 0 && x.count(first, x.rank()) < parameters_) --first;
      if (x.count(first, x.rank()) != parameters_ || !node.has(2) || node.in[2]->count() != parameters_) {
        node.invalid("gamma %s%s%s must both have the shape of trailing dimensions of input %s",
                     node.in[1]->shape.str().c_str(), node.has(2) ? " and beta " : " without beta",
                     node.has(2) ? node.in[2]->shape.str().c_str() : "", x.str().c_str());
      }
    }
    Shape lead;
    for (int d = 0; d < axis; ++d) lead.push_back(x[d]);
    node.set_out(0, DType::kFloat32, x);
    node.set_out(1, DType::kFloat32, lead);
    node.set_out(2, DType::kFloat32, lead);
  }

  void run(Node& node) override {
    if (row_ == 0) return;
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    node.pool->run(rows_, rows_per_thread(row_), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) normalize(node, x + i * row_, y + i * row_, i);
    });
    for (int64_t i = 0; i < rows_ && node.out.size() > 1; ++i) statistics(node, x + i * row_, i);
  }

 private:
  void normalize(const Node& node, const float* x, float* y, int64_t row) const {
    const Kernels& k = kernels();
    const float epsilon = node.attr<schema::LayerNormFusion>()->epsilon();
    const auto n = static_cast<size_t>(row_);
    const float* gamma = node.has(1) ? node.in[1]->as<float>() : nullptr;
    const float* beta = node.has(2) ? node.in[2]->as<float>() : nullptr;
    if (gamma == nullptr) return k.layer_norm_f32(x, nullptr, nullptr, epsilon, y, n);
    if (parameters_ >= row_) {  // beyond the row they vary from row to row
      const int64_t at = row * row_ % parameters_;
      return k.layer_norm_f32(x, gamma + at, beta + at, epsilon, y, n);
    }
    k.layer_norm_f32(x, nullptr, nullptr, epsilon, y, n);
    for (int64_t at = 0; at < row_; at += parameters_) {
      k.scale_shift_f32(y + at, gamma, beta, y + at, static_cast<size_t>(parameters_));
    }
  }

  void statistics(Node& node, const float* x, int64_t row) const {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < row_; ++i) sum += x[i];
    const double mean = sum / static_cast<double>(row_);
    for (int64_t i = 0; i < row_; ++i) squares += (x[i] - mean) * (x[i] - mean);
    node.out[1]->as<float>()[row] = static_cast<float>(mean);
    if (node.out.size() > 2) node.out[2]->as<float>()[row] = static_cast<float>(squares / static_cast<double>(row_));
  }

  int64_t rows_ = 0, row_ = 0, parameters_ = 0;
};

// Common part of the operators (x[, gamma, beta]) with one gamma and beta per channel.
class ChannelNorm : public Op {
 protected:
  // Dimension `axis` holds the channels.
  void set_view(const Node& node, int axis) {
    node.expect_inputs(1, 3);
    for (size_t i = 0; i < node.inputs(); ++i) node.expect_dtype(i, DType::kFloat32);
    if (node.inputs() == 2) node.invalid("gamma needs a beta beside it");
    const Shape& x = node.in[0]->shape;
    view_ = ChannelView(x, axis, axis + 1);
    for (size_t i = 1; i < node.inputs(); ++i) {
      if (node.in[i]->count() == view_.channels) continue;
      node.invalid("input %zu has %lld values for the %lld channels of input %s", i,
                   static_cast<long long>(node.in[i]->count()), static_cast<long long>(view_.channels),
                   x.str().c_str());
    }
    node.set_out(0, DType::kFloat32, x);
  }

  // Channels first: normalises rows of `together` channels with all their positions.
  void run_rows(const Node& node, int64_t together, float epsilon) const {
    const float* x = node.in[0]->as<float>();
    float* y = node.out[0]->as<float>();
    const Kernels& k = kernels();
    const int64_t row = together * view_.inner;
    const auto n = static_cast<size_t>(row);
    node.pool->run(view_.outer * (view_.channels / together), rows_per_thread(row),
                   [&](int64_t begin, int64_t end, int) {
                     for (int64_t i = begin; i < end; ++i) {
                       k.layer_norm_f32(x + i * row, nullptr, nullptr, epsilon, y + i * row, n);
                       for (int64_t c = 0; c < together; ++c) {
                         affine(node, i * together % view_.channels + c, y + i * row + c * view_.inner);
                       }
                     }
                   });
  }

  ChannelView view_;

 private:
  void affine(const Node& node, int64_t channel, float* y) const {
    if (!node.has(1)) return;
    kernels().unary.affine(y, y, static_cast<size_t>(view_.inner), node.in[1]->as<float>()[channel],
                           node.in[2]->as<float>()[channel]);
  }
};

// Normalises each channel of each image. Channels are the last dimension, but the second one of a 4-D
// tensor that the file labels NCHW.
class InstanceNorm : public ChannelNorm {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 3);
    const Tensor& x = *node.in[0];
    if (x.shape.rank() < 3) node.invalid("input %s needs 3 dimensions or more", x.shape.str().c_str());
    channels_first_ = x.shape.rank() == 4 && x.def->format == kFormatNchw;
    if (channels_first_) {
      set_view(node, 1);
      return;
    }
    set_view(node, x.shape.rank() - 1);
    images_ = x.shape[0];
    pixels_ = x.shape.count(1, x.shape.rank() - 1);
  }

  void run(Node& node) override {
    if (node.out[0]->count() == 0) return;
    const float epsilon = node.attr<schema::InstanceNorm>()->epsilon();
    if (channels_first_) return run_rows(node, 1, epsilon);
    const int64_t blocks = div_up(view_.channels, kBlock);
    const int64_t grain = rows_per_thread(pixels_ * std::min(kBlock, view_.channels));
    node.pool->run(images_ * blocks, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) run_block(node, i / blocks, i % blocks * kBlock, epsilon);
    });
  }

 private:
  static constexpr int64_t kBlock = 64;    // channels computed together
  static constexpr int64_t kPartial = 64;  // values summed in float before the sum is widened

  // sum[c] over all pixels of what add(x, partial) adds to partial for one pixel.
  template <class Add>
  void sum_pixels(const float* x, size_t n, double* sum, const Add& add) const {
    std::fill(sum, sum + n, 0.0);
    for (int64_t p = 0; p < pixels_; p += kPartial) {
      float partial[kBlock] = {};
      for (int64_t q = p; q < std::min(pixels_, p + kPartial); ++q) add(x + q * view_.channels, partial);
      for (size_t c = 0; c < n; ++c) sum[c] += static_cast<double>(partial[c]);
    }
  }

  void run_block(const Node& node, int64_t image, int64_t channel, float epsilon) const {
    const Kernels& k = kernels();
    const auto n = static_cast<size_t>(std::min(kBlock, view_.channels - channel));
    const int64_t at = image * pixels_ * view_.channels + channel;
    const float* x = node.in[0]->as<float>() + at;
    float* y = node.out[0]->as<float>() + at;
    double sum[kBlock];
    float mean[kBlock], scale[kBlock], shift[kBlock] = {}, square[kBlock];
    sum_pixels(x, n, sum, [&](const float* p, float* partial) { k.binary.add.vv(partial, p, partial, n); });
    for (size_t c = 0; c < n; ++c) mean[c] = static_cast<float>(sum[c] / static_cast<double>(pixels_));
    sum_pixels(x, n, sum, [&](const float* p, float* partial) {
      k.binary.squared_difference.vv(p, mean, square, n);
      k.binary.add.vv(partial, square, partial, n);
    });
    for (size_t c = 0; c < n; ++c) {
      const double factor = 1 / std::sqrt(sum[c] / static_cast<double>(pixels_) + static_cast<double>(epsilon));
      scale[c] = static_cast<float>(factor * (node.has(1) ? node.in[1]->as<float>()[channel + c] : 1.0));
      if (node.has(2)) shift[c] = node.in[2]->as<float>()[channel + c];
    }
    for (int64_t p = 0; p < pixels_ * view_.channels; p += view_.channels) {
      k.binary.sub.vv(x + p, mean, y + p, n);
      k.scale_shift_f32(y + p, scale, shift, y + p, n);
    }
  }

  bool channels_first_ = false;
  int64_t images_ = 0, pixels_ = 0;
};

// Normalises groups of channels of each image; channels are the second dimension.
class GroupNorm : public ChannelNorm {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 3);
    const Shape& x = node.in[0]->shape;
    if (x.rank() < 2) node.invalid("input %s needs 2 dimensions or more", x.str().c_str());
    const int64_t groups = node.attr<schema::GroupNormFusion>()->num_groups();
    if (groups < 1 || x[1] % groups != 0) {
      node.invalid("num_groups=%lld does not divide the %lld channels of input %s", static_cast<long long>(groups),
                   static_cast<long long>(x[1]), x.str().c_str());
    }
    set_view(node, 1);
    together_ = x[1] / groups;
  }

  void run(Node& node) override {
    if (node.out[0]->count() == 0) return;
    run_rows(node, together_, node.attr<schema::GroupNormFusion>()->epsilon());
  }

 private:
  int64_t together_ = 1;
};

LR_REGISTER_OP(LayerNormFusion, LayerNorm)
LR_REGISTER_OP(InstanceNorm, InstanceNorm)
LR_REGISTER_OP(GroupNormFusion, GroupNorm)

}  // namespace
}  // namespace lr
