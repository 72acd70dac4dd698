#include "session.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>

namespace lr {

namespace {

constexpr int kMaxDepth = 64;                // nested calls of sub-graphs
constexpr int64_t kMaxIterations = 1 << 20;  // of one loop; more would look like a hang

std::vector<int> allowed_cores() {
  std::vector<int> cores;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// What the system says of a core; 0 where it does not.
int64_t core_property(int core, const char* name) {
  const std::string path = formatted("/sys/devices/system/cpu/cpu%d/%s", core, name);
  long long value = 0;
  if (std::FILE* file = std::fopen(path.c_str(), "re")) {
    if (std::fscanf(file, "%lld", &value) != 1) value = 0;
    std::fclose(file);
  }
  return value;
}

// Speed of a core beside others: its capacity on big.LITTLE, else its highest clock.
std::pair<int64_t, int64_t> speed(int core) {
  return {core_property(core, "cpu_capacity"), core_property(core, "cpufreq/cpuinfo_max_freq")};
}

int thread_count(const SessionOptions& options) {
  const int available = std::max<int>(1, static_cast<int>(allowed_cores().size()));
  if (options.threads <= 0) return available;
  return std::min(options.threads, 256);
}

bool is_control(int primitive) {
  return primitive == schema::PrimitiveType_PartialFusion || primitive == schema::PrimitiveType_Switch ||
         primitive == schema::PrimitiveType_Call;
}

// All nodes no operator exists for, in one message.
void check_operators(const Model& model) {
  std::string list;
  size_t count = 0;
  for (const NodeDef& node : model.nodes()) {
    if (is_control(node.primitive) && has_op(node.primitive)) continue;
    const bool lacks_quantized = lacks_quantized_op(node, model);
    if (find_op(node.primitive) != nullptr && !lacks_quantized) continue;
    if (++count > 20) continue;
    list += formatted("%s%s%s '%s'", count == 1 ? " " : ", ", primitive_name(node.primitive),
                      lacks_quantized ? " of quantised integers" : "", node.name.c_str());
  }
  if (count == 0) return;
  const char* absent = kSelected ? "that this library leaves out" : "that is not offered";
  fail(LR_ERROR_UNSUPPORTED, "%s: %zu node(s) have an operator %s:%s%s%s", model.source().c_str(), count, absent,
       list.c_str(), count > 20 ? ", ..." : "", kSelected ? kAdvice : "");
}

}  // namespace

std::vector<int> cores_by_speed(int mode) {
  std::vector<int> sorted;
  if (mode == 0) return sorted;
  const auto before = [&](int a, int b) { return mode == 1 ? speed(a) > speed(b) : speed(a) < speed(b); };
  for (const int core : allowed_cores()) {
    sorted.insert(std::upper_bound(sorted.begin(), sorted.end(), core, before), core);
  }
  return sorted;
}

SessionState::SessionState(std::shared_ptr<Model> m, const SessionOptions& options)
    : model((check_operators(*m), std::move(m))),
      pool(options.infer_only ? 1 : thread_count(options), options.cores),
      idle_frames(model->graphs().size()) {}

Buffer SessionState::variable(uint32_t file_index) {
  Buffer& storage = variables[file_index];
  if (storage == nullptr) {
    const TensorDef& def = model->tensors()[file_index];
    storage = allocate_buffer(def.bytes);
    std::memcpy(storage.get(), def.initial, def.bytes);
  }
  return storage;
}

void SessionState::reset_variables() {
  for (auto& [index, storage] : variables) {
    const TensorDef& def = model->tensors()[index];
    std::memcpy(storage.get(), def.initial, def.bytes);
  }
}

std::vector<OwnedTensor> SessionState::call(std::shared_ptr<const Closure> closure,
                                            std::vector<OwnedTensor> arguments) {
  if (depth >= kMaxDepth) fail(LR_ERROR_RUN, "%s: sub-graphs call each other too deeply", model->source().c_str());
  struct DepthGuard {
    int& depth;
    explicit DepthGuard(int& d) : depth(d) { ++depth; }
    ~DepthGuard() { --depth; }
  } guard(depth);

  for (int64_t iteration = 0; iteration < kMaxIterations; ++iteration) {
    arguments.insert(arguments.begin(), closure->captured.begin(), closure->captured.end());
    const size_t graph = closure->graph;
    const std::string& name = model->graphs()[graph].name;
    if (arguments.size() != model->graphs()[graph].inputs.size()) {
      fail(LR_ERROR_FORMAT, "%s: graph '%s' takes %zu inputs and is called with %zu", model->source().c_str(),
           name.c_str(), model->graphs()[graph].inputs.size(), arguments.size());
    }
    std::vector<DType> dtypes;
    std::vector<Shape> shapes;
    for (const OwnedTensor& argument : arguments) {
      if (argument.tensor.data == nullptr) {
        fail(LR_ERROR_UNSUPPORTED, "%s: graph '%s' is called with a graph as argument", model->source().c_str(),
             name.c_str());
      }
      dtypes.push_back(argument.tensor.dtype);
      shapes.push_back(argument.tensor.shape);
    }
    std::unique_ptr<Frame> frame;
    if (idle_frames[graph].empty()) {
      frame = std::make_unique<Frame>(*this, graph);
    } else {
      frame = std::move(idle_frames[graph].back());
      idle_frames[graph].pop_back();
    }
    if (!frame->planned_for(dtypes, shapes)) frame->plan(dtypes, shapes, /*infer_only=*/false);
    for (size_t i = 0; i < arguments.size(); ++i) {
      std::memcpy(frame->input(i).data, arguments[i].tensor.data, arguments[i].tensor.bytes());
    }
    arguments.clear();
    closure = frame->run({});
    std::vector<OwnedTensor> results;
    if (closure == nullptr) {
      for (size_t i = 0; i < frame->graph().outputs.size(); ++i) results.push_back(frame->take_output(i));
    }
    idle_frames[graph].push_back(std::move(frame));
    if (closure == nullptr) return results;
  }
  fail(LR_ERROR_RUN, "%s: a loop does not end within %lld turns", model->source().c_str(),
       static_cast<long long>(kMaxIterations));
}

Session::Session(std::shared_ptr<Model> model, const SessionOptions& options)
    : state_(std::move(model), options), main_(state_, 0), infer_only_(options.infer_only) {
  std::vector<Shape> shapes;
  ready_ = true;
  for (uint32_t i : main_.graph().inputs) {
    const TensorDef& def = definition(i);
    if (def.dtype == DType::kUnknown) {
      fail(LR_ERROR_FORMAT, "%s: input '%s' has no dtype", state_.model->source().c_str(), def.name.c_str());
    }
    input_dtypes_.push_back(def.dtype);
    shapes.push_back(def.shape);
    ready_ = ready_ && def.shape_known;
  }
#if defined(LR_HALF)
  main_.use_half(options.half && !infer_only_ && half_kernels() != nullptr && suits_half());
#endif
  plan(shapes, infer_only_ || !ready_);
  state_.model->release_pages();
}

void Session::plan(const std::vector<Shape>& shapes, bool infer_only) {
#if defined(LR_HALF)
  if (exact_ != nullptr) main_.use_half(false);
  exact_.reset();
#endif
  main_.plan(input_dtypes_, shapes, infer_only);
#if defined(LR_HALF)
  if (infer_only || !main_.uses_half() || main_.is_static()) return;
  main_.use_half(false);
  main_.plan(input_dtypes_, shapes, infer_only);
#endif
}

#if defined(LR_HALF)
// A run that overflows is repeated: it must not have changed anything. Sub-graphs are planned for the types they meet,
// and a model with float16 of its own says itself where.
bool Session::suits_half() const {
  const std::vector<TensorDef>& tensors = state_.model->tensors();
  return state_.model->graphs().size() == 1 && std::none_of(tensors.begin(), tensors.end(), [](const TensorDef& def) {
           return def.is_variable() || (def.dtype == DType::kFloat16 && !def.is_const());
         });
}

// In float16, as long as nothing overflows. Whatever does makes this run, done again, and all later ones float32.
void Session::run_half(const Observers& observers) {
  if (exact_ == nullptr) {
    const auto overflowed = [&] {
      const bool here = take_overflow();
      return state_.pool.take_overflow() || here;
    };
    overflowed();  // what others did before
    main_.run(observers);
    if (!overflowed()) return;
    std::vector<Shape> shapes;
    for (size_t i = 0; i < input_count(); ++i) shapes.push_back(main_.input(i).shape);
    exact_ = std::make_unique<Frame>(state_, 0);
    exact_->plan(input_dtypes_, shapes, false);
  }
  const auto copy = [&](const std::vector<uint32_t>& list, Frame& from, Frame& to) {
    for (uint32_t i : list) std::memcpy(to.tensor(i).data, from.tensor(i).data, from.tensor(i).bytes());
  };
  copy(main_.graph().inputs, main_, *exact_);
  exact_->run(observers);
  copy(main_.graph().outputs, *exact_, main_);
}
#endif

void Session::resize(const std::vector<Shape>& shapes) {
  if (shapes.size() != input_count()) {
    fail(LR_ERROR_ARGUMENT, "the model has %zu inputs, %zu shapes were given", input_count(), shapes.size());
  }
  std::vector<Shape> old;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const TensorDef& def = definition(main_.graph().inputs[i]);
    const Shape& wanted = def.shape;
    bool fits = shapes[i].rank() == wanted.rank() || (wanted.rank() == 0 && !def.shape_known);
    for (int d = 0; d < shapes[i].rank(); ++d) fits = fits && shapes[i][d] >= 0;
    if (!fits) {
      fail(LR_ERROR_SHAPE, "input '%s' has shape %s in the model; %s does not fit it", def.name.c_str(),
           wanted.str().c_str(), shapes[i].str().c_str());
    }
    old.push_back(main_.input(i).shape);
  }
  try {
    plan(shapes, infer_only_);
    ready_ = true;
    state_.model->release_pages();
  } catch (const Error&) {
    plan(old, infer_only_ || !ready_);
    throw;
  }
}

void Session::set_input(size_t index, const void* data, size_t bytes) {
  if (index >= input_count()) fail(LR_ERROR_ARGUMENT, "there is no input %zu", index);
  Tensor& input = main_.input(index);
  const std::string& name = definition(main_.graph().inputs[index]).name;
  if (!ready_) {
    fail(LR_ERROR_SHAPE, "input '%s' has shape %s: resize the model to known dimensions first", name.c_str(),
         input.shape.str().c_str());
  }
  if (bytes != input.bytes()) {
    fail(LR_ERROR_SHAPE, "input '%s' needs %zu bytes (shape %s of %s), %zu were given", name.c_str(), input.bytes(),
         input.shape.str().c_str(), dtype_name(input.dtype), bytes);
  }
  if (bytes > 0) std::memcpy(input.data, data, bytes);
}

size_t Session::arena_bytes() const {
  size_t bytes = main_.arena_bytes();
#if defined(LR_HALF)
  if (exact_ != nullptr) bytes += exact_->arena_bytes();
#endif
  for (const auto& frames : state_.idle_frames) {
    for (const auto& frame : frames) bytes += frame->arena_bytes();
  }
  return bytes;
}

void Session::run(const Observers& observers) {
  const CallerBinding binding(state_.pool);
  if (infer_only_) fail(LR_ERROR_ARGUMENT, "a session made for shape inference cannot run");
  if (!ready_) fail(LR_ERROR_SHAPE, "the model has inputs of unknown shape: resize it first");
#if defined(LR_HALF)
  if (main_.uses_half()) return run_half(observers);
#endif
  main_.run(observers);
}

}  // namespace lr
