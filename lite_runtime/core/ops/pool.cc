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
    window_ = pool_window(node, *attr);
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
    if (!kIsMax) scale_ = average_scales(node, window_);
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
                split_channels(node, p);
                epilogue.finish(p.y, p.count * p.channels);
              });
  }

 private:
  // A single output pixel leaves the threads its channels to share.
  void split_channels(const Node& node, const PoolF32& whole) const {
    constexpr int64_t kShare = 16;
    const auto kernel = kIsMax ? kernels().max_pool_f32 : kernels().avg_pool_f32;
    const int64_t shares = window_.batch * window_.out_pixels() == 1 ? window_.channels / kShare : 1;
    if (shares <= 1) return kernel(whole);
    const int64_t grain = div_up(kShareGrain, kShare * window_.taps());
    node.pool->run(shares, grain, [&](int64_t begin, int64_t end, int) {
      PoolF32 part = whole;
      part.begin = static_cast<size_t>(begin * kShare);
      if (end < shares) part.channels = static_cast<size_t>(end * kShare);
      kernel(part);
    });
  }
  static constexpr int64_t kShareGrain = 1 << 14;  // values worth a thread
  static constexpr bool kIsMax = std::is_same<Attr, schema::MaxPoolFusion>::value;

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
