#include "ops/geometry.h"

namespace lr {

namespace {

// Keeps all arithmetic on positions far from overflow.
constexpr int64_t kMaxExtent = int64_t{1} << 31;
constexpr int64_t kMaxTaps = int64_t{1} << 24;

long long ll(int64_t v) { return static_cast<long long>(v); }

struct Fit {
  int64_t out, before;
};

Fit fit(const Node& node, const char* dim, schema::PadMode mode, int64_t in, int64_t kernel, int64_t stride,
        int64_t dilation, int64_t before, int64_t after, bool round_up) {
  const int64_t extent = (kernel - 1) * dilation + 1;
  if (mode == schema::PadMode_SAME) {
    const int64_t out = div_up(in, stride);
    return {out, std::max<int64_t>(0, (out - 1) * stride + extent - in) / 2};
  }
  if (mode == schema::PadMode_VALID) before = after = 0;
  const int64_t slack = in + before + after - extent;
  if (slack < 0) {
    node.invalid("a window of %s %lld does not fit the input's %s of %lld (padded %lld)", dim, ll(extent), dim, ll(in),
                 ll(in + before + after));
  }
  return {(round_up ? div_up(slack, stride) : slack / stride) + 1, before};
}

}  // namespace

Pair pair_attribute(const Node& node, const char* name, const Int64s* values, Pair fallback, int64_t least) {
  if (values == nullptr || values->size() == 0) return fallback;
  if (values->size() != 2) node.invalid("%s has %u values; it needs 2 (height, width)", name, values->size());
  const Pair pair{values->Get(0), values->Get(1)};
  if (std::min(pair.h, pair.w) < least || std::max(pair.h, pair.w) >= kMaxExtent) {
    node.invalid("%s=(%lld, %lld) is out of range", name, ll(pair.h), ll(pair.w));
  }
  return pair;
}

void check_pad_mode(const Node& node, schema::PadMode mode) {
  if (mode < schema::PadMode_MIN || mode > schema::PadMode_MAX) node.unsupported("pad_mode=%d is not offered", mode);
}

Padding padding_attribute(const Node& node, const char* name, const Int64s* values) {
  if (values == nullptr || values->size() == 0) return {};
  if (values->size() != 4)
    node.invalid("%s has %u values; it needs 4 (top, bottom, left, right)", name, values->size());
  for (int64_t v : *values) {
    if (v < 0 || v >= kMaxExtent) node.invalid("%s has the value %lld, which is out of range", name, ll(v));
  }
  return {values->Get(0), values->Get(1), values->Get(2), values->Get(3)};
}

void fit_window(const Node& node, schema::PadMode mode, const Padding& padding, bool round_up, Window& window) {
  check_pad_mode(node, mode);
  const Shape& x = node.in[0]->shape;
  if (x.rank() != 4) node.invalid("input 0 has shape %s; it needs 4 dimensions (NHWC)", x.str().c_str());
  window.batch = x[0];
  window.in_h = x[1];
  window.in_w = x[2];
  window.channels = x[3];
  if (window.kernel.h > kMaxTaps / window.kernel.w) {
    node.unsupported("a window of %lld x %lld is too large", ll(window.kernel.h), ll(window.kernel.w));
  }
  const Fit h = fit(node, "height", mode, window.in_h, window.kernel.h, window.stride.h, window.dilation.h, padding.top,
                    padding.bottom, round_up);
  const Fit w = fit(node, "width", mode, window.in_w, window.kernel.w, window.stride.w, window.dilation.w, padding.left,
                    padding.right, round_up);
  window.out_h = h.out;
  window.top = h.before;
  window.out_w = w.out;
  window.left = w.before;
}

void check_pool(const Node& node, const Window& w) {
  constexpr int64_t kSmall = 64;                   // always fine, whatever the input
  constexpr double kMostReads = int64_t{1} << 36;  // some minutes
  const bool beyond = w.kernel.h > std::max(kSmall, 2 * w.in_h) || w.kernel.w > std::max(kSmall, 2 * w.in_w);
  const double reads = static_cast<double>(w.batch * w.out_pixels()) * static_cast<double>(w.taps() * w.channels);
  if (beyond || reads > kMostReads) {
    node.unsupported("a window of %lld x %lld over %lld x %lld is too large", ll(w.kernel.h), ll(w.kernel.w),
                     ll(w.in_h), ll(w.in_w));
  }
}

std::vector<float> average_scales(const Node& node, const Window& window) {
  const auto inside = [](int64_t first, int64_t kernel, int64_t in) {
    return std::max<int64_t>(0, std::min(first + kernel, in) - std::max<int64_t>(first, 0));
  };
  std::vector<float> scales;
  for (int64_t oy = 0; oy < window.out_h; ++oy) {
    const int64_t h = inside(oy * window.stride.h - window.top, window.kernel.h, window.in_h);
    for (int64_t ox = 0; ox < window.out_w; ++ox) {
      const int64_t w = inside(ox * window.stride.w - window.left, window.kernel.w, window.in_w);
      if (h * w == 0) {
        node.unsupported("the window of output row %lld, column %lld lies in the padding: its average is undefined",
                         ll(oy), ll(ox));
      }
      scales.push_back(static_cast<float>(1.0 / static_cast<double>(h * w)));
    }
  }
  return scales;
}

RowWalk::RowWalk(const Window& window, int threads, int64_t slice)
    : w_(window), slice_(slice > 0 ? slice : std::max<int64_t>(1, window.channels)) {
  constexpr int64_t kLeastPixels = 8, kLeastWork = 1 << 14;  // of a piece; values read that are worth a thread
  const int64_t rows = w_.batch * w_.out_h;
  const int64_t wanted = threads > 1 && rows > 0 ? div_up(int64_t{4} * threads, rows) : 1;
  const int64_t pieces = std::min(wanted, std::max<int64_t>(1, w_.out_w / kLeastPixels));
  piece_ = std::max<int64_t>(1, div_up(w_.out_w, pieces));
  per_row_ = div_up(w_.out_w, piece_);
  const double work = static_cast<double>(piece_) * static_cast<double>(w_.taps()) * static_cast<double>(w_.channels);
  grain_ = std::max<int64_t>(1, static_cast<int64_t>(kLeastWork / (work + 1)));
}

int64_t RowWalk::count(int64_t pixels) const {
  if (!shared()) return pixels * w_.taps();
  return ((pixels - 1) * w_.stride.w + w_.kernel.w) * w_.kernel.h;
}

// The pointers of neighbouring columns from input column ix on, one row of the window after the other.
template <class T>
void RowWalk::fill_columns(const T* image, int64_t oy, int64_t ix, int64_t columns, const T* outside,
                           const T** pointers) const {
  const int64_t first = std::min(std::max<int64_t>(0, -ix), columns);
  const int64_t last = std::max(first, std::min(columns, w_.in_w - ix));
  int64_t iy = oy * w_.stride.h - w_.top;
  for (int64_t ky = 0; ky < w_.kernel.h; ++ky, iy += w_.dilation.h) {
    const bool inside = iy >= 0 && iy < w_.in_h;
    const T* from = inside ? image + (iy * w_.in_w + ix + first) * w_.channels : outside;
    const int64_t step = inside ? w_.channels : 0;
    const T** to = pointers + ky;
    int64_t i = 0;
    for (; i < first; ++i, to += w_.kernel.h) *to = outside;
    for (; i < last; ++i, to += w_.kernel.h, from += step) *to = from;
    for (; i < columns; ++i, to += w_.kernel.h) *to = outside;
  }
}

template <class T>
void RowWalk::fill(const T* image, int64_t oy, int64_t ox, int64_t pixels, const T* outside, const T** pointers) const {
  const int64_t ix = ox * w_.stride.w - w_.left;
  if (shared()) {
    return fill_columns(image, oy, ix, (pixels - 1) * w_.stride.w + w_.kernel.w, outside, pointers);
  }
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t kx = 0; kx < w_.kernel.w; ++kx, pointers += w_.kernel.h) {
      fill_columns(image, oy, ix + p * w_.stride.w + kx * w_.dilation.w, 1, outside, pointers);
    }
  }
}

template void RowWalk::fill(const float*, int64_t, int64_t, int64_t, const float*, const float**) const;
template void RowWalk::fill(const int8_t*, int64_t, int64_t, int64_t, const int8_t*, const int8_t**) const;
#if defined(LR_HALF)
template void RowWalk::fill(const half*, int64_t, int64_t, int64_t, const half*, const half**) const;
#endif

}  // namespace lr
