// What is decided about a graph before it runs: shapes, what is computed at once, what operators take over from each
// other, where results lie.
#include <algorithm>

#include "frame.h"
#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/half/half.h"
#include "session.h"

namespace lr {

namespace {
// While only shapes are asked for, larger constant expressions are left unevaluated: shapes never
// depend on them in practice and the caller may not have given their data.
constexpr int64_t kSmallCount = 1 << 14;
}  // namespace

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
  if (has_op(schema::PrimitiveType_MulFusion)) absorb_scales();
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
    if (!step.writes_nothing()) step.op->run(step.node);
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

// Lets operators multiply their input by a factor per channel while they read it, as after a squeeze-and-excite.
void Frame::absorb_scales() {
  const std::vector<size_t> reads = count_reads();
  for (Step& product : steps_) {
    if (product.node.def->primitive != schema::PrimitiveType_MulFusion || product.at_run_time || product.done ||
        product.absorbed != nullptr || reads[product.out[0]] != 1 ||
        product.node.attr<schema::MulFusion>()->activation_type() != schema::ActivationType_NO_ACTIVATION) {
      continue;
    }
    const Tensor& y = *product.node.out[0];
    const size_t k = product.node.in[0]->shape == y.shape ? 0 : 1;
    Tensor &x = *product.node.in[k], &factors = *product.node.in[1 - k];
    // A variable, which has its memory already, may be assigned to before the reader runs.
    if (x.data != nullptr || factors.data != nullptr || x.shape != y.shape || factors.shape.rank() == 0 ||
        factors.shape.back() != y.shape.back() || factors.count() != y.shape.back() || x.dtype != DType::kFloat32 ||
        factors.dtype != DType::kFloat32 || x.known || factors.known) {
      continue;
    }
    for (Step& reader : steps_) {
      if (reader.in.empty() || reader.in[0] != product.out[0] || reader.at_run_time || reader.done ||
          !reader.op->traits().scales) {
        continue;
      }
      reader.in[0] = product.in[k];
      reader.node.in[0] = &x;
      reader.in.push_back(product.in[1 - k]);
      reader.node.scale = &factors;
      product.absorbed = &reader;
      product.done = true;
    }
  }
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
  if (step.writes_nothing()) return;
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
      const bool fits = from != nullptr && reads[i] == 1 && same_quantization(part.tensor, whole);
      if (fits && from->op->row_work(from->node).any_distance) {
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
      if (arena.block_of[out] >= 0 || s != step.last) continue;
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
    step.done = step.done || step.writes_nothing();
    if (step.chain != nullptr) {
      step.chain->block = arena.add(static_cast<size_t>(step.chain->parts) * step.chain->thread_bytes, s, step.last);
    }
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
    if (step.chain != nullptr) step.chain->memory = at(step.chain->block);
    step.node.running = true;
  }
}

}  // namespace lr
