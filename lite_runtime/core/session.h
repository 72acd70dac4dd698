// A model being run by one caller: threads, memory and one frame per active (sub-)graph.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frame.h"

namespace lr {

struct SessionOptions {
  int threads = 0;  // 0: as many as the process may use
  bool infer_only = false;
#if defined(LR_HALF)
  bool half = false;  // compute in float16, where the CPU does and the model suits
#endif
  std::vector<int> cores;
};

// What frames share. Sub-graph frames are kept for reuse.
struct SessionState {
  SessionState(std::shared_ptr<Model> model, const SessionOptions& options);

  std::shared_ptr<Model> model;
  ThreadPool pool;
  BufferPool buffers;
  std::vector<std::vector<std::unique_ptr<Frame>>> idle_frames;  // by graph
  std::map<uint32_t, Buffer> variables;                          // by file index, from the first use on
  int depth = 0;                                                 // of nested calls

  // The storage of a variable, which all graphs share.
  Buffer variable(uint32_t file_index);
  // Gives all variables their initial values.
  void reset_variables();
  // Runs a closure with extra arguments, following tail calls; returns the outputs of the last graph.
  std::vector<OwnedTensor> call(std::shared_ptr<const Closure> closure, std::vector<OwnedTensor> arguments);
};

class Session {
 public:
  Session(std::shared_ptr<Model> model, const SessionOptions& options);

  size_t input_count() const { return main_.graph().inputs.size(); }
  size_t output_count() const { return main_.graph().outputs.size(); }
  size_t tensor_count() const { return state_.model->tensors().size(); }
  const TensorDef& definition(uint32_t file_index) const { return state_.model->tensors()[file_index]; }
  Frame& main() { return main_; }
  const Frame& main() const { return main_; }

  void resize(const std::vector<Shape>& shapes);
  void set_input(size_t index, const void* data, size_t bytes);
  void run(const Observers& observers);
  void reset_variables() { state_.reset_variables(); }
  size_t arena_bytes() const;  // of the main graph and of the sub-graphs run so far
  Model& model() { return *state_.model; }
  bool ready() const { return ready_; }  // all input shapes are known
#if defined(LR_HALF)
  // Whether the next run computes in float16.
  bool uses_half() const { return main_.uses_half() && exact_ == nullptr; }
#endif

 private:
  void plan(const std::vector<Shape>& shapes, bool infer_only);
#if defined(LR_HALF)
  bool suits_half() const;
  void run_half(const Observers& observers);
  std::unique_ptr<Frame> exact_;  // the main graph in float32, once float16 has overflowed
#endif
  SessionState state_;
  Frame main_;
  std::vector<DType> input_dtypes_;
  bool infer_only_;
  bool ready_ = false;
};

// Cores to bind threads to: mode 1 big cores first, 2 little cores first, 0 none.
std::vector<int> cores_by_speed(int mode);

}  // namespace lr
