// The geometry of Conv2DFusion, for any element type.
#pragma once

#include <vector>

#include "ops/gemm.h"
#include "ops/geometry.h"

namespace lr {

struct Convolution {
  Window window;
  int64_t group = 1, out_channels = 0;
  int64_t merged_below = 8;  // see merges_taps

  bool depthwise() const { return group == window.channels && group == out_channels; }
  // Every output pixel reads just the input pixel at its own position.
  bool pointwise() const {
    return window.taps() == 1 && window.stride.h == 1 && window.stride.w == 1 && window.top == 0 && window.left == 0 &&
           window.out_h == window.in_h && window.out_w == window.in_w;
  }
  // With few channels, fewer than merged_below, the taps of a filter row are read as one run of kernel.w pixels from a
  // copy of the input that is padded on the left and right.
  bool merges_taps() const {
    return group == 1 && window.kernel.w > 1 && window.dilation.w == 1 && window.channels < merged_below;
  }
  // One product per group: output pixels of all images by taps and input channels.
  GemmShape gemm() const {
    const int64_t run = merges_taps() ? window.kernel.w : 1;
    return {group, window.batch * window.out_pixels(), window.taps() / run, window.channels / group * run,
            out_channels / group};
  }
  int64_t padded_width() const { return (window.out_w - 1) * window.stride.w + window.kernel.w; }
  // Elements of the padded copy.
  int64_t padded_count() const { return window.batch * window.in_h * padded_width() * window.channels; }

  // Makes the padded copy.
  template <class T>
  void pad_rows(const Node& node, const T* x, T value, T* padded) const {
    const int64_t channels = window.channels, width = padded_width();
    const int64_t left = std::min(window.left, width), inside = std::min(window.in_w, width - left);
    node.pool->run(window.batch * window.in_h, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        T* to = padded + row * width * channels;
        std::fill_n(to, left * channels, value);
        std::copy_n(x + row * window.in_w * channels, inside * channels, to + left * channels);
        std::fill_n(to + (left + inside) * channels, (width - left - inside) * channels, value);
      }
    });
  }

  // The weights [channel, tap] of a depthwise convolution as [tap, channel], the taps column by column: then
  // neighbouring pixels share pointers (RowWalk), which the kernels make use of.
  template <class T>
  std::vector<T> taps_by_column(const T* w) const {
    std::vector<T> columns;
    columns.reserve(static_cast<size_t>(window.taps() * out_channels));
    for (int64_t kx = 0; kx < window.kernel.w; ++kx) {
      for (int64_t ky = 0; ky < window.kernel.h; ++ky) {
        const T* tap = w + ky * window.kernel.w + kx;
        for (int64_t c = 0; c < out_channels; ++c) columns.push_back(tap[c * window.taps()]);
      }
    }
    return columns;
  }

  // As fill_pointers, for runs in the padded copy; `outside` is kernel.w pixels long.
  template <class T>
  void fill_runs(const T* padded, int64_t row, size_t rows, const T* outside, const T** a) const {
    const Window& w = window;
    const int64_t line = padded_width() * w.channels, step = w.stride.w * w.channels;
    const int64_t line_of_pixels = row / w.out_w;
    int64_t ox = row - line_of_pixels * w.out_w, image = w.batch == 1 ? 0 : line_of_pixels / w.out_h;
    int64_t oy = line_of_pixels - image * w.out_h;
    for (size_t r = 0; r < rows;) {
      const size_t end = std::min(rows, r + static_cast<size_t>(w.out_w - ox));  // of this row of pixels
      int64_t iy = oy * w.stride.h - w.top;
      for (int64_t ky = 0; ky < w.kernel.h; ++ky, iy += w.dilation.h) {
        const bool inside = iy >= 0 && iy < w.in_h;
        const T* from = inside ? padded + (image * w.in_h + iy) * line + ox * step : outside;
        const T** to = a + static_cast<size_t>(ky) * rows;
        for (size_t i = r; i < end; ++i, from += inside ? step : 0) to[i] = from;
      }
      r = end;
      ox = 0;
      if (++oy < w.out_h) continue;
      oy = 0;
      ++image;
    }
  }

  // What the output pixels [row, row + rows) of all images read, for a product whose input starts at x: tap t of
  // row r at a[t * rows + r]. Taps in the padding read `outside`.
  template <class T>
  void fill_pointers(const T* x, int64_t row, size_t rows, const T* outside, const T** a) const {
    const Window& w = window;
    int64_t ox = row % w.out_w, oy = row / w.out_w % w.out_h;
    const T* image = x + row / w.out_pixels() * w.in_pixels() * w.channels;
    for (size_t r = 0; r < rows; ++r) {
      const T** to = a + r;
      int64_t iy = oy * w.stride.h - w.top;
      for (int64_t ky = 0; ky < w.kernel.h; ++ky, iy += w.dilation.h) {
        const bool inside = iy >= 0 && iy < w.in_h;
        int64_t ix = ox * w.stride.w - w.left;
        for (int64_t kx = 0; kx < w.kernel.w; ++kx, ix += w.dilation.w, to += rows) {
          *to = inside && ix >= 0 && ix < w.in_w ? image + (iy * w.in_w + ix) * w.channels : outside;
        }
      }
      if (++ox < w.out_w) continue;
      ox = 0;
      if (++oy < w.out_h) continue;
      oy = 0;
      image += w.in_pixels() * w.channels;
    }
  }
};

// The geometry of a Conv2DFusion node; fails where shapes and attributes do not fit.
Convolution fit_convolution(const Node& node);

}  // namespace lr
