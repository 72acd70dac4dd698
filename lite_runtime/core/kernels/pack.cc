// Packing of weights into the layouts the micro-kernels read.
#include <cstring>
#include <memory>

#include "half.h"
#include "tiers.h"

namespace lr {

size_t packed_gemm_f32_bytes(size_t taps, size_t k, size_t n) {
  const size_t nr = kernels().gemm_nr;
  return (n + nr - 1) / nr * nr * (1 + taps * k) * sizeof(float);
}

namespace {

// k rows of gemm_nr weights, of which the first `columns` exist. A build of selected operators may lack the kernels.
void pack_rows(const Kernels& tier, const float* w, size_t k_stride, size_t n_stride, size_t k, size_t columns,
               float* packed) {
  const size_t nr = tier.gemm_nr;
  if (columns < nr) {
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = columns; j < nr; ++j) packed[i * nr + j] = 0.f;
    }
  }
  if (n_stride == 1 && tier.copy_rows_32 != nullptr) {
    tier.copy_rows_32(reinterpret_cast<const uint32_t*>(w), k_stride, reinterpret_cast<uint32_t*>(packed), nr, k,
                      columns);
  } else if (k_stride == 1 && tier.transpose_32 != nullptr) {
    tier.transpose_32(reinterpret_cast<const uint32_t*>(w), n_stride, reinterpret_cast<uint32_t*>(packed), nr, columns,
                      k);
  } else {
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < columns; ++j) packed[i * nr + j] = w[i * k_stride + j * n_stride];
    }
  }
}

}  // namespace

void pack_gemm_f32(const Kernels& tier, const float* w, size_t tap_stride, size_t k_stride, size_t n_stride,
                   const float* bias, size_t taps, size_t k, size_t n, float* packed) {
  const size_t nr = tier.gemm_nr;
  for (size_t j0 = 0; j0 < n; j0 += nr) {
    const size_t columns = n - j0 < nr ? n - j0 : nr;
    for (size_t j = 0; j < nr; ++j) *packed++ = bias != nullptr && j < columns ? bias[j0 + j] : 0.f;
    for (size_t t = 0; t < taps; ++t, packed += k * nr) {
      pack_rows(tier, w + t * tap_stride + j0 * n_stride, k_stride, n_stride, k, columns, packed);
    }
  }
}

void pack_gemm_f32(const float* w, size_t tap_stride, size_t k_stride, size_t n_stride, const float* bias, size_t taps,
                   size_t k, size_t n, float* packed) {
  pack_gemm_f32(kernels(), w, tap_stride, k_stride, n_stride, bias, taps, k, n, packed);
}

size_t packed_depthwise_f32_bytes(size_t taps, size_t channels) {
  const size_t lanes = kernels().lanes;
  return (channels + lanes - 1) / lanes * lanes * (1 + taps) * sizeof(float);
}

void pack_depthwise_f32(const Kernels& tier, const float* w, size_t tap_stride, size_t channel_stride,
                        const float* bias, size_t taps, size_t channels, float* packed) {
  const size_t lanes = tier.lanes, used = channels < lanes ? channels : lanes;
  for (size_t group = 0; group < channels; group += lanes) {
    // The last group overlaps the one before it when the channels are no multiple of the lanes.
    const size_t c0 = group + used <= channels ? group : channels - used;
    for (size_t i = 0; i < lanes; ++i) *packed++ = bias != nullptr && i < used ? bias[c0 + i] : 0.f;
    for (size_t t = 0; t < taps; ++t) {
      const float* tap = w + t * tap_stride + c0 * channel_stride;
      for (size_t i = 0; i < lanes; ++i) *packed++ = i < used ? tap[i * channel_stride] : 0.f;
    }
  }
}

void pack_depthwise_f32(const float* w, size_t tap_stride, size_t channel_stride, const float* bias, size_t taps,
                        size_t channels, float* packed) {
  pack_depthwise_f32(kernels(), w, tap_stride, channel_stride, bias, taps, channels, packed);
}

size_t packed_gemm_i8_bytes(const Kernels& tier, size_t taps, size_t k, size_t n) {
  const size_t nr = tier.gemm_i8_nr, depth = tier.gemm_i8_depth;
  const size_t start = tier.gemm_i8_shift != 0 ? sizeof(int32_t) : 0;
  return (n + nr - 1) / nr * nr * (start + taps * ((k + depth - 1) / depth * depth));
}

size_t packed_gemm_i8_bytes(size_t taps, size_t k, size_t n) { return packed_gemm_i8_bytes(kernels(), taps, k, n); }

void pack_gemm_i8(const Kernels& tier, const int8_t* w, size_t tap_stride, size_t k_stride, size_t n_stride,
                  size_t taps, size_t k, size_t n, int8_t* packed) {
  const size_t nr = tier.gemm_i8_nr, depth = tier.gemm_i8_depth;
  for (size_t j0 = 0; j0 < n; j0 += nr) {
    const size_t columns = n - j0 < nr ? n - j0 : nr;
    int8_t* starts = packed;
    if (tier.gemm_i8_shift != 0) packed += nr * sizeof(int32_t);
    int8_t* panel = packed;
    for (size_t t = 0; t < taps; ++t) {
      for (size_t i = 0; i < k; i += depth) {
        const int8_t* group = w + t * tap_stride + i * k_stride + j0 * n_stride;
        for (size_t j = 0; j < nr; ++j) {
          for (size_t d = 0; d < depth; ++d) {
            const bool inside = j < columns && i + d < k;
            *packed++ = inside ? group[d * k_stride + j * n_stride] : static_cast<int8_t>(0);
          }
        }
      }
    }
    for (size_t j = 0; j < nr && starts != panel; ++j, starts += sizeof(int32_t)) {
      int32_t sum = 0;
      for (const int8_t* group = panel + j * depth; group < packed; group += nr * depth) {
        for (size_t d = 0; d < depth; ++d) sum += group[d];
      }
      const auto start = static_cast<int32_t>(-static_cast<uint32_t>(tier.gemm_i8_shift) * static_cast<uint32_t>(sum));
      std::memcpy(starts, &start, sizeof start);
    }
  }
}

void pack_gemm_i8(const int8_t* w, size_t tap_stride, size_t k_stride, size_t n_stride, size_t taps, size_t k, size_t n,
                  int8_t* packed) {
  pack_gemm_i8(kernels(), w, tap_stride, k_stride, n_stride, taps, k, n, packed);
}

size_t packed_depthwise_i8_bytes(const Kernels& tier, size_t taps, size_t channels) {
  const size_t lanes = tier.depthwise_i8_lanes, depth = tier.depthwise_i8_depth, column = depthwise_i8_column(taps);
  return (channels + lanes - 1) / lanes * lanes * (taps / column) * ((column + depth - 1) / depth * depth);
}

size_t packed_depthwise_i8_bytes(size_t taps, size_t channels) {
  return packed_depthwise_i8_bytes(kernels(), taps, channels);
}

void pack_depthwise_i8(const Kernels& tier, const int8_t* w, size_t tap_stride, size_t channel_stride, size_t taps,
                       size_t channels, int8_t* packed) {
  const size_t lanes = tier.depthwise_i8_lanes, used = channels < lanes ? channels : lanes;
  const size_t depth = tier.depthwise_i8_depth, column = depthwise_i8_column(taps);
  for (size_t group = 0; group < channels; group += lanes) {
    const size_t c0 = group + used <= channels ? group : channels - used;
    for (size_t start = 0; start < taps; start += column) {
      for (size_t t = 0; t < column; t += depth) {
        const int8_t* tap = w + (start + t) * tap_stride + c0 * channel_stride;
        for (size_t i = 0; i < lanes * depth; ++i) {
          const size_t c = i / depth, d = i % depth;
          const bool inside = c < used && t + d < column;
          *packed++ = inside ? tap[d * tap_stride + c * channel_stride] : static_cast<int8_t>(0);
        }
      }
    }
  }
}

void pack_depthwise_i8(const int8_t* w, size_t tap_stride, size_t channel_stride, size_t taps, size_t channels,
                       int8_t* packed) {
  pack_depthwise_i8(kernels(), w, tap_stride, channel_stride, taps, channels, packed);
}

#if defined(LR_HALF)

namespace {

// The kernels with the tiles of those on float16, for the functions above.
Kernels half_tiles() {
  Kernels tiles = kernels();
  tiles.lanes = half_kernels()->lanes;
  tiles.gemm_nr = half_kernels()->gemm_nr;
  return tiles;
}

// Packed by pack(floats) first.
template <class Pack>
void pack_half(size_t bytes, half* packed, const Pack& pack) {
  const size_t count = bytes / sizeof(half);
  const std::unique_ptr<float[]> floats(new float[count]);
  pack(floats.get());
  kernels().f32_to_f16(floats.get(), packed, count);
}

}  // namespace

size_t packed_gemm_f16_bytes(size_t taps, size_t k, size_t n) {
  const size_t nr = half_kernels()->gemm_nr;
  return (n + nr - 1) / nr * nr * (1 + taps * k) * sizeof(half);
}

void pack_gemm_f16(const float* w, size_t tap_stride, size_t k_stride, size_t n_stride, const float* bias, size_t taps,
                   size_t k, size_t n, half* packed) {
  pack_half(packed_gemm_f16_bytes(taps, k, n), packed, [&](float* floats) {
    pack_gemm_f32(half_tiles(), w, tap_stride, k_stride, n_stride, bias, taps, k, n, floats);
  });
}

size_t packed_depthwise_f16_bytes(size_t taps, size_t channels) {
  const size_t lanes = half_kernels()->lanes;
  return (channels + lanes - 1) / lanes * lanes * (1 + taps) * sizeof(half);
}

void pack_depthwise_f16(const float* w, size_t tap_stride, size_t channel_stride, const float* bias, size_t taps,
                        size_t channels, half* packed) {
  pack_half(packed_depthwise_f16_bytes(taps, channels), packed, [&](float* floats) {
    pack_depthwise_f32(half_tiles(), w, tap_stride, channel_stride, bias, taps, channels, floats);
  });
}

#endif

}  // namespace lr
