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
// What open dimensions are resized to.
constexpr int64_t kOpen = 3;

int64_t dimension(const lr_tensor& tensor, int d) { return tensor.dims[d] < 0 ? kOpen : tensor.dims[d]; }

bool is_small(lr_session* session) {
  double sum = 0;
  for (size_t i = 0; i < lr_session_tensor_count(session); ++i) {
    lr_tensor tensor;
    if (lr_session_tensor(session, i, &tensor) != LR_OK) continue;
    double count = 1;
    for (int d = 0; d < tensor.rank; ++d) count *= static_cast<double>(dimension(tensor, d));
    sum += count;
  }
  return sum < kMaxElements;
}

std::vector<lr_shape> input_shapes(lr_session* session) {
  std::vector<lr_shape> shapes;
  for (size_t i = 0; i < lr_session_input_count(session); ++i) {
    lr_tensor tensor;
    if (lr_session_input(session, i, &tensor) != LR_OK) continue;
    lr_shape& shape = shapes.emplace_back();
    shape.rank = tensor.rank;
    for (int d = 0; d < tensor.rank; ++d) shape.dims[d] = dimension(tensor, d);
  }
  return shapes;
}

void use(lr_model* model) {
  lr_options options = {};
  options.struct_size = sizeof options;
  options.threads = 1;
  options.infer_only = 1;
  lr_session* session = nullptr;
  if (lr_session_create(model, &options, &session) != LR_OK) return;
  const std::vector<lr_shape> shapes = input_shapes(session);
  const bool small = is_small(session);
  const bool small_after = lr_session_resize(session, shapes.data(), shapes.size()) != LR_OK || is_small(session);
  lr_session_free(session);
  if (!small || !small_after) return;

  options.infer_only = 0;
  session = nullptr;
  if (lr_session_create(model, &options, &session) != LR_OK) return;
  for (size_t i = 0; i < lr_session_input_count(session); ++i) {
    lr_tensor tensor;
    if (lr_session_input(session, i, &tensor) != LR_OK) continue;
    const std::vector<char> ones(tensor.bytes, 1);
    lr_session_set_input(session, i, ones.data(), ones.size());
  }
  lr_session_run(session);
  if (lr_session_resize(session, shapes.data(), shapes.size()) == LR_OK) lr_session_run(session);
  lr_session_free(session);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lr_model* model = nullptr;
  if (lr_model_load_buffer(data, size, 1, &model) == LR_OK) use(model);
  lr_model_free(model);
  return 0;
}
