// Moving elements between the spatial dimensions and the channels or the batch: DepthToSpace, SpaceToDepth
// (NHWC), BatchToSpace, BatchToSpaceND, SpaceToBatch, SpaceToBatchND. Any element type.
#include <algorithm>
#include <string>

#include "ops/elementwise.h"

namespace lr {
namespace {

constexpr int64_t kMostBlock = 1 << 16;  // limits block sizes and paddings, so that products stay in range

class DepthOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 1);
    const Shape& in = node.in[0]->shape;
    if (in.rank() != 4) node.invalid("the input must have 4 dimensions, has %d", in.rank());
    read_attributes(node);
    if (block_ < 1 || block_ > kMostBlock) node.invalid("block_size is %lld", static_cast<long long>(block_));
    node.set_out(0, node.in[0]->dtype, result_shape(node, in));
    expect_same_quantization(node);
  }

 protected:
  virtual void read_attributes(const Node& node) = 0;
  virtual Shape result_shape(const Node& node, const Shape& in) const = 0;

  // With `deep` [N, H, W, C] and `wide` [N, H b, W b, C / b^2]: adds the loops that walk both alike.
  // Steps of `deep` come first.
  CopyLoops walk(const Shape& deep, const Shape& wide) const {
    const Steps d(deep), w(wide);
    const int64_t channels = wide[3];
    // The depth is [b, b, channels], or [channels, b, b] in mode CRD.
    const int64_t row = channels_first_ ? block_ : block_ * channels, column = channels_first_ ? 1 : channels;
    const int64_t channel = channels_first_ ? block_ * block_ : 1;
    CopyLoops loops;
    loops.add({deep[0], {d[0], w[0]}});
    loops.add({deep[1], {d[1], w[1] * block_}});
    loops.add({block_, {row, w[1]}});
    loops.add({deep[2], {d[2], w[2] * block_}});
    loops.add({block_, {column, w[2]}});
    loops.add({channels, {channel, w[3]}});
    return loops;
  }

  int64_t block_ = 1;
  bool channels_first_ = false;
};

// mode DCR (or none): the depth is [block, block, channels]; CRD: [channels, block, block].
class DepthToSpaceOp : public DepthOp {
 public:
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    copy_strided(walk(in.shape, node.out[0]->shape), in.data, node.out[0]->data, dtype_size(in.dtype), node.pool);
  }

 protected:
  void read_attributes(const Node& node) override {
    const auto* attr = node.attr<schema::DepthToSpace>();
    block_ = attr->block_size();
    const std::string mode = attr->mode() == nullptr ? "DCR" : attr->mode()->str();
    channels_first_ = mode == "CRD";
    if (!channels_first_ && mode != "DCR" && !mode.empty()) node.unsupported("mode '%s'", mode.c_str());
  }
  Shape result_shape(const Node& node, const Shape& in) const override {
    const int64_t area = block_ * block_;  // at most kMostBlock squared
    if (in[3] % area != 0) {
      node.invalid("block_size %lld does not fit %lld channels", static_cast<long long>(block_),
                   static_cast<long long>(in[3]));
    }
    return Shape{in[0], checked_product(in[1], block_), checked_product(in[2], block_), in[3] / area};
  }
};

class SpaceToDepthOp : public DepthOp {
 public:
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    const CopyLoops loops = walk(node.out[0]->shape, in.shape);
    CopyLoops exchanged;
    for (int d = 0; d < loops.rank(); ++d) {
      exchanged.add({loops[d].size, {loops[d].step[1], loops[d].step[0]}});
    }
    if (loops.empty()) return;
    copy_strided(exchanged, in.data, node.out[0]->data, dtype_size(in.dtype), node.pool);
  }

 protected:
  void read_attributes(const Node& node) override { block_ = node.attr<schema::SpaceToDepth>()->block_size(); }
  Shape result_shape(const Node& node, const Shape& in) const override {
    if (in[1] % block_ != 0 || in[2] % block_ != 0) {
      node.invalid("block_size %lld does not fit an image of %lld x %lld", static_cast<long long>(block_),
                   static_cast<long long>(in[1]), static_cast<long long>(in[2]));
    }
    return Shape{in[0], in[1] / block_, in[2] / block_, checked_product(in[3], block_ * block_)};
  }
};

// Between an image [N, S1, .., Sm, ..] and blocks [N b1 .. bm, S1 / b1, .., Sm / bm, ..]. Block size and
// borders (paddings or crops, [m, 2]) are inputs 1 and 2 or attributes.
class BatchOp : public Op {
 public:
  void infer(Node& node) override {
    node.expect_inputs(1, 3);
    if (node.inputs() == 2) node.invalid("there is a block size, but no borders");
    borders_.clear();
    if (node.inputs() == 3) {
      block_ = node.ints(1);
      borders_ = node.ints(2);
    } else {
      read_attributes(node);
    }
    const Shape& in = node.in[0]->shape;
    if (block_.empty() || static_cast<int>(block_.size()) >= in.rank() || borders_.size() != 2 * block_.size()) {
      node.invalid("%zu block sizes and %zu borders for a tensor of %d dimensions", block_.size(), borders_.size(),
                   in.rank());
    }
    const auto in_range = [](int64_t least) {
      return [least](int64_t value) { return value >= least && value <= kMostBlock; };
    };
    if (!std::all_of(block_.begin(), block_.end(), in_range(1)) ||
        !std::all_of(borders_.begin(), borders_.end(), in_range(0))) {
      node.invalid("a block size or border is out of range");
    }
    blocks_ = 1;
    for (int64_t block : block_) blocks_ = checked_product(blocks_, block);
    if (blocks_ > kMostBlock) node.unsupported("blocks of %lld elements", static_cast<long long>(blocks_));
    node.set_out(0, node.in[0]->dtype, result_shape(node, in));
    expect_same_quantization(node);
  }

 protected:
  virtual void read_attributes(const Node& node) = 0;
  virtual Shape result_shape(const Node& node, const Shape& in) const = 0;

  void read(const flatbuffers::Vector<int64_t>* block, const schema::Vec2D* borders) {
    block_.clear();
    if (block != nullptr) block_.assign(block->begin(), block->end());
    if (borders == nullptr || borders->data() == nullptr) return;
    for (const schema::Vec* row : *borders->data()) {
      if (row->data() != nullptr) borders_.insert(borders_.end(), row->data()->begin(), row->data()->end());
    }
  }

  // Calls copy(loops, image offset, blocks offset) for the part of the image that each place in a block
  // makes up; the loops have the image's steps first.
  template <class Copy>
  void each_block(const Shape& image, const Shape& blocks, const Copy& copy) const {
    const Steps i(image), b(blocks);
    const int64_t batch = image[0];
    for (int64_t number = 0; number < blocks_; ++number) {
      int64_t rest = number, image_at = 0, blocks_at = number * batch * b[0];
      int64_t place[LR_MAX_RANK] = {};
      for (int m = static_cast<int>(block_.size()) - 1; m >= 0; --m) {
        place[m] = rest % block_[static_cast<size_t>(m)];
        rest /= block_[static_cast<size_t>(m)];
      }
      CopyLoops loops;
      loops.add({batch, {i[0], b[0]}});
      for (int d = 1; d < image.rank(); ++d) {
        const auto m = static_cast<size_t>(d - 1);
        if (m >= block_.size()) {
          loops.add({image[d], {i[d], b[d]}});
          continue;
        }
        // Position s of the blocks is position s * block + place - border of the image.
        const int64_t shift = place[m] - borders_[2 * m];
        const int64_t first = shift >= 0 ? 0 : div_up(-shift, block_[m]);
        const int64_t last = std::min(blocks[d], div_up(std::max<int64_t>(0, image[d] - shift), block_[m]));
        loops.add({std::max<int64_t>(0, last - first), {i[d] * block_[m], b[d]}});
        image_at += (first * block_[m] + shift) * i[d];
        blocks_at += first * b[d];
      }
      if (!loops.empty()) copy(loops, image_at, blocks_at);
    }
  }

  std::vector<int64_t> block_, borders_;
  int64_t blocks_ = 1;  // product of the block sizes
};

class BatchToSpaceBase : public BatchOp {
 public:
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const size_t size = dtype_size(in.dtype);
    each_block(out.shape, in.shape, [&](const CopyLoops& loops, int64_t image_at, int64_t blocks_at) {
      CopyLoops exchanged;
      for (int d = 0; d < loops.rank(); ++d) {
        exchanged.add({loops[d].size, {loops[d].step[1], loops[d].step[0]}});
      }
      copy_strided(exchanged, in.as<char>() + blocks_at * static_cast<int64_t>(size),
                   out.as<char>() + image_at * static_cast<int64_t>(size), size, node.pool);
    });
  }

 protected:
  Shape result_shape(const Node& node, const Shape& in) const override {
    Shape out = in;
    if (in[0] % blocks_ != 0) {
      node.invalid("blocks of %lld do not fit a batch of %lld", static_cast<long long>(blocks_),
                   static_cast<long long>(in[0]));
    }
    out[0] = in[0] / blocks_;
    for (size_t m = 0; m < block_.size(); ++m) {
      const int d = static_cast<int>(m) + 1;
      out[d] = checked_product(in[d], block_[m]) - borders_[2 * m] - borders_[2 * m + 1];
      if (out[d] < 0) node.invalid("the crops are larger than axis %d", d);
    }
    return out;
  }
};

class SpaceToBatchBase : public BatchOp {
 public:
  void run(Node& node) override {
    const Tensor& in = *node.in[0];
    Tensor& out = *node.out[0];
    const size_t size = dtype_size(in.dtype);
    const uint64_t zero = is_quantized(&in) ? element_bits(in.dtype, in.def->quant[0].zero_point) : 0;
    fill_elements(out.data, out.count(), &zero, size);
    each_block(in.shape, out.shape, [&](const CopyLoops& loops, int64_t image_at, int64_t blocks_at) {
      copy_strided(loops, in.as<char>() + image_at * static_cast<int64_t>(size),
                   out.as<char>() + blocks_at * static_cast<int64_t>(size), size, node.pool);
    });
  }

 protected:
  Shape result_shape(const Node& node, const Shape& in) const override {
    Shape out = in;
    out[0] = checked_product(in[0], blocks_);
    for (size_t m = 0; m < block_.size(); ++m) {
      const int d = static_cast<int>(m) + 1;
      const int64_t padded = in[d] + borders_[2 * m] + borders_[2 * m + 1];
      if (padded % block_[m] != 0) {
        node.invalid("blocks of %lld do not fit the padded axis %d of size %lld", static_cast<long long>(block_[m]), d,
                     static_cast<long long>(padded));
      }
      out[d] = padded / block_[m];
    }
    return out;
  }
};

class BatchToSpaceOp : public BatchToSpaceBase {
  void read_attributes(const Node& node) override {
    const auto* attr = node.attr<schema::BatchToSpace>();
    read(attr->block_size(), attr->crops());
  }
};
class BatchToSpaceNDOp : public BatchToSpaceBase {
  void read_attributes(const Node& node) override {
    const auto* attr = node.attr<schema::BatchToSpaceND>();
    read(attr->block_shape(), attr->crops());
  }
};
class SpaceToBatchOp : public SpaceToBatchBase {
  void read_attributes(const Node& node) override {
    const auto* attr = node.attr<schema::SpaceToBatch>();
    read(attr->block_size(), attr->paddings());
  }
};
class SpaceToBatchNDOp : public SpaceToBatchBase {
  void read_attributes(const Node& node) override {
    const auto* attr = node.attr<schema::SpaceToBatchND>();
    read(attr->block_shape(), attr->paddings());
  }
};

LR_REGISTER_OP(DepthToSpace, DepthToSpaceOp)
LR_REGISTER_OP(SpaceToDepth, SpaceToDepthOp)
LR_REGISTER_OP(BatchToSpace, BatchToSpaceOp)
LR_REGISTER_OP(BatchToSpaceND, BatchToSpaceNDOp)
LR_REGISTER_OP(SpaceToBatch, SpaceToBatchOp)
LR_REGISTER_OP(SpaceToBatchND, SpaceToBatchNDOp)

}  // namespace
}  // namespace lr
