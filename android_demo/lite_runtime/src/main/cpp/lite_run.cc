// Runs a model and prints what comes out and how long it took.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "lite_runtime.h"

namespace {

constexpr int kFloat32 = 43;
constexpr size_t kShown = 5;

const char kUsage[] =
    "usage: lite_run MODEL.ms [--input=FILE]... [--output=PREFIX] [--threads=N] [--repeat=N]\n"
    "  --input    bytes of an input as the model takes them; once per input, or not at all for zeros\n"
    "  --output   writes the bytes of output i to PREFIXi\n"
    "  --threads  0, the default: as many as there are cores\n"
    "  --repeat   runs as many times and prints the least and the median time (1)\n";

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "lite_run: %s\n", message.c_str());
  std::exit(1);
}

void require(lr_status status) {
  if (status != LR_OK) fail(lr_last_error());
}

struct Arguments {
  std::string model;
  std::vector<std::string> inputs;
  std::string output;
  int threads = 0;
  int repeat = 1;
};

int number(const std::string& flag, const char* text) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < 0 || value > 1000000) fail(flag + text + " is not a number to count with");
  return static_cast<int>(value);
}

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const size_t equals = word.find('=');
    const std::string flag = word.rfind("--", 0) == 0 ? word.substr(0, equals == word.npos ? equals : equals + 1) : "";
    const char* value = words[i] + flag.size();
    if (flag == "--input=") {
      arguments.inputs.push_back(value);
    } else if (flag == "--output=") {
      arguments.output = value;
    } else if (flag == "--threads=") {
      arguments.threads = number(flag, value);
    } else if (flag == "--repeat=") {
      arguments.repeat = std::max(1, number(flag, value));
    } else if (flag.empty() && arguments.model.empty()) {
      arguments.model = word;
    } else {
      std::fputs(kUsage, stderr);
      std::exit(2);
    }
  }
  if (arguments.model.empty()) {
    std::fputs(kUsage, stderr);
    std::exit(2);
  }
  return arguments;
}

std::string described(const lr_tensor& tensor) {
  std::string text = std::string(tensor.name) + ": type " + std::to_string(tensor.dtype) + " [";
  for (int axis = 0; axis < tensor.rank; ++axis) text += (axis == 0 ? "" : ", ") + std::to_string(tensor.dims[axis]);
  return text + (tensor.rank < 0 ? "?]" : "]");
}

std::vector<char> read(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) fail(path + " cannot be opened");
  std::vector<char> bytes;
  char chunk[1 << 16];
  for (size_t size = 1; size != 0;) {
    size = std::fread(chunk, 1, sizeof chunk, file);
    bytes.insert(bytes.end(), chunk, chunk + size);
  }
  std::fclose(file);
  return bytes;
}

void write(const std::string& path, const void* data, size_t size) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  const bool written = file != nullptr && std::fwrite(data, 1, size, file) == size;
  if (file == nullptr || std::fclose(file) != 0 || !written) fail(path + " cannot be written");
}

void set_inputs(lr_session* session, const std::vector<std::string>& files) {
  const size_t count = lr_session_input_count(session);
  if (!files.empty() && files.size() != count) {
    fail("the model has " + std::to_string(count) + " inputs, but --input was given " + std::to_string(files.size()) +
         " times");
  }
  for (size_t i = 0; i < count; ++i) {
    lr_tensor tensor;
    require(lr_session_input(session, i, &tensor));
    std::printf("input %s\n", described(tensor).c_str());
    const std::vector<char> bytes = files.empty() ? std::vector<char>(tensor.bytes) : read(files[i]);
    require(lr_session_set_input(session, i, bytes.data(), bytes.size()));
  }
}

void run(lr_session* session, int repeat) {
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) {
    const auto start = std::chrono::steady_clock::now();
    require(lr_session_run(session));
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%d runs: %.3f ms at least, %.3f ms median\n", repeat, times.front(), times[times.size() / 2]);
}

void show_largest(const lr_tensor& tensor) {
  const float* values = static_cast<const float*>(tensor.data);
  std::vector<size_t> order(tensor.bytes / sizeof(float));
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const size_t shown = std::min(kShown, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
                    [&](size_t a, size_t b) { return values[a] > values[b] || (values[a] == values[b] && a < b); });
  for (size_t i = 0; i < shown; ++i) std::printf("  %zu: %g\n", order[i], static_cast<double>(values[order[i]]));
}

void show_outputs(lr_session* session, const std::string& prefix) {
  for (size_t i = 0; i < lr_session_output_count(session); ++i) {
    lr_tensor tensor;
    require(lr_session_output(session, i, &tensor));
    std::printf("output %s\n", described(tensor).c_str());
    if (tensor.dtype == kFloat32) show_largest(tensor);
    if (!prefix.empty()) write(prefix + std::to_string(i), tensor.data, tensor.bytes);
  }
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments = parse(count, words);
  lr_model* model = nullptr;
  lr_session* session = nullptr;
  lr_options options = {};
  options.struct_size = sizeof options;
  options.threads = arguments.threads;
  require(lr_model_load_file(arguments.model.c_str(), &model));
  require(lr_session_create(model, &options, &session));
  std::printf("lite-runtime %s, %s\n", lr_version(), lr_isa());
  set_inputs(session, arguments.inputs);
  run(session, arguments.repeat);
  show_outputs(session, arguments.output);
  lr_session_free(session);
  lr_model_free(model);
  return 0;
}
