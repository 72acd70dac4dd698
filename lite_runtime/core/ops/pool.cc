// MaxPoolFusion and AvgPoolFusion over NHWC input.
#include <algorithm>
#include <cfloat>
#include <cmath>

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
    if (covers_all()) {
      parts_ =
          std::clamp<int64_t>(window_.taps() * window_.channels / kPartValues, 1, std::min(kMostParts, window_.in_h));
      pointers_ = workspace.add<const float*>(std::max(threads * div_up(window_.taps(), parts_), parts_));
      partial_ = workspace.add<float>(window_.batch * parts_ * window_.channels);
    } else {
      pointers_ = workspace.add<const float*>(rows_.pointer_count(threads));
    }
    workspace.reserve(node);
    outside_.assign(static_cast<size_t>(window_.channels), kIsMax ? -FLT_MAX : 0.f);
    if (!kIsMax) scale_ = average_scales(node, window_);
  }

  void run(Node& node) override {
    float* y = node.out[0]->as<float>();
    if (node.out[0]->count() == 0) return;
    const Epilogue epilogue(activation_, node);
    if (covers_all()) return run_all(node, epilogue);
    rows_.run(node, node.in[0]->as<float>(), outside_.data(), Workspace::at<const float*>(node, pointers_),
              [&](const float* const* taps, int64_t pixel, int64_t pixels, int64_t, int64_t) {
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
                kernel()(p);
                epilogue.finish(p.y, p.count * p.channels);
              });
  }

 private:
  static auto kernel() { return kIsMax ? kernels().max_pool_f32 : kernels().avg_pool_f32; }

  // One window that is the whole image.
  bool covers_all() const {
    const Window& w = window_;
    return w.out_pixels() == 1 && w.kernel.h == w.in_h && w.kernel.w == w.in_w && w.dilation.h == 1 &&
           w.dilation.w == 1 && w.top == 0 && w.left == 0;
  }

  // The pixels of an image in parts for the threads, in the order they lie in; then the parts' results. There are as
  // many parts on any number of threads, so that all give the same bits.
  void run_all(Node& node, const Epilogue& epilogue) const {
    const auto channels = static_cast<size_t>(window_.channels);
    const float one = 1.f, *x = node.in[0]->as<float>();
    float *y = node.out[0]->as<float>(), *partial = Workspace::at<float>(node, partial_);
    const float** pointers = Workspace::at<const float*>(node, pointers_);
    const int64_t taps = window_.taps(), most = div_up(taps, parts_);
    PoolF32 same;
    same.step = 0;
    same.channels = same.y_stride = channels;
    same.count = 1;
    same.scale = parts_ == 1 ? scale_.data() : &one;
    same.lo = parts_ == 1 ? epilogue.low() : -HUGE_VALF;
    same.hi = parts_ == 1 ? epilogue.high() : HUGE_VALF;
    float* results = parts_ == 1 ? y : partial;
    const int64_t grain = std::max<int64_t>(1, kPartValues / (most * window_.channels));
    node.pool->run(window_.batch * parts_, grain, [&](int64_t begin, int64_t end, int thread) {
      const float** a = pointers + thread * most;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / parts_, part = i % parts_;
        const int64_t first = taps * part / parts_, last = taps * (part + 1) / parts_;
        for (int64_t t = first; t < last; ++t) a[t - first] = x + (image * taps + t) * window_.channels;
        PoolF32 p = same;
        p.x = a;
        p.taps = static_cast<size_t>(last - first);
        p.y = results + i * window_.channels;
        kernel()(p);
      }
    });
    for (int64_t image = 0; image < window_.batch; ++image) {
      float* to = y + image * window_.channels;
      if (parts_ > 1) {
        for (int64_t part = 0; part < parts_; ++part) {
          pointers[part] = partial + (image * parts_ + part) * window_.channels;
        }
        PoolF32 p = same;
        p.x = pointers;
        p.taps = static_cast<size_t>(parts_);
        p.scale = scale_.data();
        p.lo = epilogue.low();
        p.hi = epilogue.high();
        p.y = to;
        kernel()(p);
      }
      epilogue.finish(to, channels);
    }
  }

  static constexpr int64_t kPartValues = 1 << 14, kMostParts = 8;
  static constexpr bool kIsMax = std::is_same<Attr, schema::MaxPoolFusion>::value;

  Window window_;
  FusedActivation activation_;
  RowWalk rows_;
  size_t pointers_ = 0, partial_ = 0;
  int64_t parts_ = 1;           // of the pixels, where the window covers all
  std::vector<float> outside_;  // what taps in the padding read
  std::vector<float> scale_;    // per output pixel of an image
};

using MaxPool = Pool<schema::MaxPoolFusion>;
using AvgPool = Pool<schema::AvgPoolFusion>;

LR_REGISTER_OP(MaxPoolFusion, MaxPool)
LR_REGISTER_OP(AvgPoolFusion, AvgPool)

}  // namespace
}  // namespace lr
