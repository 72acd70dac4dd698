// A verified, immutable .ms model and the weights packed from it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "function_ref.h"
#include "types.h"

namespace lr {

namespace schema {
struct Primitive;
struct MetaGraph;
struct Tensor;
}  // namespace schema

struct QuantParam {
  double scale = 1.0;
  int32_t zero_point = 0;
  float var_corr = 1.0f;  // real = (q - zero_point) * scale * var_corr + mean_corr
  float mean_corr = 0.0f;
  int32_t bits = 8;
};

// One entry of the file's tensor table. All fields have been checked against each other.
struct TensorDef {
  std::string name;
  DType dtype = DType::kUnknown;
  int format = -1;
  bool shape_known = false;    // dims present and none negative
  Shape shape;                 // dims may be -1 for graph inputs of dynamic shape
  const void* data = nullptr;  // constants only; aligned for dtype; points into the file or `owned`
  size_t bytes = 0;
  std::vector<QuantParam> quant;  // one, or one per channel
  std::shared_ptr<void> owned;    // storage of decoded (decompressed) or realigned constants
  // Of a constant that is decoded only where it is packed (see DecodedInputs): the file's form, and the axis of its
  // quantisation parameters. `data` is null, `bytes` are the file's, `dtype` is that of the decoded elements.
  const schema::Tensor* encoded = nullptr;
  int axis = 0;
  // Of a variable: what it holds when a session begins; it has no constant data.
  const void* initial = nullptr;
  bool is_const() const { return data != nullptr || encoded != nullptr; }
  bool is_variable() const { return initial != nullptr; }
};

struct NodeDef {
  std::string name;
  int primitive = 0;  // number in the PrimitiveType union
  const schema::Primitive* attributes = nullptr;
  int quant_type = 0;
  std::vector<uint32_t> inputs, outputs;  // indices of tensors
};

// The axis along which input `input` of a node has one set of quantisation parameters per channel, if it has
// several and nothing else fits better (see channel_axis).
int quantized_axis(const NodeDef& node, size_t input, const TensorDef& weight);

struct GraphDef {
  std::string name;
  std::vector<uint32_t> inputs, outputs;
  std::vector<uint32_t> nodes;  // execution order
};

// Memory for one packed weight, 64-byte aligned.
using Buffer = std::shared_ptr<void>;
Buffer allocate_buffer(size_t bytes);  // throws LR_ERROR_MEMORY
void require_memory(size_t bytes);     // throws LR_ERROR_MEMORY when one allocation may not be as large

class Model {
 public:
  // `bytes` must stay valid as long as `owner` lives. Throws Error(LR_ERROR_FORMAT / LR_ERROR_UNSUPPORTED).
  // `source` names the model in messages.
  // `mapped` says that they are pages of a file.
  Model(const void* bytes, size_t size, std::shared_ptr<void> owner, std::string source, bool mapped = false);

  const std::string& source() const { return source_; }
  const std::vector<TensorDef>& tensors() const { return tensors_; }
  const std::vector<NodeDef>& nodes() const { return nodes_; }
  const std::vector<GraphDef>& graphs() const { return graphs_; }  // [0] is the main graph

  // Lets the system take back the memory of the mapped file: packed weights are not read from there again,
  // and what is comes back on its own.
  void release_pages() const;

  // Returns the buffer stored under key, making its `bytes` with `make` the first time: sessions share packed
  // weights. The key names the node, the layout and everything the layout depends on.
  Buffer packed(const std::string& key, size_t bytes, FunctionRef<Buffer()> make);
  size_t packed_bytes();          // of all buffers kept by packed()
  size_t constant_bytes() const;  // of all constants, as operators see them

 private:
  void decode_constants(const schema::MetaGraph& meta);

  std::shared_ptr<void> owner_;
  std::string source_;
  void* mapping_ = nullptr;  // pages of a file, or null
  size_t mapping_size_ = 0;
  std::vector<TensorDef> tensors_;
  std::vector<NodeDef> nodes_;
  std::vector<GraphDef> graphs_;
  std::mutex mutex_;
  std::map<std::string, Buffer> packed_;
  size_t packed_bytes_ = 0;
};

// Maps a file read-only. Throws LR_ERROR_FILE.
std::shared_ptr<Model> load_model_file(const std::string& path);
// Maps `length` bytes (-1: all) from `offset` of an open file, which stays the caller's and may be closed.
std::shared_ptr<Model> load_model_region(int fd, int64_t offset, int64_t length);
const char* primitive_name(int primitive);

}  // namespace lr
