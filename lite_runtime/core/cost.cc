#include "cost.h"

namespace lr {

namespace {

double count(const Tensor& t) { return static_cast<double>(t.shape.count()); }

// Every input pixel, or output pixel, meets the whole filter once; `channels` is the pixels' last dimension.
double pixels_times_filter(const Tensor& pixels, const Tensor& filter) {
  const Shape& shape = pixels.shape;
  return shape.rank() == 0 || shape.count() == 0 ? 0
                                                 : count(pixels) / static_cast<double>(shape.back()) * count(filter);
}

double products(const Tensor& out, const Tensor& a, bool transposed) {
  const int rank = a.shape.rank();
  if (rank == 0) return 0;
  return count(out) * static_cast<double>(a.shape[transposed && rank > 1 ? rank - 2 : rank - 1]);
}

}  // namespace

double operations(const Node& node) {
  if (node.inputs() < 2 || node.out.empty()) return 0;
  switch (node.def->primitive) {
    case schema::PrimitiveType_Conv2DFusion:
      return 2 * pixels_times_filter(*node.out[0], *node.in[1]);
    case schema::PrimitiveType_Conv2dTransposeFusion:
      return 2 * pixels_times_filter(*node.in[0], *node.in[1]);
    case schema::PrimitiveType_MatMulFusion:
      return 2 * products(*node.out[0], *node.in[0], node.attr<schema::MatMulFusion>()->transpose_a());
    case schema::PrimitiveType_FullConnection:
      return 2 * products(*node.out[0], *node.in[1], false);
    default:
      return 0;
  }
}

}  // namespace lr
