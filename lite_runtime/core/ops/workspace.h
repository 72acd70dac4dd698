// Memory an operator needs beside its tensors: scratch of one run, and packed weights.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "op.h"

namespace lr {

// Lays out a node's scratch memory: add() the parts in prepare, at() them in run.
class Workspace {
 public:
  void clear() { bytes_ = 0; }
  size_t add(size_t bytes) {
    const size_t offset = bytes_;
    bytes_ += (bytes + kAlign - 1) / kAlign * kAlign;
    return offset;
  }
  template <class T>
  size_t add(int64_t count) {
    return add(static_cast<size_t>(Shape{count}.count()) * sizeof(T));
  }
  // Becomes large enough for the other, which has begun with the same parts.
  void cover(const Workspace& other) { bytes_ = std::max(bytes_, other.bytes_); }
  void reserve(Node& node) const { node.need_scratch(bytes_); }
  template <class T>
  static T* at(const Node& node, size_t offset) {
    return reinterpret_cast<T*>(static_cast<char*>(node.scratch) + offset);
  }

 private:
  static constexpr size_t kAlign = 64;
  size_t bytes_ = 0;
};

// Weights in the layout a kernel reads. Packed in prepare when the inputs they come from are known (once
// per model when these are constants), else in scratch memory at every run.
template <class T>
class Packed {
 public:
  // pack(T* destination) writes `bytes` bytes and reads only `inputs`. `layout` names the format.
  template <class Pack>
  void prepare(Node& node, const std::vector<size_t>& inputs, const std::string& layout, size_t bytes,
               Workspace& workspace, const Pack& pack) {
    bool known = true, constant = true;
    for (size_t i : inputs) {
      if (!node.has(i)) continue;
      known = known && node.in[i]->known;
      constant = constant && node.in[i]->is_const();
    }
    buffer_.reset();
    if (!known) {
      offset_ = workspace.add(bytes);
      return;
    }
    const auto make = [&] {
      const DecodedInputs decoded(node, inputs);
      Buffer buffer = allocate_buffer(bytes);
      pack(static_cast<T*>(buffer.get()));
      return buffer;
    };
    buffer_ = constant ? node.packed(layout, bytes, make) : make();
  }

  bool ready() const { return buffer_ != nullptr; }
  // The packed weights for this run.
  template <class Pack>
  const T* get(const Node& node, const Pack& pack) const {
    if (ready()) return static_cast<const T*>(buffer_.get());
    T* packed = Workspace::at<T>(node, offset_);
    pack(packed);
    return packed;
  }

 private:
  Buffer buffer_;
  size_t offset_ = 0;
};

using PackedWeights = Packed<float>;

}  // namespace lr
