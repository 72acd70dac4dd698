#include "frame.h"

#include <algorithm>
#include <chrono>
#include <new>

#include "ops/activation.h"
#include "ops/half/half.h"
#include "session.h"

namespace lr {

namespace {

// While only shapes are asked for, larger constant expressions are left unevaluated: shapes never
// depend on them in practice and the caller may not have given their data.
constexpr int64_t kSmallCount = 1 << 14;

bool truth(const Tensor& t) {
  if (t.count() != 1)
    fail(LR_ERROR_RUN, "the condition has %lld elements instead of one", static_cast<long long>(t.count()));
  const auto* bytes = t.as<uint8_t>();
  return std::any_of(bytes, bytes + t.bytes(), [](uint8_t byte) { return byte != 0; });
}

// An operator with nothing to write is neither prepared nor run: beside a dimension of 0 others may be absurdly large.
bool writes_nothing(const Node& node) {
  return std::all_of(node.out.begin(), node.out.end(), [](const Tensor* t) { return t->count() == 0; });
}

// The rows of a tensor, side by side.
Buffer copy_rows(const Tensor& t) {
  Buffer copy = allocate_buffer(t.bytes());
  const size_t size = dtype_size(t.dtype), row = static_cast<size_t>(t.shape.back()) * size;
  const size_t stride = static_cast<size_t>(t.stride()) * size;
  for (size_t to = 0, from = 0; to < t.bytes(); to += row, from += stride) {
    std::memcpy(static_cast<char*>(copy.get()) + to, static_cast<const char*>(t.data) + from, row);
  }
  return copy;
}

}  // namespace

void Frame::guarded(const Step& step, FunctionRef<void()> body) const {
  const auto error = [&](lr_status status, const char* what) {
    const NodeDef& def = *step.node.def;
    return Error(status,
                 session_.model->source() + ": " + primitive_name(def.primitive) + " '" + def.name + "': " + what);
  };
  try {
    body();
  } catch (const Error& thrown) {
    throw error(thrown.status(), thrown.what());
  } catch (const std::bad_alloc&) {
    throw error(LR_ERROR_MEMORY, "out of memory");
  }
}

Frame::Frame(SessionState& session, size_t graph) : session_(session), graph_(&session.model->graphs()[graph]) {
  index_tensors();
}

void Frame::index_tensors() {
  const Model& model = *session_.model;
  local_index_.assign(model.tensors().size(), -1);
  size_t count = 0;
  const auto use = [&](const std::vector<uint32_t>& indices) {
    for (uint32_t i : indices) {
      if (local_index_[i] < 0) local_index_[i] = static_cast<int64_t>(count++);
    }
  };
  use(graph_->inputs);
  for (uint32_t n : graph_->nodes) {
    use(model.nodes()[n].inputs);
    use(model.nodes()[n].outputs);
  }
  use(graph_->outputs);
  slots_.resize(count);  // never resized again: nodes point into it
}

// Anew for every plan, which changes steps when operators absorb others.
void Frame::build_steps() {
  const Model& model = *session_.model;
  steps_.clear();
  steps_.reserve(graph_->nodes.size());  // steps point at each other
  for (uint32_t n : graph_->nodes) {
    const NodeDef& def = model.nodes()[n];
    Step& step = steps_.emplace_back();
    step.node_index = n;
    step.node.def = &def;
    step.node.model = session_.model.get();
    step.node.pool = &session_.pool;
    for (uint32_t i : def.inputs) step.in.push_back(local(i));
    for (uint32_t i : def.outputs) step.out.push_back(local(i));
    for (uint32_t i : step.in) step.node.in.push_back(&slots_[i].tensor);
    for (uint32_t i : step.out) step.node.out.push_back(&slots_[i].tensor);
    switch (def.primitive) {
      case schema::PrimitiveType_PartialFusion:
        step.kind = Kind::kPartial;
        break;
      case schema::PrimitiveType_Switch:
        step.kind = Kind::kSwitch;
        break;
      case schema::PrimitiveType_Call:
        step.kind = Kind::kCall;
        break;
      default: {
        const OpFactory stored = find_stored_op(def, model);
        const OpFactory quantized = stored != nullptr ? stored : find_quantized_op(def, model);
        step.op = (quantized != nullptr ? quantized : find_op(def.primitive))();
#if defined(LR_HALF)
        const auto is_result = [&](uint32_t i) {
          return std::count(graph_->outputs.begin(), graph_->outputs.end(), i) > 0;
        };
        const bool last = std::any_of(def.outputs.begin(), def.outputs.end(), is_result);
        if (half_) step.op = make_half(def, std::move(step.op), quantized == nullptr, last);
#endif
      }
    }
  }
  ends_in_tail_call_ = graph_ != &model.graphs()[0] && !steps_.empty() && steps_.back().kind == Kind::kCall &&
                       steps_.back().node.def->outputs == graph_->outputs;
}

#if defined(LR_HALF)
bool Frame::is_static() const {
  return std::none_of(steps_.begin(), steps_.end(), [](const Step& step) { return step.at_run_time; });
}
#endif

bool Frame::planned_for(const std::vector<DType>& dtypes, const std::vector<Shape>& shapes) const {
  return planned_ && planned_dtypes_ == dtypes && planned_shapes_ == shapes;
}

void Frame::plan(const std::vector<DType>& dtypes, const std::vector<Shape>& shapes, bool infer_only) {
  planned_ = false;  // a failed plan fits nothing
  build_steps();
  reset(dtypes, shapes);
  for (Step& step : steps_) infer(step, infer_only);
  if (infer_only) return;
  absorb_elementwise();
  find_releases();
  prepare_and_lay_out();
  planned_ = true;
  planned_dtypes_ = dtypes;
  planned_shapes_ = shapes;
}

void Frame::reset(const std::vector<DType>& dtypes, const std::vector<Shape>& shapes) {
  arena_.reset();
  arena_bytes_ = 0;
  const std::vector<TensorDef>& defs = session_.model->tensors();
  for (size_t i = 0; i < defs.size(); ++i) {
    if (local_index_[i] < 0) continue;
    Slot& slot = slots_[local(static_cast<uint32_t>(i))];
    slot = Slot();
    slot.tensor.def = &defs[i];
    if (!defs[i].is_const() && !defs[i].is_variable()) continue;
    slot.state = State::kStatic;
    slot.tensor.dtype = defs[i].dtype;
    slot.tensor.shape = defs[i].shape;
    if (defs[i].is_variable()) {
      slot.storage = session_.variable(static_cast<uint32_t>(i));
      slot.tensor.data = slot.storage.get();
      continue;
    }
    slot.tensor.data = const_cast<void*>(defs[i].data);  // operators read inputs only
    slot.tensor.known = true;
  }
  for (size_t i = 0; i < graph_->inputs.size(); ++i) {
    Slot& slot = slots_[local(graph_->inputs[i])];
    slot.tensor.dtype = dtypes[i];
    slot.tensor.shape = shapes[i];
    const bool known = std::all_of(shapes[i].begin(), shapes[i].end(), [](int64_t dim) { return dim >= 0; });
    if (known) shapes[i].count();  // refuses absurd sizes
    slot.state = known ? State::kStatic : State::kRunTime;
  }
}

void Frame::infer(Step& step, bool infer_only) {
  step.node.infer_only = infer_only;
  step.at_run_time = step.kind != Kind::kOperator || std::any_of(step.in.begin(), step.in.end(), [&](uint32_t i) {
                       return slots_[i].state == State::kRunTime;
                     });
  if (step.at_run_time) return;
  guarded(step, [&] {
    try {
      step.op->infer(step.node);
    } catch (const ValueUnknown&) {
      step.at_run_time = true;
      return;
    }
    for (uint32_t i : step.out) slots_[i].state = State::kStatic;
    if (can_compute_now(step, infer_only)) compute_now(step);
  });
}

bool Frame::can_compute_now(const Step& step, bool infer_only) const {
  if (!step.op->traits().is_pure) return false;
  const auto known = [](const Tensor* t) { return t->known; };
  if (!step.op->traits().from_shapes && !std::all_of(step.node.in.begin(), step.node.in.end(), known)) return false;
  const auto small = [](const Tensor* t) { return t->count() <= kSmallCount; };
  return !infer_only || (std::all_of(step.node.in.begin(), step.node.in.end(), small) &&
                         std::all_of(step.node.out.begin(), step.node.out.end(), small));
}

void Frame::compute_now(Step& step) {
  step.done = true;
  if (step.op->traits().is_view) {
    slots_[step.out[0]].storage = slots_[step.in[0]].storage;
    step.node.out[0]->data = step.node.in[0]->data;
  } else {
    step.node.running = true;
    prepare(step);
    for (uint32_t i : step.out) {
      Slot& slot = slots_[i];
      slot.storage = allocate_buffer(slot.tensor.bytes());
      slot.tensor.data = slot.storage.get();
    }
    const Buffer scratch = allocate_buffer(step.node.scratch_bytes);
    step.node.scratch = scratch.get();
    if (!writes_nothing(step.node)) step.op->run(step.node);
    step.node.scratch = nullptr;
  }
  for (Tensor* t : step.node.out) t->known = true;
}

// How many steps and outputs of the graph read each slot.
std::vector<size_t> Frame::count_reads() const {
  std::vector<size_t> reads(slots_.size());
  for (const Step& step : steps_) {
    for (uint32_t i : step.in) ++reads[i];
  }
  for (uint32_t i : graph_->outputs) ++reads[local(i)];
  return reads;
}

// Lets operators do the element-wise operator that follows them while their results are in the cache.
void Frame::absorb_elementwise() {
  const std::vector<size_t> reads = count_reads();
  std::vector<size_t> producer(slots_.size(), steps_.size());
  for (size_t s = 0; s < steps_.size(); ++s) {
    Step& step = steps_[s];
    Elementwise what;
    const bool possible = !step.at_run_time && !step.done && step.op->elementwise(step.node, &what);
    for (uint32_t i : step.in) {
      const size_t p = producer[i];
      // What else is added must be there before the producer runs.
      const bool is_last = std::all_of(step.in.begin(), step.in.end(), [&](uint32_t other) {
        return other == i || producer[other] == steps_.size() || producer[other] < p;
      });
      if (!possible || p == steps_.size() || reads[i] != 1 || !is_last || !try_absorb(p, s, i, what)) continue;
      producer[step.out[0]] = p;
      break;
    }
    if (step.done) continue;
    for (uint32_t i : step.out) producer[i] = s;
  }
}

bool Frame::try_absorb(size_t into, size_t later, uint32_t through, const Elementwise& what) {
  Step &step = steps_[into], &next = steps_[later];
  if (step.at_run_time || step.done || step.absorbed != nullptr || step.out[0] != through) return false;
  if (!step.op->absorb(what)) return false;
  if (what.adds) {
    const uint32_t other = next.in[0] == through ? next.in[1] : next.in[0];
    step.in.push_back(other);
    step.node.addend = &slots_[other].tensor;
  }
  step.out[0] = next.out[0];
  step.node.out[0] = next.node.out[0];
  step.absorbed = &next;
  next.done = true;
  return true;
}

void Frame::find_releases() {
  std::vector<bool> needed(slots_.size());
  for (uint32_t i : graph_->outputs) needed[local(i)] = true;
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    step->release.clear();
    const auto last_read = [&](uint32_t i) {
      if (needed[i]) return;
      needed[i] = true;
      if (slots_[i].state == State::kRunTime) step->release.push_back(i);
    };
    for (uint32_t i : step->out) last_read(i);  // a result nobody reads
    for (uint32_t i : step->in) last_read(i);
  }
}

// Collects the arena's blocks while the steps are prepared in order.
class Arena {
 public:
  explicit Arena(size_t slots) : last_use(slots, 0), block_of(slots, -1) {}

  int add(size_t bytes, size_t first, size_t last) {
    Block block;
    block.bytes = bytes;
    block.extend(first);
    block.extend(last);
    blocks.push_back(block);
    return static_cast<int>(blocks.size()) - 1;
  }

  // Puts slot `out` into the block of slot `in`.
  int join(uint32_t in, size_t last) {
    Block& block = blocks[static_cast<size_t>(block_of[in])];
    block.extend(last);
    return block_of[in];
  }

  bool dies_at(uint32_t slot, size_t step) const {
    return block_of[slot] >= 0 && blocks[static_cast<size_t>(block_of[slot])].last == step;
  }

  std::vector<size_t> last_use;  // step that reads a slot last; the number of steps for what must stay
  std::vector<int> block_of;
  std::vector<Block> blocks;
};

void Frame::prepare(Step& step) {
  if (writes_nothing(step.node)) return;
  // Operators size tables of their own by these.
  for (const Tensor* t : step.node.in) require_memory(t->bytes());
  for (const Tensor* t : step.node.out) require_memory(t->bytes());
  step.op->prepare(step.node);
}

// Lets operators write their results where others, which alone read them, would copy them to.
void Frame::place_parts() {
  const std::vector<size_t> reads = count_reads();
  std::vector<const Step*> producer(slots_.size());
  for (const Step& step : steps_) {
    if (step.at_run_time || step.done) continue;
    producer[step.out[0]] = &step;
    if (!step.op->row_work(step.node).joins) continue;
    const Tensor& whole = *step.node.out[0];
    size_t offset = 0;
    for (uint32_t i : step.in) {
      Slot& part = slots_[i];
      const Step* from = producer[i];
      if (from != nullptr && reads[i] == 1 && from->op->row_work(from->node).any_distance) {
        part.whole = static_cast<int>(step.out[0]);
        part.offset = offset;
        part.tensor.row_stride = whole.shape.back();
      }
      offset += static_cast<size_t>(part.tensor.shape.back()) * dtype_size(whole.dtype);
    }
  }
}

void Frame::prepare_and_lay_out() {
  const size_t end = steps_.size();
  Arena arena(slots_.size());
  for (Step& step : steps_) {
    if (!step.at_run_time && !step.done) guarded(step, [&] { prepare(step); });
  }
  place_parts();
  find_chains();
  for (const Step& step : steps_) {
    // A closure may be called anywhere later, so what it captures stays.
    for (uint32_t i : step.in)
      arena.last_use[i] = step.kind == Kind::kPartial ? end : std::max(arena.last_use[i], step.last);
    for (uint32_t i : step.out) arena.last_use[i] = std::max(arena.last_use[i], step.last);
  }
  for (uint32_t i : graph_->outputs) arena.last_use[local(i)] = end;
  for (uint32_t i : graph_->inputs) {
    const Slot& slot = slots_[local(i)];
    if (slot.state == State::kStatic) arena.block_of[local(i)] = arena.add(slot.tensor.bytes(), 0, end);
  }

  for (size_t s = 0; s < end; ++s) {
    Step& step = steps_[s];
    if (step.at_run_time || step.done) continue;
    for (size_t k = 0; k < step.out.size(); ++k) {
      const uint32_t out = step.out[k];
      if (slots_[out].whole >= 0) {
        const auto whole = static_cast<uint32_t>(slots_[out].whole);
        int& block = arena.block_of[whole];
        if (block < 0) block = arena.add(slots_[whole].tensor.bytes(), step.first, arena.last_use[whole]);
        arena.block_of[out] = block;
      }
      if (arena.block_of[out] >= 0) continue;
      const size_t last = arena.last_use[out];
      const size_t bytes = slots_[out].tensor.bytes();
      const bool is_view = step.op->traits().is_view;
      const int source = is_view ? 0 : step.op->traits().overwrites;
      int block = -1;
      if (k == 0 && source >= 0 && static_cast<size_t>(source) < step.in.size()) {
        const uint32_t in = step.in[static_cast<size_t>(source)];
        // Other than for a view, elements must not move: a broadcast operand of wider elements is no place.
        const bool same_count = slots_[in].tensor.count() == slots_[out].tensor.count();
        const bool fits = arena.block_of[in] >= 0 && slots_[in].tensor.bytes() == bytes && (is_view || same_count);
        // Another operand in the same memory (the same tensor, or a view of it) may still be read.
        const auto uses = std::count_if(step.in.begin(), step.in.end(),
                                        [&](uint32_t i) { return arena.block_of[i] == arena.block_of[in]; });
        if (fits && (is_view || (uses == 1 && arena.dies_at(in, s)))) block = arena.join(in, last);
        step.done = fits && is_view;
      }
      arena.block_of[out] = block >= 0 ? block : arena.add(bytes, step.first, last);
    }
    step.done = step.done || writes_nothing(step.node);
    if (step.node.scratch_bytes > 0) step.scratch_block = arena.add(step.node.scratch_bytes, step.first, step.last);
  }

  const size_t bytes = lay_out(arena.blocks);
  arena_ = allocate_buffer(bytes);
  arena_bytes_ = bytes;
  const auto at = [&](int block) {
    return static_cast<char*>(arena_.get()) + arena.blocks[static_cast<size_t>(block)].offset;
  };
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].block = arena.block_of[i];
    if (slots_[i].block >= 0) slots_[i].tensor.data = at(slots_[i].block) + slots_[i].offset;
  }
  // An input that is never set reads as zeros.
  for (uint32_t i : graph_->inputs) {
    const Tensor& input = slots_[local(i)].tensor;
    if (input.data != nullptr) std::memset(input.data, 0, input.bytes());
  }
  for (Step& step : steps_) {
    if (step.scratch_block >= 0) step.node.scratch = at(step.scratch_block);
    step.node.running = true;
  }
}

bool Frame::shape_known(uint32_t file_index) const {
  const Slot& slot = slots_[local(file_index)];
  return slot.state == State::kStatic || slot.tensor.data != nullptr;
}

std::shared_ptr<const Closure> Frame::run(const Observers& observers) {
  const bool timed = observers.node || observers.step;
  for (Slot& slot : slots_) {
    if (slot.state == State::kStatic) continue;
    slot.storage.reset();
    slot.closure.reset();
    slot.tensor.data = nullptr;
  }
  for (Step& step : steps_) {
    const auto start = timed ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
    if (kHasCalls && ends_in_tail_call_ && &step == &steps_.back()) return closure_of(step, 0);
    if (kHasCalls && step.kind != Kind::kOperator) {
      run_control(step);
    } else if (step.at_run_time) {
      guarded(step, [&] { infer_and_run(step); });
    } else if (timed || step.first == step.last) {
      if (!step.done) guarded(step, [&] { run_operator(step); });
    } else if (!step.chain.empty()) {
      guarded(step, [&] { run_chain(step); });
    }
    if (timed) tell(observers, step, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    for (uint32_t i : step.release) {
      slots_[i].storage.reset();
      slots_[i].closure.reset();
    }
  }
  return nullptr;
}

void Frame::tell(const Observers& observers, Step& step, double seconds) {
  if (observers.step && !step.done) observers.step(step.node_index, step.node, seconds);
  if (!observers.node) return;
  if (step.absorbed != nullptr) {
    step.absorbed->seconds = seconds;  // told of when its result is due
    return;
  }
  Node node = step.node;
  Tensor rows;
  Buffer copy;
  if (node.out[0]->row_stride != 0) {
    rows = *node.out[0];
    copy = copy_rows(rows);
    rows.data = copy.get();
    node.out[0] = &rows;
  }
  observers.node(step.node_index, node, seconds + step.seconds);
}

void Frame::run_operator(Step& step) {
  if (step.op->traits().is_view) {
    share_or_copy_view(step);
  } else {
    step.op->run(step.node);
  }
}

// A view whose storage could not be planned: shares memory that will live long enough, else copies.
void Frame::share_or_copy_view(Step& step) {
  const Slot& in = slots_[step.in[0]];
  Slot& out = slots_[step.out[0]];
  if (in.tensor.bytes() != out.tensor.bytes()) fail(LR_ERROR_SHAPE, "sizes of input and output differ");
  const bool lasts = (in.storage != nullptr && !in.tensor.def->is_variable()) || in.tensor.is_const();
  if (out.state == State::kRunTime && lasts) {
    out.storage = in.storage;
    out.tensor.data = in.tensor.data;
    return;
  }
  if (out.state == State::kRunTime) {
    out.storage = session_.buffers.get(out.tensor.bytes());
    out.tensor.data = out.storage.get();
  }
  std::memcpy(out.tensor.data, in.tensor.data, in.tensor.bytes());
}

void Frame::infer_and_run(Step& step) {
  for (const Tensor* t : step.node.in) {
    if (t->data == nullptr && !t->is_const()) fail(LR_ERROR_SHAPE, "an input has no value");
  }
  step.op->infer(step.node);
  std::vector<Shape> shapes;
  for (const Tensor* t : step.node.in) shapes.push_back(t->shape);
  for (const Tensor* t : step.node.out) shapes.push_back(t->shape);
  if (shapes != step.prepared_for) {
    prepare(step);
    step.prepared_for = std::move(shapes);
  }
  if (step.op->traits().is_view) {
    share_or_copy_view(step);
    return;
  }
  for (uint32_t i : step.out) {
    Slot& slot = slots_[i];
    slot.storage = session_.buffers.get(slot.tensor.bytes());
    slot.tensor.data = slot.storage.get();
  }
  const Buffer scratch = session_.buffers.get(step.node.scratch_bytes);
  step.node.scratch = scratch.get();
  if (!writes_nothing(step.node)) step.op->run(step.node);
}

void Frame::run_control(Step& step) {
  if (step.kind == Kind::kCall) {
    call(step);
    return;
  }
  guarded(step, [&] {
    Slot& out = slots_[step.out[0]];
    if (step.kind == Kind::kSwitch) {
      step.node.expect_inputs(3, 3);
      const Tensor& condition = *step.node.in[0];
      if (condition.data == nullptr) fail(LR_ERROR_SHAPE, "the condition has no value");
      out.closure = closure_of(step, truth(condition) ? 1 : 2);
      return;
    }
    const int64_t graph = step.node.attr<schema::PartialFusion>()->sub_graph_index();
    if (graph < 1 || static_cast<size_t>(graph) >= session_.model->graphs().size()) {
      fail(LR_ERROR_FORMAT, "sub_graph_index %lld is not one of the model's sub-graphs", static_cast<long long>(graph));
    }
    auto closure = std::make_shared<Closure>();
    closure->graph = static_cast<size_t>(graph);
    for (uint32_t i : step.in) closure->captured.push_back(owned(i));
    out.closure = std::move(closure);
  });
}

void Frame::call(Step& step) {
  std::shared_ptr<const Closure> target;
  std::vector<OwnedTensor> arguments;
  guarded(step, [&] {
    target = closure_of(step, 0);
    for (size_t i = 1; i < step.in.size(); ++i) arguments.push_back(owned(step.in[i]));
  });
  std::vector<OwnedTensor> results = session_.call(std::move(target), std::move(arguments));
  guarded(step, [&] {
    if (results.size() != step.out.size()) {
      fail(LR_ERROR_FORMAT, "the sub-graph has %zu outputs, the node %zu", results.size(), step.out.size());
    }
  });
  for (size_t k = 0; k < results.size(); ++k) {
    Slot& slot = slots_[step.out[k]];
    const TensorDef* def = slot.tensor.def;
    slot.tensor = results[k].tensor;
    slot.tensor.def = def;
    slot.storage = std::move(results[k].storage);
    slot.closure = std::move(results[k].closure);
  }
}

std::shared_ptr<const Closure> Frame::closure_of(const Step& step, size_t input) const {
  if (input >= step.in.size() || slots_[step.in[input]].closure == nullptr) {
    fail(LR_ERROR_FORMAT, "%s '%s': input %zu is not a sub-graph", primitive_name(step.node.def->primitive),
         step.node.def->name.c_str(), input);
  }
  return slots_[step.in[input]].closure;
}

OwnedTensor Frame::owned(uint32_t index) {
  const Slot& slot = slots_[index];
  OwnedTensor value{slot.tensor, slot.storage, slot.closure};
  const bool is_variable = slot.tensor.def != nullptr && slot.tensor.def->is_variable();
  value.tensor.def = nullptr;
  value.tensor.known = false;
  if (slot.closure != nullptr) return value;
  if (slot.tensor.data == nullptr) fail(LR_ERROR_SHAPE, "a captured tensor has no value");
  // A frame that hands over to its tail call may run again at once, over the same arena; a variable may change.
  if ((slot.block >= 0 && ends_in_tail_call_) || is_variable) {
    value.storage = session_.buffers.get(slot.tensor.bytes());
    value.tensor.data = value.storage.get();
    std::memcpy(value.tensor.data, slot.tensor.data, slot.tensor.bytes());
  }
  return value;
}

OwnedTensor Frame::take_output(size_t i) {
  const uint32_t index = local(graph_->outputs[i]);
  OwnedTensor value = owned(index);
  if (slots_[index].block >= 0 && value.storage == nullptr) {
    value.storage = session_.buffers.get(value.tensor.bytes());
    std::memcpy(value.storage.get(), value.tensor.data, value.tensor.bytes());
    value.tensor.data = value.storage.get();
  }
  return value;
}

}  // namespace lr
