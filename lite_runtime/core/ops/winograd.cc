#include "ops/winograd.h"

#include <algorithm>
#include <limits>

namespace lr {

namespace {
// G of F(4, 3): rows are the points 0, 1, -1, 2, -2, infinity.
constexpr double kWeightTransform[6][3] = {{1. / 4, 0, 0},
                                           {-1. / 6, -1. / 6, -1. / 6},
                                           {-1. / 6, 1. / 6, -1. / 6},
                                           {1. / 24, 1. / 12, 1. / 6},
                                           {1. / 24, -1. / 12, 1. / 6},
                                           {0, 0, 1}};

// Transformed patches and products of a round should stay in the second-level cache.
constexpr int64_t kRoundBytes = 512 * 1024;
// Weights that every thread may read for itself; of larger ones each reads a part.
constexpr int64_t kSharedWeightBytes = 3 * 1024 * 1024;
// Reading a weight from memory takes as long as about this many multiply-adds.
#if defined(__aarch64__) || defined(__arm__)
constexpr int64_t kReadCost = 5;
#else
constexpr int64_t kReadCost = 13;
#endif
}  // namespace

bool Winograd::pays(const Window& w, int64_t out_channels) {
  const bool fits = w.kernel.h == 3 && w.kernel.w == 3 && w.stride.h == 1 && w.stride.w == 1 && w.dilation.h == 1 &&
                    w.dilation.w == 1;
  if (!fits || w.batch == 0) return false;
  // The transforms cost about as much as products with 12 columns.
  if (w.channels * out_channels < 12 * (w.channels + out_channels)) return false;
  const int64_t tiles = w.batch * div_up(w.out_h, kBlock) * div_up(w.out_w, kBlock);
  const int64_t direct = w.batch * w.out_pixels() * 9;
  return 5 * kPoints * (tiles + kReadCost) < 4 * direct;
}

GemmShape Winograd::product(int64_t tiles) const {
  GemmShape shape;
  shape.batches = kPoints;
  shape.rows = tiles;
  shape.k = window_.channels;
  shape.n = out_channels_;
  return shape;
}

void Winograd::prepare(Node& node, const Window& window, int64_t out_channels, const void* zeros,
                       Workspace& workspace) {
  window_ = window;
  out_channels_ = out_channels;
  zeros_ = zeros;
  tiles_w_ = div_up(window.out_w, kBlock);
  tiles_h_ = div_up(window.out_h, kBlock);
  const int threads = node.pool->threads();
  choose_rounds(window.batch * tiles_h_ * tiles_w_, threads);
  const int64_t buffers = alone_ ? threads : 1;
  inputs_ = workspace.add<float>(buffers * kPoints * per_round_ * window.channels);
  products_ = workspace.add<float>(buffers * kPoints * per_round_ * out_channels);
  pointers_ = workspace.add(GemmTiles(product(per_round_), threads).pointer_bytes(threads));
  const size_t bytes = static_cast<size_t>(kPoints * product(1).packed_floats()) * sizeof(float);
  weights_.prepare(node, {1}, "winograd", bytes, workspace, [&](float* packed) { pack(node, packed); });
}

void Winograd::choose_rounds(int64_t tiles, int threads) {
  const auto floats = static_cast<int64_t>(sizeof(float)), mr = static_cast<int64_t>(kernels().gemm_mr);
  const int64_t channels = window_.channels + out_channels_;
  const int64_t weight_bytes = kPoints * window_.channels * out_channels_ * floats;
  // Small rounds would read large weights again and again.
  const int64_t most = std::max<int64_t>(1, std::max(kRoundBytes, weight_bytes) / (kPoints * channels * floats));
  alone_ = threads > 1 && weight_bytes <= kSharedWeightBytes && 2 * tiles >= 3 * mr * threads;
  if (!alone_) {
    per_round_ = round_up(div_up(tiles, div_up(tiles, most)), mr);
    return;
  }
  // As many rounds for every thread, of which the products waste little of their last tile.
  const int64_t least = div_up(tiles, most * threads);
  int64_t best = std::numeric_limits<int64_t>::max();
  for (int64_t rounds = least; rounds <= 2 * least + 1; ++rounds) {
    const int64_t size = div_up(tiles, rounds * threads), cost = rounds * round_up(size, div_up(mr, 2));
    if (cost >= best) continue;
    best = cost;
    per_round_ = size;
  }
}

// U = G w G' of every pair of channels, as 36 matrices [in, out].
void Winograd::pack(const Node& node, float* packed) const {
  const float* w = node.in[1]->as<float>();  // [out, 3, 3, in]
  const int64_t in = window_.channels, out = out_channels_;
  std::vector<float> matrix(static_cast<size_t>(in * out));
  for (int64_t point = 0; point < kPoints; ++point) {
    const double* left = kWeightTransform[point / 6];
    const double* right = kWeightTransform[point % 6];
    double factor[9];
    for (int tap = 0; tap < 9; ++tap) factor[tap] = left[tap / 3] * right[tap % 3];
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) {
        double sum = 0;
        for (int tap = 0; tap < 9; ++tap) sum += factor[tap] * w[(o * 9 + tap) * in + i];
        matrix[static_cast<size_t>(i * out + o)] = static_cast<float>(sum);
      }
    }
    const auto k = static_cast<size_t>(in), n = static_cast<size_t>(out);
    pack_gemm_f32(matrix.data(), 0, n, 1, nullptr, 1, k, n, packed + point * product(1).packed_floats());
  }
}

void Winograd::run(const Node& node, const Epilogue& epilogue) const {
  const float* weights = weights_.get(node, [&](float* packed) { pack(node, packed); });
  auto* inputs = Workspace::at<float>(node, inputs_);
  auto* products = Workspace::at<float>(node, products_);
  const int64_t tiles = window_.batch * tiles_h_ * tiles_w_, rounds = div_up(tiles, per_round_);
  const auto round = [&](int64_t i, int64_t buffer) {
    const int64_t first = i * per_round_, part = buffer * kPoints * per_round_;
    return Round{first, std::min(per_round_, tiles - first), inputs + part * window_.channels,
                 products + part * out_channels_};
  };
  if (!alone_) {
    for (int64_t i = 0; i < rounds; ++i) run_round(node, weights, round(i, 0), epilogue);
    return;
  }
  node.pool->run(rounds, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) run_round(node, weights, round(i, thread), epilogue);
  });
}

void Winograd::run_round(const Node& node, const float* weights, const Round& round, const Epilogue& epilogue) const {
  node.pool->run(round.tiles, 2, [&](int64_t begin, int64_t end, int) { transform_input(node, round, begin, end); });
  const GemmShape shape = product(round.tiles);
  const int64_t packed_floats = shape.packed_floats();
  GemmTiles(shape, alone_ ? 1 : node.pool->threads())
      .run(
          node, Epilogue(), static_cast<size_t>(shape.n), Workspace::at<const float*>(node, pointers_),
          [&](int64_t point) {
            return std::pair(weights + point * packed_floats, round.products + point * round.tiles * shape.n);
          },
          [&](int64_t point, int64_t row, size_t rows, const float** a) {
            const float* from = round.inputs + (point * round.tiles + row) * shape.k;
            for (size_t r = 0; r < rows; ++r, from += shape.k) a[r] = from;
          });
  node.pool->run(round.tiles, 2,
                 [&](int64_t begin, int64_t end, int) { transform_output(node, round, begin, end, epilogue); });
}

void Winograd::transform_input(const Node& node, const Round& round, int64_t begin, int64_t end) const {
  const float* x = node.in[0]->as<float>();
  const int64_t channels = window_.channels;
  const auto* zeros = static_cast<const float*>(zeros_);
  for (int64_t tile = begin; tile < end; ++tile) {
    const int64_t index = round.first + tile;
    const int64_t top = index / tiles_w_ % tiles_h_ * kBlock - window_.top;
    const int64_t left = index % tiles_w_ * kBlock - window_.left;
    const float* image = x + index / (tiles_w_ * tiles_h_) * window_.in_pixels() * channels;
    const float* pixels[kPoints];
    const float** pixel = pixels;
    for (int64_t y = top; y < top + kPatch; ++y) {
      const bool inside = y >= 0 && y < window_.in_h;
      const float* from = image + (y * window_.in_w + left) * channels;
      for (int64_t column = left; column < left + kPatch; ++column, from += channels) {
        *pixel++ = inside && column >= 0 && column < window_.in_w ? from : zeros;
      }
    }
    kernels().winograd_input_f32({pixels, static_cast<size_t>(channels), round.inputs + tile * channels,
                                  static_cast<size_t>(round.tiles * channels)});
  }
}

void Winograd::transform_output(const Node& node, const Round& round, int64_t begin, int64_t end,
                                const Epilogue& epilogue) const {
  auto* y = node.out[0]->as<float>();
  const float* bias = node.has(2) ? node.in[2]->as<float>() : nullptr;
  const int64_t channels = out_channels_, stride = node.out[0]->stride();
  for (int64_t tile = begin; tile < end; ++tile) {
    const int64_t index = round.first + tile;
    const int64_t top = index / tiles_w_ % tiles_h_ * kBlock, left = index % tiles_w_ * kBlock;
    float* image = y + index / (tiles_w_ * tiles_h_) * window_.out_pixels() * stride;
    float* pixels[kBlock * kBlock];
    for (int64_t i = 0; i < kBlock * kBlock; ++i) {
      const int64_t row = top + i / kBlock, column = left + i % kBlock;
      const bool inside = row < window_.out_h && column < window_.out_w;
      pixels[i] = inside ? image + (row * window_.out_w + column) * stride : nullptr;
    }
    kernels().winograd_output_f32({round.products + tile * channels, static_cast<size_t>(round.tiles * channels), bias,
                                   static_cast<size_t>(channels), pixels, epilogue.low(), epilogue.high()});
    for (float* pixel : pixels) {
      if (pixel != nullptr) epilogue.finish(pixel, static_cast<size_t>(channels));
    }
  }
}

}  // namespace lr
