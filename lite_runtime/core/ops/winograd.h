// 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): 36 multiplications for 16 pixels instead of 144.
//
// The error grows from about 1e-6 to about 1e-5 of the largest result.
#pragma once

#include "ops/gemm.h"
#include "ops/geometry.h"

namespace lr {

class Winograd {
 public:
  // Whether it is faster than the direct convolution of this window, for ungrouped constant weights.
  static bool pays(const Window& window, int64_t out_channels);

  void prepare(Node& node, const Window& window, int64_t out_channels, const void* zeros, Workspace& workspace);
  void run(const Node& node, const Epilogue& epilogue) const;

 private:
  static constexpr int64_t kPatch = 6;    // rows and columns of pixels a tile reads
  static constexpr int64_t kPoints = 36;  // of a transformed patch
  static constexpr int64_t kBlock = 4;    // rows and columns of pixels a tile gives

  void pack(const Node& node, float* packed) const;
  // The tiles of a round and what they become between the transforms.
  struct Round {
    int64_t first, tiles;
    float *inputs, *products;
  };
  void choose_rounds(int64_t tiles, int threads);
  void run_round(const Node& node, const float* weights, const Round& round, const Epilogue& epilogue) const;
  // Of the tiles [begin, end) of a round.
  void transform_input(const Node& node, const Round& round, int64_t begin, int64_t end) const;
  void transform_output(const Node& node, const Round& round, int64_t begin, int64_t end,
                        const Epilogue& epilogue) const;
  GemmShape product(int64_t tiles) const;

  Window window_;
  int64_t out_channels_ = 0, tiles_w_ = 0, tiles_h_ = 0;
  int64_t per_round_ = 0;  // tiles transformed, multiplied and transformed back before the next
  bool alone_ = false;     // each thread does rounds of its own
  const void* zeros_ = nullptr;
  PackedWeights weights_;
  size_t inputs_ = 0, products_ = 0, pointers_ = 0;
};

}  // namespace lr
