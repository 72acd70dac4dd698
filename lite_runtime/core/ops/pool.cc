// MaxPoolFusion and AvgPoolFusion over NHWC input.
#include <cfloat>

#include "ops/activation.h"
#include "ops/geometry.h"
#include "ops/workspace.h"

namespace lr {

namespace {

// Attr is schema::MaxPoolFusion or schema::AvgPoolFusion, which have the same fields.
template <class Attr>
class Pool : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    const Attr* attr = node.attr<Attr>();
    const Shape& x = node.in[0]->shape;
    if (x.rank() != 4) node.invalid("input 0 has shape %s; it needs 4 dimensions (NHWC)", x.str().c_str());
    window_ = Window();
    if (attr->global()) {
      if (x[1] == 0 || x[2] == 0) node.invalid("input 0 has shape %s: nothing to pool over", x.str().c_str());
      window_.kernel = {x[1], x[2]};
      fit_window(node, schema::PadMode_VALID, {}, false, window_);
    } else {
      if (attr->kernel_size() == nullptr) node.invalid("kernel_size is missing");
      window_.kernel = pair_attribute(node, "kernel_size", attr->kernel_size(), {1, 1});
      window_.stride = pair_attribute(node, "strides", attr->strides(), {1, 1});
      fit_window(node, attr->pad_mode(), padding_attribute(node, "pad", attr->pad()),
                 attr->round_mode() == schema::RoundMode_CEIL, window_);
    }
    activation_ = FusedActivation(node, attr->activation_type());
    node.set_out(0, DType::kFloat32, {window_.batch, window_.out_h, window_.out_w, window_.channels});
  }

  void prepare(Node& node) override {
    const int threads = node.pool->threads();
    rows_ = RowWalk(window_, threads);
    Workspace workspace;
    pointers_ = workspace.add<const float*>(rows_.pointer_count(threads));
    workspace.reserve(node);
    outside_.assign(static_cast<size_t>(window_.channels), kIsMax ? -FLT_MAX : 0.f);
    if (!kIsMax) prepare_scale(node);
  }

  void run(Node& node) override {
    float* y = node.out[0]->as<float>();
    if (node.out[0]->count() == 0) return;
    const Epilogue epilogue(activation_, node);
    rows_.run(node, node.in[0]->as<float>(), outside_.data(), Workspace::at<const float*>(node, pointers_),
              [&](const float* const* taps, int64_t pixel, int64_t pixels) {
                PoolF32 p;
                p.x = taps;
                p.step = rows_.step();
                p.taps = static_cast<size_t>(window_.taps());
                p.channels = static_cast<size_t>(window_.channels);
                p.count = static_cast<size_t>(pixels);
                p.scale = kIsMax ? nullptr : scale_.data() + pixel % window_.out_pixels();
                p.y = y + pixel * window_.channels;
                p.y_stride = p.channels;
                p.lo = epilogue.low();
                p.hi = epilogue.high();
                (kIsMax ? kernels().max_pool_f32 : kernels().avg_pool_f32)(p);
                epilogue.finish(p.y, p.count * p.channels);
              });
  }

 private:
  static constexpr bool kIsMax = std::is_same<Attr, schema::MaxPoolFusion>::value;

  // An average counts the positions inside the input, not those in the padding.
  void prepare_scale(const Node& node) {
    const auto inside = [&](int64_t first, int64_t kernel, int64_t in) {
      return std::max<int64_t>(0, std::min(first + kernel, in) - std::max<int64_t>(first, 0));
    };
    scale_.clear();
    for (int64_t oy = 0; oy < window_.out_h; ++oy) {
      const int64_t h = inside(oy * window_.stride.h - window_.top, window_.kernel.h, window_.in_h);
      for (int64_t ox = 0; ox < window_.out_w; ++ox) {
        const int64_t w = inside(ox * window_.stride.w - window_.left, window_.kernel.w, window_.in_w);
        if (h * w == 0) {
          node.unsupported("the window of output row %lld, column %lld lies in the padding: its average is undefined",
                           static_cast<long long>(oy), static_cast<long long>(ox));
        }
        scale_.push_back(static_cast<float>(1.0 / static_cast<double>(h * w)));
      }
    }
  }

  Window window_;
  FusedActivation activation_;
  RowWalk rows_;
  size_t pointers_ = 0;
  std::vector<float> outside_;  // what taps in the padding read
  std::vector<float> scale_;    // per output pixel of an image
};

using MaxPool = Pool<schema::MaxPoolFusion>;
using AvgPool = Pool<schema::AvgPoolFusion>;

LR_REGISTER_OP(MaxPoolFusion, MaxPool)
LR_REGISTER_OP(AvgPoolFusion, AvgPool)

}  // namespace
}  // namespace lr
