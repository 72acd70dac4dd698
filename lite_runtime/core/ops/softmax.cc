// Softmax and LogSoftmax along one axis.
#include <algorithm>

#include "ops/along_axes.h"

namespace lr {

namespace {

// The operators differ in their kernel for a row and in the last step for a column.
class SoftmaxAlongAxis : public AlongAxes {
 public:
  explicit SoftmaxAlongAxis(bool log) : log_(log) {}

  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    node.expect_dtype(0, DType::kFloat32);
    const Shape& x = node.in[0]->shape;
    if (x.rank() == 0) node.invalid("the input is a scalar; it needs a dimension");
    const int axis = normalize_axis(this->axis(node), x.rank());
    view_ = ChannelView(x, axis, axis + 1);
    node.set_out(0, DType::kFloat32, x);
  }

 protected:
  virtual int64_t axis(const Node& node) const = 0;

 private:
  void row(const float* x, float* y, size_t n) const override {
    (log_ ? kernels().log_softmax_f32 : kernels().softmax_f32)(x, y, n);
  }

  void columns(const float* x, float* y, size_t n, Columns& c) const override {
    const Kernels& k = kernels();
    const int64_t step = view_.inner, end = view_.channels * step;
    std::copy(x, x + n, c.most);
    for (int64_t at = step; at < end; at += step) k.binary.max.vv(c.most, x + at, c.most, n);
    std::fill(c.sum, c.sum + n, 0.f);
    for (int64_t at = 0; at < end; at += step) {
      float* value = log_ ? c.value : y + at;
      k.binary.sub.vv(x + at, c.most, value, n);
      k.unary.exp(value, value, n, 0.f, 0.f);
      k.binary.add.vv(c.sum, value, c.sum, n);
    }
    if (log_) k.unary.log(c.sum, c.sum, n, 0.f, 0.f);
    for (int64_t at = 0; at < end; at += step) {
      if (log_) {
        k.binary.sub.vv(x + at, c.most, y + at, n);
        k.binary.sub.vv(y + at, c.sum, y + at, n);
      } else {
        k.binary.div.vv(y + at, c.sum, y + at, n);
      }
    }
  }

  bool log_;
};

class Softmax : public SoftmaxAlongAxis {
 public:
  Softmax() : SoftmaxAlongAxis(false) {}

 private:
  int64_t axis(const Node& node) const override {
    const auto* axes = node.attr<schema::Softmax>()->axis();
    const unsigned count = axes == nullptr ? 0 : axes->size();
    if (count != 1) node.invalid("axis has %u values; it needs one", count);
    return axes->Get(0);
  }
};

class LogSoftmax : public SoftmaxAlongAxis {
 public:
  LogSoftmax() : SoftmaxAlongAxis(true) {}

 private:
  int64_t axis(const Node& node) const override { return node.attr<schema::LogSoftmax>()->axis(); }
};

LR_REGISTER_OP(Softmax, Softmax)
LR_REGISTER_OP(LogSoftmax, LogSoftmax)

}  // namespace
}  // namespace lr
