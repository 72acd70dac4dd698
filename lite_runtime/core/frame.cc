// Running what plan.cc has decided.
#include "frame.h"

#include <algorithm>
#include <chrono>
#include <new>

#include "session.h"

namespace lr {

namespace {

bool truth(const Tensor& t) {
  if (t.count() != 1)
    fail(LR_ERROR_RUN, "the condition has %lld elements instead of one", static_cast<long long>(t.count()));
  const auto* bytes = t.as<uint8_t>();
  return std::any_of(bytes, bytes + t.bytes(), [](uint8_t byte) { return byte != 0; });
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
    } else if (step.chain != nullptr) {
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
  if (step.first != step.last && step.node.out[0]->data == nullptr) {  // of a chain, now looked at
    Slot& between = slots_[step.out[0]];
    between.storage = allocate_buffer(between.tensor.bytes());
    between.tensor.data = between.storage.get();
  }
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
  if (!step.writes_nothing()) step.op->run(step.node);
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
