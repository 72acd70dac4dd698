// Windows that slide over the two spatial dimensions of an NHWC tensor: convolution and pooling.
#pragma once

#include <algorithm>

#include "op.h"

namespace lr {

struct Pair {
  int64_t h = 1, w = 1;
};

using Int64s = ::flatbuffers::Vector<int64_t>;

// The attribute's two values (height, width), each at least `least`; `fallback` when it is absent.
Pair pair_attribute(const Node& node, const char* name, const Int64s* values, Pair fallback, int64_t least = 1);

// Fails for a value outside the enumeration.
void check_pad_mode(const Node& node, schema::PadMode mode);

struct Padding {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};
// pad_list-like attribute: top, bottom, left, right; zeros when absent.
Padding padding_attribute(const Node& node, const char* name, const Int64s* values);

// One output pixel (oy, ox) covers input rows oy * stride.h - top + ky * dilation.h for 0 <= ky < kernel.h,
// and columns accordingly; what lies outside the input is padding.
struct Window {
  int64_t batch = 0, in_h = 0, in_w = 0, channels = 0;
  int64_t out_h = 0, out_w = 0;
  Pair kernel, stride, dilation;
  int64_t top = 0, left = 0;

  int64_t taps() const { return kernel.h * kernel.w; }
  int64_t in_pixels() const { return in_h * in_w; }
  int64_t out_pixels() const { return out_h * out_w; }
  // Input rows, from the first on, that the first `rows` output rows of an image read.
  int64_t rows_read(int64_t rows) const {
    return std::clamp<int64_t>((rows - 1) * stride.h - top + (kernel.h - 1) * dilation.h + 1, 0, in_h);
  }
  // The first input row that output row `row` of an image reads, or would if there were no padding above.
  int64_t first_read(int64_t row) const { return std::max<int64_t>(0, row * stride.h - top); }
};

// Fills in the rest of a window whose kernel, stride and dilation are set, over NHWC input 0.
// Fails when the window does not fit the padded input.
void fit_window(const Node& node, schema::PadMode mode, const Padding& padding, bool round_up, Window& window);

// Fails for windows that a small file may ask for and that take minutes: larger than 64 and twice the input, or
// reading 2^36 elements. A convolution's weights are as large as its window, so it needs no such limit.
void check_pool(const Node& node, const Window& window);

// The window of MaxPoolFusion or AvgPoolFusion, which have the same attributes.
template <class Attr>
Window pool_window(const Node& node, const Attr& attr) {
  const Shape& x = node.in[0]->shape;
  if (x.rank() != 4) node.invalid("input 0 has shape %s; it needs 4 dimensions (NHWC)", x.str().c_str());
  Window window;
  if (attr.global()) {
    if (x[1] == 0 || x[2] == 0) node.invalid("input 0 has shape %s: nothing to pool over", x.str().c_str());
    window.kernel = {x[1], x[2]};
    fit_window(node, schema::PadMode_VALID, {}, false, window);
    return window;
  }
  if (attr.kernel_size() == nullptr) node.invalid("kernel_size is missing");
  window.kernel = pair_attribute(node, "kernel_size", attr.kernel_size(), {1, 1});
  window.stride = pair_attribute(node, "strides", attr.strides(), {1, 1});
  fit_window(node, attr.pad_mode(), padding_attribute(node, "pad", attr.pad()),
             attr.round_mode() == schema::RoundMode_CEIL, window);
  check_pool(node, window);
  return window;
}

// What the sum of a window is multiplied with for an average, per output pixel of an image: only the positions
// inside the input count, not those in the padding.
std::vector<float> average_scales(const Node& node, const Window& window);

// Walks all output pixels in pieces of rows, on all threads, with the pointers that the row kernels
// (depthwise convolution, pooling) read. The taps of a pixel go column by column (tap kx * kernel.h + ky),
// so that without dilation neighbouring pixels share the columns they overlap in.
class RowWalk {
 public:
  RowWalk() = default;
  // `slice`: channels that a thread does by itself of all pixels, where that is better than some rows of all channels;
  // 0: it is not.
  RowWalk(const Window& window, int threads, int64_t slice = 0);

  // Pointers all threads need together.
  int64_t pointer_count(int threads) const { return Shape{threads, count(piece_)}.count(); }
  // Distance of consecutive pixels' first pointers.
  size_t step() const { return static_cast<size_t>(shared() ? w_.stride.w * w_.kernel.h : w_.taps()); }

  // Calls body(taps, pixel, pixels, channel, channels): pointers for the output pixels [pixel, pixel + pixels), all of
  // one row and counted from the first image's start, to the first of so many channels. Taps in the padding point to
  // `outside`.
  template <class T, class Body>
  void run(const Node& node, const T* x, const T* outside, const T** pointers, const Body& body) const {
    run(node, 0, w_.batch * w_.out_h, x, outside, pointers, body);
  }
  // The same for the output rows [first, last) of all images.
  template <class T, class Body>
  void run(const Node& node, int64_t first, int64_t last, const T* x, const T* outside, const T** pointers,
           const Body& body) const {
    const int64_t slices = div_up(w_.channels, slice_), pieces = (last - first) * per_row_;
    const bool whole = slices == 1;
    node.pool->run(whole ? pieces : slices, whole ? grain_ : 1, [&](int64_t begin, int64_t end, int thread) {
      int64_t channel = 0, channels = w_.channels;
      if (!whole) {
        channel = begin * slice_;
        channels = std::min(end * slice_, channels) - channel;
        begin = 0;
        end = pieces;
      }
      const T** taps = pointers + thread * count(piece_);
      for (int64_t i = begin + first * per_row_; i < end + first * per_row_; ++i) {
        const int64_t row = i / per_row_, ox = i % per_row_ * piece_;
        const int64_t pixels = std::min(piece_, w_.out_w - ox);
        fill(x + row / w_.out_h * w_.in_pixels() * w_.channels + channel, row % w_.out_h, ox, pixels, outside, taps);
        body(static_cast<const T* const*>(taps), row * w_.out_w + ox, pixels, channel, channels);
      }
    });
  }

 private:
  bool shared() const { return w_.dilation.w == 1; }
  int64_t count(int64_t pixels) const;  // pointers of consecutive pixels
  template <class T>
  void fill(const T* image, int64_t oy, int64_t ox, int64_t pixels, const T* outside, const T** pointers) const;
  template <class T>
  void fill_columns(const T* image, int64_t oy, int64_t ix, int64_t columns, const T* outside,
                    const T** pointers) const;
  Window w_;
  int64_t piece_ = 0, per_row_ = 0, grain_ = 1, slice_ = 1;
};

}  // namespace lr
