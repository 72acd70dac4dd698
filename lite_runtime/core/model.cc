// The one place where the engine reads untrusted bytes: everything after it trusts what is stored here.
#include "model.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "op.h"
#include "primitive_names.h"
#include "schema_reader.h"
#include "storage.h"

#if defined(LR_OPS) && FLATBUFFERS_VERSION_MAJOR >= 25
// The verifiers of all attributes take more room than the operators of many a model. This build reads no attributes but
// those of its operators and, here, of these two.
template <>
inline bool lr::schema::VerifyPrimitiveType<false>(flatbuffers::VerifierTemplate<false>& verifier, const void* table,
                                                   PrimitiveType type) {
  return lr::Primitives<MatMulFusion, PartialFusion, LR_OPS>::verify(verifier, table, type);
}
#endif

namespace lr {

namespace {

constexpr size_t kAlignment = 64;
constexpr int kConstantNode = 0;  // Tensor.nodeType of constants; everything else is 2

[[noreturn]] void bad_tensor(size_t index, const TensorDef& tensor, const char* reason) {
  fail(LR_ERROR_FORMAT, "tensor %zu '%s': %s", index, tensor.name.c_str(), reason);
}

// What a message says of the part of the model that refers to another, for example "node 'add'".
struct Referrer {
  const char* kind;
  const std::string& name;
};

DType parse_dtype(int32_t number) {
  const DType dtype = static_cast<DType>(number);
  return dtype_size(dtype) == 0 ? DType::kUnknown : dtype;
}

std::vector<QuantParam> parse_quant(const schema::Tensor& t) {
  std::vector<QuantParam> params;
  if (t.quantParams() == nullptr) return params;
  for (const schema::QuantParam* p : *t.quantParams()) {
    params.push_back({p->scale(), p->zeroPoint(), p->varCorr(), p->meanCorr(), p->numBits()});
  }
  return params;
}

void parse_shape(const schema::Tensor& t, TensorDef& def) {
  def.shape_known = true;
  if (t.dims() == nullptr) return;
  if (t.dims()->size() > LR_MAX_RANK) fail(LR_ERROR_FORMAT, "has more than %d dimensions", LR_MAX_RANK);
  for (int32_t dim : *t.dims()) {
    if (dim < -1) fail(LR_ERROR_FORMAT, "has dimension %d", dim);
    if (dim < 0) def.shape_known = false;
    def.shape.push_back(dim);
  }
}

void refuse_encoded(const schema::Tensor& t, const TensorDef& def) {
  const schema::WeightQuantCompressType form = t.weightQuantCompressType();
  if (form != schema::WeightQuantCompressType_NONE)
    left_out("is stored as", schema::EnumNameWeightQuantCompressType(form));
  if (def.dtype == DType::kFloat16) left_out("is a constant of type", dtype_name(def.dtype));
}

void parse_constant(const schema::Tensor& t, TensorDef& def) {
  if (def.dtype == DType::kUnknown) fail(LR_ERROR_FORMAT, "constant of unknown dtype %d", t.dataType());
  if (!def.shape_known) fail(LR_ERROR_FORMAT, "constant with unknown dimensions");
  if (!kDecodes) {
    refuse_encoded(t, def);
  } else if (is_encoded(t, def)) {
    def.encoded = &t;
    def.bytes = t.data()->size();
    return;
  }
  const size_t wanted = static_cast<size_t>(def.shape.count()) * dtype_size(def.dtype);
  const size_t found = t.data() == nullptr ? 0 : t.data()->size();
  if (wanted != found) {
    fail(LR_ERROR_FORMAT, "holds %zu bytes, but its shape %s of %s needs %zu", found, def.shape.str().c_str(),
         dtype_name(def.dtype), wanted);
  }
  static const char kEmpty[kAlignment] = {};
  def.data = kEmpty;
  if (found > 0) place(def, t);
  if (!kDecodes || def.dtype != DType::kFloat16) return;
  def.encoded = &t;
  def.data = nullptr;
  def.bytes = found;
}

TensorDef parse_tensor(const schema::Tensor& t, size_t index) {
  TensorDef def;
  if (t.name() != nullptr) def.name = t.name()->str();
  def.dtype = parse_dtype(t.dataType());
  def.format = t.format();
  def.quant = parse_quant(t);
  try {
    parse_shape(t, def);
    if (t.nodeType() == kConstantNode && t.data() != nullptr) parse_constant(t, def);
  } catch (const Error& error) {
    fail(error.status(), "tensor %zu '%s': %s", index, def.name.c_str(), error.what());
  }
  // Dims of intermediate tensors are only hints of the converter; an absent vector may mean a scalar or unknown.
  return def;
}

std::vector<uint32_t> indices(const flatbuffers::Vector<uint32_t>* vector, size_t limit, const Referrer& of) {
  std::vector<uint32_t> result;
  if (vector == nullptr) return result;
  result.assign(vector->begin(), vector->end());
  for (uint32_t index : result) {
    if (index >= limit) {
      fail(LR_ERROR_FORMAT, "%s '%s' names entry %u of %zu", of.kind, of.name.c_str(), index, limit);
    }
  }
  return result;
}

NodeDef parse_node(const schema::CNode& n, size_t index, size_t tensors) {
  NodeDef def;
  def.name = n.name() == nullptr ? formatted("node %zu", index) : n.name()->str();
  const schema::Primitive* primitive = n.primitive();
  if (primitive == nullptr || primitive->value_type() == schema::PrimitiveType_NONE) {
    fail(LR_ERROR_FORMAT, "node '%s' has no operator", def.name.c_str());
  }
  if (primitive->value_type() > schema::PrimitiveType_MAX) {
    fail(LR_ERROR_UNSUPPORTED, "node '%s' has operator number %d; this version knows 1 to %d", def.name.c_str(),
         primitive->value_type(), schema::PrimitiveType_MAX);
  }
  if (primitive->value() == nullptr) fail(LR_ERROR_FORMAT, "node '%s' has no attribute table", def.name.c_str());
  def.primitive = primitive->value_type();
  def.attributes = primitive;
  def.quant_type = n.quantType();
  const Referrer node{"node", def.name};
  def.inputs = indices(n.inputIndex(), tensors, node);
  def.outputs = indices(n.outputIndex(), tensors, node);
  if (def.outputs.empty()) fail(LR_ERROR_FORMAT, "node '%s' has no output", def.name.c_str());
  return def;
}

// Whether quantised constants of the node are a form of storage, and it computes in float32.
bool stores_quantized(const NodeDef& node) {
  switch (node.quant_type) {
    case schema::QuantType_QUANT_WEIGHT:
    case schema::QuantType_WeightQuant:
      return true;
    case schema::QuantType_QUANT_DYNAMIC:  // tables are looked up in, only products have integer kernels
      return node.primitive == schema::PrimitiveType_Gather;
    default:
      return false;
  }
}

// The first input of an Assign is no constant but a variable, which the file gives an initial value.
void find_variables(const std::vector<NodeDef>& nodes, std::vector<TensorDef>& tensors) {
  for (const NodeDef& node : nodes) {
    if (node.primitive != schema::PrimitiveType_Assign || node.inputs.empty()) continue;
    TensorDef& variable = tensors[node.inputs[0]];
    if (!variable.is_const()) continue;
    decode(variable);
    variable.initial = variable.data;
    variable.data = nullptr;
  }
}

// Every tensor a node reads must be a constant, an input of its graph, or written by an earlier node of it,
// and nothing may be written twice.
void check_order(const GraphDef& graph, const std::vector<TensorDef>& tensors, const std::vector<NodeDef>& nodes,
                 std::vector<bool>& node_seen) {
  std::vector<bool> available(tensors.size());
  const auto given = [&](uint32_t i) { return tensors[i].is_const() || tensors[i].is_variable(); };
  for (uint32_t i : graph.inputs) {
    if (given(i)) bad_tensor(i, tensors[i], "is a constant and an input of a graph");
    available[i] = true;
  }
  const auto check_read = [&](uint32_t i, const Referrer& reader) {
    if (available[i] || given(i)) return;
    fail(LR_ERROR_FORMAT, "tensor %u '%s': %s '%s' reads it before anything writes it", i, tensors[i].name.c_str(),
         reader.kind, reader.name.c_str());
  };
  for (uint32_t n : graph.nodes) {
    const NodeDef& node = nodes[n];
    if (node_seen[n]) fail(LR_ERROR_FORMAT, "node '%s' is listed twice", node.name.c_str());
    node_seen[n] = true;
    for (uint32_t i : node.inputs) check_read(i, {"node", node.name});
    for (uint32_t i : node.outputs) {
      if (available[i] || given(i)) {
        fail(LR_ERROR_FORMAT, "tensor %u '%s': is written twice (by node '%s')", i, tensors[i].name.c_str(),
             node.name.c_str());
      }
      available[i] = true;
    }
  }
  for (uint32_t i : graph.outputs) check_read(i, {"graph", graph.name});
}

}  // namespace

// Asking for more than the machine has would succeed and kill the process later. The environment variable
// LITE_RUNTIME_MEMORY_LIMIT (bytes) lowers the limit of a single allocation.
static size_t memory_limit() {
  const size_t physical = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const char* set = std::getenv("LITE_RUNTIME_MEMORY_LIMIT");
  const size_t wanted = set == nullptr ? 0 : std::strtoull(set, nullptr, 10);
  return wanted == 0 ? physical : std::min(wanted, physical);
}

[[noreturn]] static void out_of_memory(size_t bytes) {
  fail(LR_ERROR_MEMORY, "%zu bytes of memory cannot be had", bytes);
}

void require_memory(size_t bytes) {
  static const size_t limit = memory_limit();
  if (bytes >= limit) out_of_memory(bytes);
}

Buffer allocate_buffer(size_t bytes) {
  require_memory(bytes);
  const size_t size = static_cast<size_t>(round_up(static_cast<int64_t>(bytes) + 1, kAlignment));
  void* data = nullptr;
  // The heap would keep what a large buffer took.
  constexpr size_t kLarge = 1 << 20;
  if (size >= kLarge) {
    data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) out_of_memory(bytes);
    return Buffer(data, [size](void* buffer) { munmap(buffer, size); });
  }
  // std::aligned_alloc needs Android 9.
  if (posix_memalign(&data, kAlignment, size) != 0) out_of_memory(bytes);
  return Buffer(data, std::free);
}

int quantized_axis(const NodeDef& node, size_t input, const TensorDef& weight) {
  // Weights of a transposed convolution have their output channels last.
  if (node.primitive == schema::PrimitiveType_Conv2dTransposeFusion) return std::max(0, weight.shape.rank() - 1);
  if (node.primitive != schema::PrimitiveType_MatMulFusion) return 0;
  const auto* attr = node.attributes->value_as<schema::MatMulFusion>();
  const bool last = input == 0 ? attr->transpose_a() : !attr->transpose_b();
  return std::max(0, weight.shape.rank() - (last ? 1 : 2));
}

// One text, not a table of pointers that the loader would have to relocate.
const char* primitive_name(int primitive) {
  const char* name = LR_PRIMITIVE_NAMES;
  while (primitive-- > 0) name += std::strlen(name) + 1;
  return name;
}

// A converter that lost an operator leaves the two records of the model's ends in disagreement.
static void check_ends(const flatbuffers::Vector<uint32_t>* of_model, const flatbuffers::Vector<uint32_t>* of_graph,
                       const char* what) {
  if (of_model == nullptr || of_graph == nullptr) return;
  if (!std::equal(of_model->begin(), of_model->end(), of_graph->begin(), of_graph->end())) {
    fail(LR_ERROR_FORMAT,
         "the %s of the model are not those of its main graph: the converter that wrote it lost an operator", what);
  }
}

Model::Model(const void* bytes, size_t size, std::shared_ptr<void> owner, std::string source, bool mapped)
    : owner_(std::move(owner)),
      source_(std::move(source)),
      mapping_(mapped ? const_cast<void*>(bytes) : nullptr),
      mapping_size_(size) {
  const auto* data = static_cast<const uint8_t*>(bytes);
  if (size < 8) fail(LR_ERROR_FORMAT, "%zu bytes are too few for a .ms model", size);
  if (!schema::MetaGraphBufferHasIdentifier(data)) fail(LR_ERROR_FORMAT, "not a .ms model (no MSL2 identifier)");
  flatbuffers::Verifier verifier(data, size, /*max_depth=*/32, /*max_tables=*/8'000'000);
  if (!schema::VerifyMetaGraphBuffer(verifier)) fail(LR_ERROR_FORMAT, "the .ms model is damaged or truncated");
  const schema::MetaGraph& meta = *schema::GetMetaGraph(data);
  if (meta.obfuscate()) fail(LR_ERROR_UNSUPPORTED, "obfuscated .ms models are not offered");
  if (meta.subGraph() == nullptr || meta.subGraph()->size() == 0) fail(LR_ERROR_FORMAT, "the model has no graph");

  const size_t tensor_count = meta.allTensors() == nullptr ? 0 : meta.allTensors()->size();
  tensors_.resize(tensor_count);
  for (size_t i = 0; i < tensor_count; ++i) tensors_[i] = parse_tensor(*meta.allTensors()->Get(i), i);

  const size_t node_count = meta.nodes() == nullptr ? 0 : meta.nodes()->size();
  nodes_.resize(node_count);
  for (size_t i = 0; i < node_count; ++i) nodes_[i] = parse_node(*meta.nodes()->Get(i), i, tensor_count);
  if (nodes_.empty()) fail(LR_ERROR_FORMAT, "the model has no operators");
  const schema::SubGraph& main = *meta.subGraph()->Get(0);
  check_ends(meta.inputIndex(), main.inputIndices(), "inputs");
  check_ends(meta.outputIndex(), main.outputIndices(), "outputs");
  find_variables(nodes_, tensors_);

  std::vector<bool> node_seen(node_count);
  for (const schema::SubGraph* sub : *meta.subGraph()) {
    GraphDef graph;
    graph.name = sub->name() == nullptr ? "" : sub->name()->str();
    const Referrer referrer{"graph", graph.name};
    const bool is_main = graphs_.empty();
    graph.inputs = indices(is_main ? meta.inputIndex() : sub->inputIndices(), tensor_count, referrer);
    graph.outputs = indices(is_main ? meta.outputIndex() : sub->outputIndices(), tensor_count, referrer);
    graph.nodes = indices(sub->nodeIndices(), node_count, referrer);
    if (graph.outputs.empty()) fail(LR_ERROR_FORMAT, "graph '%s' has no output", graph.name.c_str());
    check_order(graph, tensors_, nodes_, node_seen);
    graphs_.push_back(std::move(graph));
  }
  decode_constants(meta);
}

// Whether the operator reads this input while it packs its weights, and never else.
static bool only_packs(const NodeDef& node, size_t input, const Model& model) {
  switch (node.primitive) {
    case schema::PrimitiveType_Conv2DFusion:
    case schema::PrimitiveType_Conv2dTransposeFusion:
    case schema::PrimitiveType_MatMulFusion:
    case schema::PrimitiveType_FullConnection:
      break;
    default:
      return false;
  }
  // With a bias that is computed they are packed in every run.
  const bool at_once = node.inputs.size() < 3 || model.tensors()[node.inputs[2]].is_const();
  return input == 1 && at_once && find_quantized_op(node, model) == nullptr;
}

// For a build that decodes none: what is stored as integers must be what the operators read.
static void refuse_quantized_constants(const std::vector<NodeDef>& nodes, const std::vector<TensorDef>& tensors) {
  for (const NodeDef& node : nodes) {
    if (!stores_quantized(node)) continue;
    for (uint32_t i : node.inputs) {
      const bool is_integer = tensors[i].dtype == DType::kInt8 || tensors[i].dtype == DType::kInt16;
      if (!tensors[i].is_const() || !is_integer || tensors[i].quant.empty()) continue;
      const std::string reader = std::string(primitive_name(node.primitive)) + " '" + node.name + "'";
      left_out((reader + " has weights stored as").c_str(), dtype_name(tensors[i].dtype));
    }
  }
}

// Constants stay as they are stored where only operators read them that take them so, or that decode them to pack them.
void Model::decode_constants(const schema::MetaGraph& meta) {
  if (!kDecodes) return refuse_quantized_constants(nodes_, tensors_);
  struct Readers {
    bool plain = false, stored = false, packing = false;
    bool need_elements() const { return plain || (stored && packing); }
  };
  std::vector<Readers> readers(tensors_.size());
  for (const GraphDef& graph : graphs_) {
    for (const uint32_t i : graph.outputs) readers[i].plain = true;
  }
  for (const NodeDef& node : nodes_) {
    const bool takes_stored = find_stored_op(node, *this) != nullptr;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorDef& tensor = tensors_[node.inputs[i]];
      Readers& of = readers[node.inputs[i]];
      const bool is_stored = takes_stored && tensor.dtype == DType::kInt8 && !tensor.quant.empty();
      (is_stored ? of.stored : only_packs(node, i, *this) ? of.packing : of.plain) = true;
    }
  }
  const auto named = [&](size_t i, const auto& body) {
    try {
      body(tensors_[i]);
    } catch (const Error& error) {
      fail(error.status(), "tensor %zu '%s': %s", i, tensors_[i].name.c_str(), error.what());
    }
  };
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (readers[i].need_elements()) named(i, [](TensorDef& constant) { decode(constant); });
  }
  for (const NodeDef& node : nodes_) {
    if (!stores_quantized(node)) continue;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const uint32_t i = node.inputs[k];
      TensorDef& weight = tensors_[i];
      const bool is_integer = weight.dtype == DType::kInt8 || weight.dtype == DType::kInt16;
      if (!weight.is_const() || !is_integer || weight.quant.empty()) continue;
      const int axis = quantized_axis(node, k, weight);
      if (readers[i].need_elements()) named(i, [&](TensorDef& constant) { dequantize(constant, axis); });
      if (readers[i].need_elements() || readers[i].stored) continue;
      weight.encoded = meta.allTensors()->Get(i);
      weight.axis = axis;
      weight.data = nullptr;
      weight.owned.reset();
      weight.dtype = DType::kFloat32;
    }
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    TensorDef& constant = tensors_[i];
    if (constant.encoded == nullptr || !readers[i].packing) continue;
    if (constant.dtype == DType::kFloat16) constant.dtype = DType::kFloat32;
    if (constant.dtype != DType::kFloat32) named(i, [](TensorDef& integers) { decode(integers); });
  }
}

void Model::release_pages() const {
  if (mapping_ == nullptr) return;
  const uintptr_t inside_page = reinterpret_cast<uintptr_t>(mapping_) % static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  madvise(static_cast<char*>(mapping_) - inside_page, mapping_size_ + inside_page, MADV_DONTNEED);
}

Buffer Model::packed(const std::string& key, size_t bytes, FunctionRef<Buffer()> make) {
  std::lock_guard<std::mutex> lock(mutex_);
  Buffer& buffer = packed_[key];
  if (buffer == nullptr) {
    buffer = make();
    packed_bytes_ += bytes;
    release_pages();  // one by one, so that the file and its packed copy are never in memory together
  }
  return buffer;
}

size_t Model::packed_bytes() {
  std::lock_guard<std::mutex> lock(mutex_);
  return packed_bytes_;
}

size_t Model::constant_bytes() const {
  size_t bytes = 0;
  for (const TensorDef& tensor : tensors_) bytes += tensor.is_const() ? tensor.bytes : 0;
  return bytes;
}

}  // namespace lr
