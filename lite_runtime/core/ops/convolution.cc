#include "ops/convolution.h"

namespace lr {

Convolution fit_convolution(const Node& node) {
  const auto* attr = node.attr<schema::Conv2DFusion>();
  node.expect_inputs(2, 3);
  const Shape& x = node.in[0]->shape;
  const Shape& w = node.in[1]->shape;
  if (x.rank() != 4 || w.rank() != 4) {
    node.invalid("input %s and weights %s need 4 dimensions each", x.str().c_str(), w.str().c_str());
  }
  Convolution c;
  c.group = std::max<int64_t>(1, attr->group());
  c.out_channels = w[0];
  if (x[3] % c.group != 0 || w[3] != x[3] / c.group || w[0] % c.group != 0) {
    node.invalid("weights %s do not fit input %s with group=%lld", w.str().c_str(), x.str().c_str(),
                 static_cast<long long>(c.group));
  }
  if (w.count() == 0) node.invalid("weights %s are empty", w.str().c_str());
  if (node.has(2) && node.in[2]->count() != c.out_channels) {
    node.invalid("bias has %lld values for %lld output channels", static_cast<long long>(node.in[2]->count()),
                 static_cast<long long>(c.out_channels));
  }
  c.window.kernel = {w[1], w[2]};
  c.window.stride = pair_attribute(node, "stride", attr->stride(), {1, 1});
  c.window.dilation = pair_attribute(node, "dilation", attr->dilation(), {1, 1});
  fit_window(node, attr->pad_mode(), padding_attribute(node, "pad_list", attr->pad_list()), false, c.window);
  return c;
}

}  // namespace lr
