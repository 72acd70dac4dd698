// What an operator is: shape inference, preparation and execution over tensors of one node.
//
// An operator lives in one file of ops/ and registers itself with LR_REGISTER_OP. Its life:
//   infer    once per plan; sets dtype and shape of every output from the inputs.
//   prepare  once per plan after infer; chooses kernels, packs constant weights, asks for scratch memory.
//   run      once per inference; reads inputs, writes outputs. Must not allocate on the hot path.
// All three throw lr::Error on invalid input; the caller adds the node's name and operator.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "model.h"
#include "schema_reader.h"
#include "selection.h"
#include "thread_pool.h"
#include "types.h"

namespace lr {

// real = (q - zero) * scale + shift, for the integers q of a tensor. A scale of 0 stands for none.
struct Affine {
  float scale = 0.f;
  int32_t zero = 0;
  float shift = 0.f;
};

// A tensor of a session. `data` is null during infer and prepare unless `known`.
struct Tensor {
  DType dtype = DType::kUnknown;
  Shape shape;
  void* data = nullptr;
  // The value is fixed for this plan: a constant, or computed from constants and shapes alone.
  bool known = false;
  const TensorDef* def = nullptr;
  // Elements from one row (of the last dimension) to the next where the tensor lies inside a wider one; 0: it does not.
  int64_t row_stride = 0;
  // Of a tensor that is quantised anew in every run; elsewhere the file states it (def->quant).
  Affine run_time_quantization;

  int64_t count() const { return shape.count(); }
  int64_t stride() const { return row_stride != 0 ? row_stride : shape.back(); }
  size_t bytes() const { return static_cast<size_t>(count()) * dtype_size(dtype); }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
  template <class T>
  T* as() {
    return static_cast<T*>(data);
  }
  bool is_const() const { return def != nullptr && def->is_const(); }
};

// The node as its operator sees it.
struct Node {
  const NodeDef* def = nullptr;
  Model* model = nullptr;
  ThreadPool* pool = nullptr;
  std::vector<Tensor*> in, out;
  // Added to output 0 element by element; set by the planner for operators that absorbed an addition.
  const Tensor* addend = nullptr;
  // A factor per channel for input 0; set by the planner for operators that scale it while they read it.
  const Tensor* scale = nullptr;
  bool running = false;     // inputs hold their values now, whether known at plan time or not
  bool infer_only = false;  // the plan is made for its shapes, nothing will run
  void* scratch = nullptr;  // valid in run; size as set by need_scratch
  size_t scratch_bytes = 0;

  size_t inputs() const { return in.size(); }
  bool has(size_t i) const { return i < in.size() && in[i] != nullptr; }

  // Attributes, e.g. attr<schema::Conv2DFusion>(). Never null: the loader has checked the union type.
  template <class T>
  const T* attr() const {
    return def->attributes->value_as<T>();
  }

  // Value of input i; throws ValueUnknown when it is only known at run time (for use in infer).
  const Tensor& value(size_t i) const;
  // Value of input i (int32 or int64, any shape) widened to int64; throws like value().
  std::vector<int64_t> ints(size_t i) const;
  std::vector<float> floats(size_t i) const;  // the same for float32
  void expect_inputs(size_t least, size_t most) const;
  void expect_dtype(size_t i, DType dtype) const;  // of input i
  [[noreturn]] void unsupported(const char* format, ...) const __attribute__((format(printf, 2, 3)));
  [[noreturn]] void invalid(const char* format, ...) const __attribute__((format(printf, 2, 3)));

  // Makes this `node` as an operator beneath it sees it: with the `tensor` of each operand in place of the node's own.
  template <class Operands>
  void stand_for(const Node& node, Operands& inputs, Operands& outputs) {
    def = node.def;
    model = node.model;
    pool = node.pool;
    running = node.running;
    in.clear();
    out.clear();
    for (auto& operand : inputs) in.push_back(&operand.tensor);
    for (auto& operand : outputs) out.push_back(&operand.tensor);
  }

  void set_out(size_t i, DType dtype, const Shape& shape) const;
  void need_scratch(size_t bytes) { scratch_bytes = bytes; }
  // Weights packed once per model; `layout` must name everything the bytes depend on.
  Buffer packed(const std::string& layout, size_t bytes, FunctionRef<Buffer()> make) const;
};

// While it lives, the constants among these inputs that are decoded only to be packed have their data.
class DecodedInputs {
 public:
  DecodedInputs(const Node& node, const std::vector<size_t>& inputs);
  ~DecodedInputs();
  DecodedInputs(const DecodedInputs&) = delete;
  DecodedInputs& operator=(const DecodedInputs&) = delete;

 private:
  std::vector<std::pair<Tensor*, Buffer>> held_;
};

struct Elementwise;  // see ops/activation.h

// What an operator offers whose output 0 can be computed some rows at a time, from the first to the last.
class ByRows {
 public:
  virtual int64_t row_count() const = 0;
  // The first rows of input 0, counted like an output's, that the first `rows` rows of output 0 are computed from.
  virtual int64_t rows_read(int64_t rows) const = 0;
  // The first row of input 0 that row `row` of output 0 is computed from.
  virtual int64_t first_read(int64_t row) const = 0;
  // Whether run_rows reads a copy of the whole input, which before_rows makes.
  virtual bool copies_input() const = 0;
  virtual void before_rows(Node& node) = 0;
  // `in` and `out`: where row 0 of input 0 and of output 0 lies, or would if it were kept.
  virtual void run_rows(Node& node, const void* in, void* out, int64_t begin, int64_t end) = 0;

 protected:
  ~ByRows() = default;
};

// What the planner may do with an operator.
struct OpTraits {
  // Output 0 is input 0 with another shape: they share storage, run() is then skipped.
  bool is_view = false;
  // Output 0 may be written over this input when it dies here, has as many elements of the same size, and shares its
  // memory with no other input; -1: over none.
  int overwrites = -1;
  // Outputs depend on the inputs' shapes only (Shape, Rank, ...), so they are known at plan time.
  bool from_shapes = false;
  // Same inputs, same outputs: may run at plan time when all inputs are known. Not so for random ones.
  bool is_pure = true;
  // The operator can do a multiplication of input 0 by a factor per channel, the last dimension (Node::scale).
  bool scales = false;

  static constexpr OpTraits view() { return {true, -1, false, true}; }
  static constexpr OpTraits overwriting(int input) { return {false, input, false, true}; }
  static constexpr OpTraits of_shapes() { return {false, -1, true, true}; }
  static constexpr OpTraits impure() { return {false, -1, false, false}; }
  static constexpr OpTraits scaling(bool scales) { return {false, -1, false, true, scales}; }
};

// How a node's rows are computed.
struct RowWork {
  // Output 0 is the inputs side by side along the last dimension. Those whose operators write rows at any distance
  // (out[0]->stride()) are computed in their places in it.
  bool joins = false;
  bool any_distance = false;
  // Null: not some rows at a time.
  ByRows* by_rows = nullptr;
};

class Op {
 public:
  virtual ~Op() = default;
  virtual void infer(Node& node) = 0;
  virtual void prepare(Node&) {}
  virtual void run(Node& node) = 0;

  virtual OpTraits traits() const { return {}; }
  // For element-wise operators that the one before them can take over: describes what they do. Called after infer.
  virtual bool elementwise(const Node&, Elementwise*) const { return false; }
  // Takes over an operator that alone reads output 0; an addend will be in node.addend. False: not possible.
  virtual bool absorb(const Elementwise&) { return false; }
  virtual RowWork row_work(const Node&) { return {}; }  // asked after prepare
};

using OpFactory = std::unique_ptr<Op> (*)();
struct OpRegistration {
  OpRegistration(int primitive, OpFactory factory);
};
// Null when the primitive has no operator.
OpFactory find_op(int primitive);

// Operators that compute on quantised integers; all others refuse these, or move them without looking at them.
// `accepts` tells from the file alone whether the operator can do a node whose input 0 is quantised. Of those
// that can, a specialised one is preferred to a general one; each primitive has at most one of either. Both fields are
// null where this build leaves the operator out: then all nodes of quantised integers are refused.
struct OpForm {
  OpFactory factory = nullptr;
  bool (*accepts)(const NodeDef& node, const Model& model) = nullptr;
};
struct QuantizedOpRegistration {
  QuantizedOpRegistration(int primitive, bool specialised, OpForm op);
};
// Null when the node does not compute on quantised integers, or no such operator accepts it.
OpFactory find_quantized_op(const NodeDef& node, const Model& model);
// Whether the node needs a form for quantised integers that this build leaves out.
bool lacks_quantized_op(const NodeDef& node, const Model& model);

// The registration of what this build leaves out (see selection.h): nothing refers to its class then.
struct NoRegistration {
  template <class... Any>
  constexpr explicit NoRegistration(Any...) {}
};

// Operators on floats that read weights in the form they are stored in.
struct StoredOpRegistration {
  StoredOpRegistration(int primitive, OpForm op);
};
// Null when the node has no such weights, or there is no such operator that accepts it.
OpFactory find_stored_op(const NodeDef& node, const Model& model);

#define LR_REGISTER_OP(Primitive, Class)                                                                  \
  [[maybe_unused]] static const std::conditional_t<::lr::has_op(::lr::schema::PrimitiveType_##Primitive), \
                                                   ::lr::OpRegistration, ::lr::NoRegistration>            \
      lr_register_##Primitive(static_cast<int>(::lr::schema::PrimitiveType_##Primitive),                  \
                              []() -> std::unique_ptr<::lr::Op> { return std::make_unique<Class>(); });

#define LR_REGISTER_QUANTIZED(Primitive, Class, specialised)                                                          \
  [[maybe_unused]] static const std::conditional_t<::lr::has_op(::lr::schema::PrimitiveType_##Primitive),             \
                                                   ::lr::QuantizedOpRegistration, ::lr::NoRegistration>               \
      lr_register_quantized_##Primitive(                                                                              \
          static_cast<int>(::lr::schema::PrimitiveType_##Primitive), specialised,                                     \
          ::lr::has_quantized_op(::lr::schema::PrimitiveType_##Primitive)                                             \
              ? ::lr::OpForm{[]() -> std::unique_ptr<::lr::Op> { return std::make_unique<Class>(); }, Class::accepts} \
              : ::lr::OpForm{});
// Class has a static function accepts(const NodeDef&, const Model&).
#define LR_REGISTER_QUANTIZED_OP(Primitive, Class) LR_REGISTER_QUANTIZED(Primitive, Class, true)
#define LR_REGISTER_GENERAL_QUANTIZED_OP(Primitive, Class) LR_REGISTER_QUANTIZED(Primitive, Class, false)

#define LR_REGISTER_STORED_OP(Primitive, Class)                                                             \
  [[maybe_unused]] static const std::conditional_t<::lr::has_op(::lr::schema::PrimitiveType_##Primitive) && \
                                                       ::lr::kDecodes,                                      \
                                                   ::lr::StoredOpRegistration, ::lr::NoRegistration>        \
      lr_register_stored_##Primitive(                                                                       \
          static_cast<int>(::lr::schema::PrimitiveType_##Primitive),                                        \
          ::lr::OpForm{[]() -> std::unique_ptr<::lr::Op> { return std::make_unique<Class>(); }, Class::accepts});

}  // namespace lr
