#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <numeric>

#include "cost.h"
#include "custom.h"
#include "kernels/kernels.h"
#include "kernels/tiers.h"
#include "session.h"

struct lr_model {
  std::shared_ptr<lr::Model> model;
};

struct lr_session {
  lr::Session session;
  lr_session(std::shared_ptr<lr::Model> model, const lr::SessionOptions& options)
      : session(std::move(model), options) {}
};

namespace {

thread_local std::string last_error;

lr_status report(lr_status status, const char* message) {
  last_error = message;
  return status;
}

// Nothing may leave the C interface as an exception.
lr_status guarded(lr::FunctionRef<void()> body) {
  try {
    body();
    return LR_OK;
  } catch (const lr::Error& error) {
    return report(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    return report(LR_ERROR_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return report(LR_ERROR_RUN, error.what());
  }
}

void require(bool condition, const char* message) {
  if (!condition) lr::fail(LR_ERROR_ARGUMENT, "%s", message);
}

lr_tensor describe(const lr::Tensor& tensor, const lr::TensorDef& def, bool shape_known) {
  lr_tensor out = {};
  out.name = def.name.c_str();
  out.dtype = static_cast<int32_t>(tensor.dtype == lr::DType::kUnknown ? def.dtype : tensor.dtype);
  out.format = def.format;
  out.rank = shape_known ? tensor.shape.rank() : -1;
  for (int i = 0; i < tensor.shape.rank(); ++i) out.dims[i] = tensor.shape[i];
  if (shape_known && tensor.data != nullptr) {
    out.data = tensor.data;
    out.bytes = tensor.bytes();
  }
  return out;
}

void describe(lr_session* session, const std::vector<uint32_t>& list, size_t index, const char* what,
              lr_tensor* tensor) {
  require(session != nullptr && tensor != nullptr, "session and tensor must not be null");
  if (index >= list.size())
    lr::fail(LR_ERROR_ARGUMENT, "there is no %s %zu (the model has %zu)", what, index, list.size());
  lr::Frame& frame = session->session.main();
  const uint32_t i = list[index];
  *tensor = describe(frame.tensor(i), session->session.definition(i), frame.shape_known(i));
}

size_t end_index(const lr_session* session, std::vector<uint32_t> lr::GraphDef::*ends, size_t index, const void* out) {
  require(session != nullptr && out != nullptr, "session and tensor must not be null");
  const std::vector<uint32_t>& list = session->session.main().graph().*ends;
  require(index < list.size(), "there is no such input or output");
  return list[index];
}

lr::SessionOptions parse(const lr_options* given) {
  lr::SessionOptions options;
  if (given == nullptr) return options;
  require(given->struct_size == sizeof(lr_options), "lr_options has an unexpected size");
  options.threads = given->threads;
  options.infer_only = given->infer_only != 0;
#if defined(LR_HALF)
  options.half = given->half != 0;
#endif
  if (given->core_count > 0) {
    require(given->cores != nullptr, "core_count is set, but cores is null");
    options.cores.assign(given->cores, given->cores + given->core_count);
  } else {
    options.cores = lr::cores_by_speed(given->affinity_mode);
  }
  return options;
}

}  // namespace

extern "C" {

const char* lr_version(void) { return LR_VERSION; }
const char* lr_last_error(void) { return last_error.c_str(); }
const char* lr_isa(void) { return lr::kernels().tier; }

int lr_op_supported(int32_t primitive) {
  const bool calls = primitive == lr::schema::PrimitiveType_PartialFusion ||
                     primitive == lr::schema::PrimitiveType_Switch || primitive == lr::schema::PrimitiveType_Call;
  return (calls && lr::has_op(primitive)) || lr::find_op(primitive) != nullptr;
}

lr_status lr_model_load_file(const char* path, lr_model** model) {
  return guarded([&] {
    require(path != nullptr && model != nullptr, "path and model must not be null");
    *model = new lr_model{lr::load_model_file(path)};
  });
}

lr_status lr_model_load_fd(int fd, int64_t offset, int64_t length, lr_model** model) {
  return guarded([&] {
    require(model != nullptr, "model must not be null");
    *model = new lr_model{lr::load_model_region(fd, offset, length)};
  });
}

lr_status lr_model_load_buffer(const void* data, size_t size, int copy, lr_model** model) {
  return guarded([&] {
    require(data != nullptr && model != nullptr, "data and model must not be null");
    std::shared_ptr<void> owner;
    // FlatBuffers reads scalars in place, so the bytes must be aligned.
    if (copy != 0 || reinterpret_cast<uintptr_t>(data) % 16 != 0) {
      owner = lr::allocate_buffer(size);
      std::memcpy(owner.get(), data, size);
      data = owner.get();
    }
    *model = new lr_model{std::make_shared<lr::Model>(data, size, std::move(owner), "model")};
  });
}

void lr_model_free(lr_model* model) { delete model; }

size_t lr_model_node_count(const lr_model* model) { return model == nullptr ? 0 : model->model->nodes().size(); }

lr_status lr_model_node(const lr_model* model, size_t index, lr_node* node) {
  return guarded([&] {
    require(node != nullptr && index < lr_model_node_count(model), "there is no such node");
    const lr::NodeDef& def = model->model->nodes()[index];
    const bool quantized = lr::find_quantized_op(def, *model->model) != nullptr;
    *node = {def.name.c_str(), lr::primitive_name(def.primitive), def.primitive, quantized};
  });
}

lr_status lr_session_create(lr_model* model, const lr_options* options, lr_session** session) {
  return guarded([&] {
    require(model != nullptr && session != nullptr, "model and session must not be null");
    *session = new lr_session(model->model, parse(options));
  });
}

void lr_session_free(lr_session* session) { delete session; }

#if defined(LR_HALF)
int lr_offers_half(void) { return lr::half_kernels() != nullptr; }
int lr_session_uses_half(const lr_session* session) { return session != nullptr && session->session.uses_half(); }
#else
int lr_offers_half(void) { return 0; }
int lr_session_uses_half(const lr_session*) { return 0; }
#endif

size_t lr_session_input_count(const lr_session* session) {
  return session == nullptr ? 0 : session->session.input_count();
}
size_t lr_session_output_count(const lr_session* session) {
  return session == nullptr ? 0 : session->session.output_count();
}

lr_status lr_session_input(lr_session* session, size_t index, lr_tensor* tensor) {
  return guarded([&] {
    require(session != nullptr, "session must not be null");
    describe(session, session->session.main().graph().inputs, index, "input", tensor);
    // An input with unknown dimensions still shows them, as -1.
    tensor->rank = session->session.main().input(index).shape.rank();
  });
}

lr_status lr_session_output(lr_session* session, size_t index, lr_tensor* tensor) {
  return guarded([&] {
    require(session != nullptr, "session must not be null");
    describe(session, session->session.main().graph().outputs, index, "output", tensor);
  });
}

lr_status lr_session_resize(lr_session* session, const lr_shape* shapes, size_t count) {
  return guarded([&] {
    require(session != nullptr && (shapes != nullptr || count == 0), "session and shapes must not be null");
    std::vector<lr::Shape> parsed;
    for (size_t i = 0; i < count; ++i) {
      require(shapes[i].rank >= 0 && shapes[i].rank <= LR_MAX_RANK, "a shape has a rank outside 0 to 8");
      lr::Shape& shape = parsed.emplace_back();
      for (int d = 0; d < shapes[i].rank; ++d) shape.push_back(shapes[i].dims[d]);
    }
    session->session.resize(parsed);
  });
}

lr_status lr_session_set_input(lr_session* session, size_t index, const void* data, size_t bytes) {
  return guarded([&] {
    require(session != nullptr && (data != nullptr || bytes == 0), "session and data must not be null");
    session->session.set_input(index, data, bytes);
  });
}

lr_status lr_session_run(lr_session* session) {
  return guarded([&] {
    require(session != nullptr, "session must not be null");
    session->session.run({});
  });
}

lr_status lr_session_reset_variables(lr_session* session) {
  return guarded([&] {
    require(session != nullptr, "session must not be null");
    session->session.reset_variables();
  });
}

size_t lr_session_tensor_count(const lr_session* session) {
  return session == nullptr ? 0 : session->session.tensor_count();
}

lr_status lr_session_tensor(lr_session* session, size_t index, lr_tensor* tensor) {
  return guarded([&] {
    require(session != nullptr && tensor != nullptr, "session and tensor must not be null");
    require(index < session->session.tensor_count(), "tensor index out of range");
    lr::Frame& frame = session->session.main();
    const uint32_t i = static_cast<uint32_t>(index);
    const lr::TensorDef& def = session->session.definition(i);
    *tensor =
        frame.contains(i) ? describe(frame.tensor(i), def, frame.shape_known(i)) : describe(lr::Tensor(), def, false);
    // Memory in the arena is reused, so only values fixed by the plan are shown.
    if (!frame.contains(i) || !frame.tensor(i).known) tensor->data = nullptr;
  });
}

lr_status lr_session_input_index(const lr_session* session, size_t index, size_t* tensor) {
  return guarded([&] { *tensor = end_index(session, &lr::GraphDef::inputs, index, tensor); });
}

lr_status lr_session_output_index(const lr_session* session, size_t index, size_t* tensor) {
  return guarded([&] { *tensor = end_index(session, &lr::GraphDef::outputs, index, tensor); });
}

size_t lr_session_quantization_count(const lr_session* session, size_t tensor) {
  if (session == nullptr || tensor >= session->session.tensor_count()) return 0;
  return session->session.definition(static_cast<uint32_t>(tensor)).quant.size();
}

lr_status lr_session_quantization(const lr_session* session, size_t tensor, size_t channel,
                                  lr_quantization* quantization) {
  return guarded([&] {
    require(session != nullptr && quantization != nullptr, "session and quantization must not be null");
    require(channel < lr_session_quantization_count(session, tensor), "the tensor has no such quantisation");
    const lr::QuantParam& param = session->session.definition(static_cast<uint32_t>(tensor)).quant[channel];
    *quantization = {param.scale, param.zero_point};
  });
}

lr_status lr_session_run_observed(lr_session* session, lr_node_callback callback, void* user) {
  return guarded([&] {
    require(session != nullptr && callback != nullptr, "session and callback must not be null");
    const auto tell = [&](size_t index, const lr::Node& node, double seconds) {
      std::vector<lr_tensor> outputs;
      for (size_t i = 0; i < node.out.size(); ++i) {
        outputs.push_back(describe(*node.out[i], session->session.definition(node.def->outputs[i]), true));
      }
      const int stop = callback(user, index, node.def->name.c_str(), lr::primitive_name(node.def->primitive),
                                outputs.data(), outputs.size(), seconds);
      if (stop != 0) lr::fail(LR_ERROR_RUN, "stopped by the caller after node '%s'", node.def->name.c_str());
    };
    lr::Observers observers;
    observers.node = tell;
    session->session.run(observers);
  });
}

lr_status lr_session_run_timed(lr_session* session, lr_step_callback callback, void* user) {
  return guarded([&] {
    require(session != nullptr && callback != nullptr, "session and callback must not be null");
    const auto tell = [&](size_t index, const lr::Node& node, double seconds) {
      lr_step step = {index,   node.def->name.c_str(), lr::primitive_name(node.def->primitive),
                      seconds, lr::operations(node),   {}};
      if (!node.out.empty()) {
        step.output = describe(*node.out[0], session->session.definition(node.def->outputs[0]), true);
      }
      if (callback(user, &step) != 0) lr::fail(LR_ERROR_RUN, "stopped by the caller after node '%s'", step.name);
    };
    lr::Observers observers;
    observers.step = tell;
    session->session.run(observers);
  });
}

lr_status lr_session_memory(lr_session* session, lr_memory* memory) {
  return guarded([&] {
    require(session != nullptr && memory != nullptr, "session and memory must not be null");
    lr::Model& model = session->session.model();
    *memory = {model.constant_bytes(), model.packed_bytes(), session->session.arena_bytes()};
  });
}

size_t lr_tier_count(void) {
  size_t count;
  lr::tiers(&count);
  return count;
}

lr_status lr_tier_describe(size_t index, lr_tier* tier) {
  return guarded([&] {
    require(tier != nullptr && index < lr_tier_count(), "there is no such tier");
    size_t count;
    const lr::Tier& found = lr::tiers(&count)[index];
    const lr::Kernels& table = *found.table;
    const auto small = [](size_t value) { return static_cast<int32_t>(value); };
    *tier = {table.tier,           found.available,      &table == &lr::kernels(), small(table.lanes),
             small(table.gemm_mr), small(table.gemm_nr), small(table.gemm_i8_mr),  small(table.gemm_i8_nr)};
  });
}

const char* lr_kernel_name(size_t index) {
#define LR_NAME(name, ...) #name "\0"
#define LR_UNARY_NAME(name) "unary_" #name "\0"
#define LR_BINARY_NAME(name) "binary_" #name "\0"
#define LR_REDUCE_NAME(name) "reduce_" #name "\0"
  const char* name = LR_OTHER_KERNELS(LR_NAME) LR_UNARY_KERNELS(LR_UNARY_NAME) LR_BINARY_KERNELS(LR_BINARY_NAME)
      LR_REDUCE_KERNELS(LR_REDUCE_NAME);
#undef LR_NAME
#undef LR_UNARY_NAME
#undef LR_BINARY_NAME
#undef LR_REDUCE_NAME
  for (; index > 0 && *name != '\0'; --index) name += std::strlen(name) + 1;
  return *name != '\0' ? name : nullptr;
}

lr_status lr_measure_peak(int32_t threads, double seconds, double* operations_per_second) {
  return guarded([&] {
    require(operations_per_second != nullptr, "operations_per_second must not be null");
    require(threads >= 1 && threads <= 256, "threads must be 1 to 256");
    require(seconds > 0 && seconds <= 60, "seconds must be above 0 and at most 60");
    using Clock = std::chrono::steady_clock;
    constexpr size_t kRounds = 1 << 18;  // a millisecond or so
    lr::ThreadPool pool(threads, {});
    double best = 0;
    const auto begin = Clock::now();
    do {
      std::vector<double> done(static_cast<size_t>(threads));
      const auto start = Clock::now();
      pool.run(threads, 1, [&](int64_t first, int64_t last, int) {
        for (int64_t i = first; i < last; ++i) done[static_cast<size_t>(i)] = lr::kernels().multiply_add_f32(kRounds);
      });
      const std::chrono::duration<double> taken = Clock::now() - start;
      best = std::max(best, std::accumulate(done.begin(), done.end(), 0.0) / taken.count());
    } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
    *operations_per_second = best;
  });
}

lr_status lr_register_custom(const char* type, lr_custom_function infer, lr_custom_function compute, void* user) {
  return guarded([&] {
    require(type != nullptr && infer != nullptr && compute != nullptr, "type, infer and compute must not be null");
    lr::register_custom(type, {infer, compute, user});
  });
}

void lr_custom_fail(const char* message) { lr::custom_error() = message == nullptr ? "" : message; }

}  // extern "C"
