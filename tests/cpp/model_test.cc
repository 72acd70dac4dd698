// Runs a model through the C interface and compares with recorded answers.
//
//   model_test MODEL THREADS PRECISION TOLERANCE INPUT... -- OUTPUT...
//
// PRECISION: float32, or of a session that prefers float16: float16; overflow, when it begins so and finds that values
// are too large; refused, when CPU or model do not suit it. With float16 the largest value is to be where it was
// recorded. Inputs and outputs are files of raw values in the model's own order, types and layout. Floats may differ by
// TOLERANCE times the largest magnitude of their output; everything else must be equal.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "check.h"
#include "lite_runtime.h"

namespace {

using lr::test::Case;
using Bytes = std::vector<char>;

constexpr int32_t kFloat32 = 43;

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    printf("cannot open %s\n", path);
    exit(2);
  }
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

bool succeeded(Case& test, lr_status status) { return test.expect(status == LR_OK, "%s", lr_last_error()); }

struct Precision {
  explicit Precision(const char* name)
      : preferred(strcmp(name, "float32") != 0),
        overflows(strcmp(name, "overflow") == 0),
        half(overflows || strcmp(name, "float16") == 0) {}
  bool preferred, overflows, half;
};

struct Recording {
  Precision precision;
  std::vector<Bytes> inputs, outputs;
  double tolerance;
};

// Whether the session computes in what it should, after a run or before any.
void check_precision([[maybe_unused]] Case& test, [[maybe_unused]] lr_session* session,
                     [[maybe_unused]] const Precision& precision, [[maybe_unused]] bool has_run) {
#if defined(__aarch64__)
  const bool half = lr_session_uses_half(session) != 0;
  test.expect(half == (precision.half && !(precision.overflows && has_run)), "%s in float16 %s",
              half ? "computes" : "does not compute", has_run ? "after a run" : "at first");
#endif
}

void check_floats(Case& test, size_t index, const float* actual, const float* expected, size_t count,
                  double tolerance) {
  double largest = 0;
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
  for (size_t i = 0; i < count; ++i) {
    const double error = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    test.expect(error <= tolerance * largest, "output %zu, value %zu: %.9g, recorded %.9g", index, i, actual[i],
                expected[i]);
  }
}

void check_output(Case& test, lr_session* session, size_t index, const Recording& recording) {
  lr_tensor tensor;
  if (!succeeded(test, lr_session_output(session, index, &tensor))) return;
  const Bytes& expected = recording.outputs[index];
  if (!test.expect(tensor.bytes == expected.size() && tensor.data != nullptr, "output %zu has %zu bytes, recorded %zu",
                   index, tensor.bytes, expected.size())) {
    return;
  }
  if (tensor.dtype != kFloat32) {
    test.expect(memcmp(tensor.data, expected.data(), expected.size()) == 0, "output %zu differs", index);
    return;
  }
  const auto* actual = static_cast<const float*>(tensor.data);
  const auto* recorded = reinterpret_cast<const float*>(expected.data());
  const size_t count = expected.size() / sizeof(float);
  check_floats(test, index, actual, recorded, count, recording.tolerance);
  if (!recording.precision.half || count == 0) return;
  const auto largest = [count](const float* values) { return std::max_element(values, values + count) - values; };
  test.expect(largest(actual) == largest(recorded), "output %zu: the largest value is another one", index);
}

// One run with the recorded inputs. `bits` receives all outputs, to see whether runs repeat exactly.
void run(Case& test, lr_session* session, const Recording& recording, Bytes& bits) {
  const bool counts = lr_session_input_count(session) == recording.inputs.size() &&
                      lr_session_output_count(session) == recording.outputs.size();
  if (!test.expect(counts, "the model has %zu inputs and %zu outputs, recorded are %zu and %zu",
                   lr_session_input_count(session), lr_session_output_count(session), recording.inputs.size(),
                   recording.outputs.size())) {
    return;
  }
  for (size_t i = 0; i < recording.inputs.size(); ++i) {
    const Bytes& input = recording.inputs[i];
    if (!succeeded(test, lr_session_set_input(session, i, input.data(), input.size()))) return;
  }
  if (!succeeded(test, lr_session_run(session))) return;
  check_precision(test, session, recording.precision, true);
  for (size_t i = 0; i < recording.outputs.size(); ++i) {
    check_output(test, session, i, recording);
    lr_tensor tensor;
    if (lr_session_output(session, i, &tensor) != LR_OK || tensor.data == nullptr) return;
    const char* data = static_cast<const char*>(tensor.data);
    bits.insert(bits.end(), data, data + tensor.bytes);
  }
}

void test_model(const char* path, int threads, const Recording& recording) {
  lr_model* model = nullptr;
  {
    Case test("%s: load", path);
    if (!succeeded(test, lr_model_load_file(path, &model))) return;
  }
  lr_options options = {};
  options.struct_size = sizeof options;
  options.threads = threads;
  options.half = recording.precision.preferred;
  lr_session* sessions[2] = {};
  Bytes bits[2];
  for (int i = 0; i < 2; ++i) {
    Case test("%s: session %d of a shared model, two runs on %s", path, i, lr_isa());
    if (!succeeded(test, lr_session_create(model, &options, &sessions[i]))) break;
    check_precision(test, sessions[i], recording.precision, false);
    Bytes second;
    run(test, sessions[i], recording, bits[i]);
    run(test, sessions[i], recording, second);
    test.expect(bits[i] == second, "the second run gives other bits");
  }
  Case("%s: sessions agree", path).expect(bits[0] == bits[1], "the sessions give different bits");
  for (lr_session* session : sessions) lr_session_free(session);
  lr_model_free(model);
}

}  // namespace

int main(int argc, char** argv) {
  lr::test::report_crashes();
  if (argc < 6) {
    puts("usage: model_test MODEL THREADS PRECISION TOLERANCE INPUT... -- OUTPUT...");
    return 2;
  }
  Recording recording = {Precision(argv[3]), {}, {}, atof(argv[4])};
  std::vector<Bytes>* side = &recording.inputs;
  for (int i = 5; i < argc; ++i) {
    if (strcmp(argv[i], "--") == 0) {
      side = &recording.outputs;
    } else {
      side->push_back(read_file(argv[i]));
    }
  }
  test_model(argv[1], atoi(argv[2]), recording);
  return lr::test::report();
}
