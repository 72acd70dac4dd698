// CropAndResize: parts of images (float32, NHWC) brought to one size, as in TensorFlow.
#include <algorithm>
#include <cmath>

#include "ops/indexing.h"

namespace lr {
namespace {

// Inputs (images [n, h, w, c], boxes [k, 4], image of each box [k], size [2]). A box (y, x, y, x) is in parts
// of the image; places outside of it get extrapolation_value.
class CropAndResizeOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(4, 4);
    node.expect_dtype(0, DType::kFloat32);
    node.expect_dtype(1, DType::kFloat32);
    Indices::expect(node, 2);
    const auto method = node.attr<schema::CropAndResize>()->method();
    if (method != schema::ResizeMethod_LINEAR && method != schema::ResizeMethod_NEAREST) {
      node.unsupported("method %s", schema::EnumNameResizeMethod(method));
    }
    const Shape &images = node.in[0]->shape, &boxes = node.in[1]->shape;
    const std::vector<int64_t> size = node.ints(3);
    const bool fits = images.rank() == 4 && images.count(1, 3) > 0 && boxes.rank() == 2 && boxes[1] == 4 &&
                      node.in[2]->shape == Shape{boxes[0]};
    if (!fits) {
      node.invalid("images %s, boxes %s and their images %s do not fit", images.str().c_str(), boxes.str().c_str(),
                   node.in[2]->shape.str().c_str());
    }
    if (size.size() != 2 || size[0] < 1 || size[1] < 1) node.invalid("the size must be two numbers above 0");
    node.set_out(0, DType::kFloat32, Shape{boxes[0], size[0], size[1], images[3]});
  }

  void run(Node& node) override {
    const Tensor &images = *node.in[0], &boxes = *node.in[1];
    const Indices image_of(*node.in[2]);
    const Shape& out = node.out[0]->shape;
    for (int64_t k = 0; k < out[0]; ++k) {
      const int64_t image = image_of[k];
      if (image < 0 || image >= images.shape[0]) {
        fail(LR_ERROR_RUN, "box %lld is in image %lld of %lld", static_cast<long long>(k),
             static_cast<long long>(image), static_cast<long long>(images.shape[0]));
      }
    }
    parallel(node.pool, out[0] * out[1], 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k = i / out[1];
        crop_row(node, boxes.as<float>() + 4 * k, image_of[k], i % out[1],
                 node.out[0]->as<float>() + i * out[2] * out[3]);
      }
    });
  }

 private:
  // Where position i of n lies on an axis of `size`, between the box's ends a and b.
  static float place(float a, float b, int64_t i, int64_t n, int64_t size) {
    const auto last = static_cast<float>(size - 1);
    if (n == 1) return 0.5f * (a + b) * last;
    return a * last + static_cast<float>(i) * ((b - a) * last / static_cast<float>(n - 1));
  }

  static void crop_row(const Node& node, const float* box, int64_t image, int64_t row, float* y) {
    const auto* attr = node.attr<schema::CropAndResize>();
    const Shape &in = node.in[0]->shape, &out = node.out[0]->shape;
    const int64_t height = in[1], width = in[2], channels = in[3];
    const float* pixels = node.in[0]->as<float>() + image * height * width * channels;
    const float at_y = place(box[0], box[2], row, out[1], height);
    for (int64_t column = 0; column < out[2]; ++column, y += channels) {
      const float at_x = place(box[1], box[3], column, out[2], width);
      const bool inside = at_y >= 0.0f && at_y <= static_cast<float>(height - 1) && at_x >= 0.0f &&
                          at_x <= static_cast<float>(width - 1);
      if (!inside) {
        std::fill(y, y + channels, attr->extrapolation_value());
      } else if (attr->method() == schema::ResizeMethod_NEAREST) {
        const auto r = static_cast<int64_t>(std::round(at_y)), c = static_cast<int64_t>(std::round(at_x));
        std::copy_n(pixels + (r * width + c) * channels, channels, y);
      } else {
        interpolate(pixels, width, channels, at_y, at_x, y);
      }
    }
  }

  static void interpolate(const float* pixels, int64_t width, int64_t channels, float at_y, float at_x, float* y) {
    const auto top = static_cast<int64_t>(std::floor(at_y)), bottom = static_cast<int64_t>(std::ceil(at_y));
    const auto left = static_cast<int64_t>(std::floor(at_x)), right = static_cast<int64_t>(std::ceil(at_x));
    const float part_y = at_y - static_cast<float>(top), part_x = at_x - static_cast<float>(left);
    const auto pixel = [&](int64_t r, int64_t c) { return pixels + (r * width + c) * channels; };
    const float *tl = pixel(top, left), *tr = pixel(top, right), *bl = pixel(bottom, left), *br = pixel(bottom, right);
    for (int64_t c = 0; c < channels; ++c) {
      const float upper = tl[c] + (tr[c] - tl[c]) * part_x, lower = bl[c] + (br[c] - bl[c]) * part_x;
      y[c] = upper + (lower - upper) * part_y;
    }
  }
};

LR_REGISTER_OP(CropAndResize, CropAndResizeOp)

}  // namespace
}  // namespace lr
