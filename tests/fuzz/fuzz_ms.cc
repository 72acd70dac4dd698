// Feeds arbitrary bytes to the loader, the planner and a run. Nothing but an lr_status may come out.
//
//   cmake -S . -B build/fuzz -DCMAKE_CXX_COMPILER=clang++ -DLITE_RUNTIME_FUZZ=ON
//         -DLITE_RUNTIME_SANITIZE=address,undefined,fuzzer-no-link
//   ninja -C build/fuzz fuzz_ms
//   LITE_RUNTIME_MEMORY_LIMIT=67108864 build/fuzz/tests/fuzz/fuzz_ms -rss_limit_mb=4096 corpus_folder
#include <cstdint>
#include <vector>

#include "lite_runtime.h"

namespace {

// Larger models only cost time: the planner's checks have seen them by then.
constexpr double kMaxElements = 1 << 18;

double elements(lr_session* session) {
  double sum = 0;
  for (size_t i = 0; i < lr_session_tensor_count(session); ++i) {
    lr_tensor tensor;
    if (lr_session_tensor(session, i, &tensor) != LR_OK) continue;
    double count = 1;
    for (int d = 0; d < tensor.rank; ++d) count *= static_cast<double>(tensor.dims[d]);
    sum += count;
  }
  return sum;
}

void use(lr_model* model) {
  lr_options options = {};
  options.struct_size = sizeof options;
  options.threads = 1;
  options.infer_only = 1;
  lr_session* shapes = nullptr;
  const bool small = lr_session_create(model, &options, &shapes) == LR_OK && elements(shapes) < kMaxElements;
  lr_session_free(shapes);
  if (!small) return;

  options.infer_only = 0;
  lr_session* session = nullptr;
  if (lr_session_create(model, &options, &session) != LR_OK) return;
  std::vector<lr_shape> resized;
  for (size_t i = 0; i < lr_session_input_count(session); ++i) {
    lr_tensor tensor;
    if (lr_session_input(session, i, &tensor) != LR_OK) continue;
    lr_shape& shape = resized.emplace_back();
    shape.rank = tensor.rank;
    for (int d = 0; d < tensor.rank; ++d) shape.dims[d] = tensor.dims[d] < 0 ? 3 : tensor.dims[d];
    const std::vector<char> zeros(tensor.bytes, 1);
    lr_session_set_input(session, i, zeros.data(), zeros.size());
  }
  lr_session_run(session);
  if (lr_session_resize(session, resized.data(), resized.size()) == LR_OK) lr_session_run(session);
  lr_session_free(session);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lr_model* model = nullptr;
  if (lr_model_load_buffer(data, size, 1, &model) == LR_OK) use(model);
  lr_model_free(model);
  return 0;
}
