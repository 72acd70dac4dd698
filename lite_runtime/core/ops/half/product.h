// Products of float16 matrices over packed weights.
#pragma once

#include "ops/gemm.h"
#include "ops/half/half.h"

#if defined(LR_HALF)

namespace lr {

// Whether inputs 1 and 2, weights and bias, are there when the plan is made and keep their accuracy as float16: no
// value too large, the largest weight not too small.
bool weights_fit_half(const Node& node);

class HalfProduct {
 public:
  struct Strides {
    int64_t tap, k, n;
  };

  HalfProduct() = default;
  HalfProduct(const GemmShape& shape, int threads)
      : shape_(shape), tiles_(shape, threads, {half_kernels()->gemm_mr, half_kernels()->gemm_nr, sizeof(half)}) {}

  size_t pointer_bytes(int threads) const { return tiles_.pointer_bytes(threads); }
  // Of the weights of one of the products.
  size_t packed_bytes() const {
    return packed_gemm_f16_bytes(static_cast<size_t>(shape_.taps), static_cast<size_t>(shape_.k),
                                 static_cast<size_t>(shape_.n));
  }
  int64_t packed_count() const { return static_cast<int64_t>(packed_bytes() / sizeof(half)); }
  // Packs the weights of one product out of input 1, from value `first` on, and input 2, if any, from value `column`
  // on.
  void pack(const Node& node, int64_t first, const Strides& strides, int64_t column, half* packed) const;

  // As GemmTiles::run.
  template <class Operands, class Fill>
  void run(const Node& node, const HalfEpilogue& epilogue, size_t c_stride, const half** pointers,
           const Operands& operands, const Fill& fill) const {
    tiles_.each(node, pointers, fill,
                [&](int64_t batch, int64_t row, size_t rows, int64_t column, size_t columns, const half* const* a) {
                  const auto [w, c] = operands(batch);
                  Gemm<half> g;
                  g.a = a;
                  g.rows = rows;
                  g.taps = static_cast<size_t>(shape_.taps);
                  g.k = static_cast<size_t>(shape_.k);
                  g.n = columns;
                  g.w = w + column * (1 + shape_.taps * shape_.k);
                  g.c = c + row * static_cast<int64_t>(c_stride) + column;
                  g.c_stride = c_stride;
                  g.lo = epilogue.low();
                  g.hi = epilogue.high();
                  half_kernels()->gemm(g);
                  epilogue.finish(g.c, g.rows, c_stride, g.n);
                });
  }

 private:
  GemmShape shape_;
  GemmTiles tiles_;
};

}  // namespace lr

#endif
