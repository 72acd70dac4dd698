// Functions with one parameter (or set of parameters) per channel.
#pragma once

#include <algorithm>

#include "op.h"

namespace lr {

// A tensor seen as outer x channels x inner; the parameters belong to the middle dimension.
struct ChannelView {
  int64_t outer = 1, channels = 1, inner = 1;
  // Dimensions [first, last) of shape are the channels.
  ChannelView() = default;
  ChannelView(const Shape& shape, int first, int last)
      : outer(shape.count(0, first)), channels(shape.count(first, last)), inner(shape.count(last, shape.rank())) {}
};

// Elements worth a thread for functions limited by memory.
constexpr int64_t kChannelGrain = 16384;

// Few channels are repeated to a period of at least this many values, so that kernels get long rows.
constexpr int64_t kMinPeriod = 64;
inline int64_t channel_period(int64_t channels) {
  return channels <= 0 ? 0 : channels * std::max<int64_t>(1, kMinPeriod / channels);
}
// Repeats the first `channels` of the channel_period(channels) values.
inline void repeat_channels(float* values, int64_t channels) {
  for (int64_t i = channels; i < channel_period(channels); ++i) values[i] = values[i - channels];
}

// Calls row(begin, at, n) for pieces of [begin, end) that do not cross a multiple of period; at is the
// piece's position within its period.
template <class Row>
void each_period(int64_t begin, int64_t end, int64_t period, const Row& row) {
  while (begin < end) {
    const int64_t at = begin % period, n = std::min(end - begin, period - at);
    row(begin, at, static_cast<size_t>(n));
    begin += n;
  }
}

}  // namespace lr
