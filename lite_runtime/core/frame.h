// One graph with its tensors, ready to run: the plan for given input shapes, and its execution.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "function_ref.h"
#include "kernels/half.h"
#include "memory.h"
#include "op.h"

namespace lr {

struct SessionState;
class Arena;

// A sub-graph with the values captured for its first inputs: what PartialFusion makes and Call runs.
struct Closure;

// A tensor whose storage is kept alive by itself, independent of any frame.
struct OwnedTensor {
  Tensor tensor;
  Buffer storage;
  std::shared_ptr<const Closure> closure;
};

struct Closure {
  size_t graph = 0;
  std::vector<OwnedTensor> captured;
};

using NodeObserver = FunctionRef<void(size_t node_index, const Node& node, double seconds)>;

// Told of a run as it goes; without them nothing is measured.
struct Observers {
  // After each node, when its results are there; what another node did for it is in the time of the two.
  NodeObserver node;
  // After each node that does work, with its own time and that of what it took over.
  NodeObserver step;
};

class Frame {
 public:
  Frame(SessionState& session, size_t graph);
#if defined(LR_HALF)
  // Whether the next plan is one in float16, where that suits.
  void use_half(bool half) { half_ = half; }
  bool uses_half() const { return half_; }
  // Whether the shapes of this plan are all known.
  bool is_static() const;
#endif
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  // Infers all shapes it can for these inputs, prepares operators and lays out memory. With infer_only it
  // stops after the shapes. Throws lr::Error naming the node.
  void plan(const std::vector<DType>& dtypes, const std::vector<Shape>& shapes, bool infer_only);
  bool planned_for(const std::vector<DType>& dtypes, const std::vector<Shape>& shapes) const;

  // Runs all nodes. When the graph ends in a tail call, its target is returned instead of outputs.
  std::shared_ptr<const Closure> run(const Observers& observers);

  const GraphDef& graph() const { return *graph_; }
  Tensor& tensor(uint32_t file_index) { return slots_[local(file_index)].tensor; }
  bool contains(uint32_t file_index) const { return local_index_[file_index] >= 0; }
  // Shapes that depend on values are known only after a run.
  bool shape_known(uint32_t file_index) const;
  // The input's memory, to be filled before run(); part of the plan.
  Tensor& input(size_t i) { return tensor(graph_->inputs[i]); }
  size_t arena_bytes() const { return arena_bytes_; }
  // Output i with storage that outlives the frame's next run.
  OwnedTensor take_output(size_t i);

 private:
  enum class State { kRunTime, kStatic };
  enum class Kind { kOperator, kPartial, kSwitch, kCall };

  struct Slot {
    Tensor tensor;
    State state = State::kRunTime;
    int block = -1;  // arena block of static tensors
    // A part of another slot, from this byte on, which it shares the block with.
    int whole = -1;
    size_t offset = 0;
    Buffer storage;  // of constants folded at plan time and of run-time tensors
    std::shared_ptr<const Closure> closure;
  };

  // Steps that are run together, band of rows by band of rows (chain.cc).
  struct Step;
  struct Chain {
    static constexpr size_t kMostSteps = 3;
    std::vector<Step*> steps;
    int64_t parts = 1;  // of the last result's rows, one for each thread
    int64_t band = 0;   // of the last result's rows
    // A thread's buffers for the rows of each result but the last: where they begin in its memory.
    size_t buffers[kMostSteps] = {}, thread_bytes = 0;
    int block = -1;          // of the arena, for all threads
    char* memory = nullptr;  // there

    ByRows& op(size_t i) const;
    size_t row_bytes(size_t i) const;  // of a result
    int64_t choose_band();
    void walk(int64_t part, FunctionRef<void(size_t, int64_t, int64_t, int64_t)> compute) const;
    void run(int64_t part, char* memory) const;
  };

  struct Step {
    Kind kind = Kind::kOperator;
    uint32_t node_index = 0;
    Node node;
    std::unique_ptr<Op> op;
    std::vector<uint32_t> in, out;  // slots
    std::vector<uint32_t> release;  // slots whose run-time storage is last read here
    bool at_run_time = false;       // shapes are inferred while running
    bool done = false;              // computed at plan time, a view, or absorbed: nothing to run
    // The later step whose work this one does as well; of a multiplication the one that does its work.
    Step* absorbed = nullptr;
    double seconds = 0;  // in the present run, of the step that absorbed this one
    int scratch_block = -1;
    size_t first = 0, last = 0;       // the chain's steps, or this one alone
    std::unique_ptr<Chain> chain;     // of which this is the first
    std::vector<Shape> prepared_for;  // shapes seen by the last prepare (run-time steps)

    ByRows* by_rows() const { return op->row_work(node).by_rows; }
    // It is then neither prepared nor run: beside a dimension of 0 others may be absurdly large.
    bool writes_nothing() const {
      return std::all_of(node.out.begin(), node.out.end(), [](const Tensor* t) { return t->count() == 0; });
    }
  };

  uint32_t local(uint32_t file_index) const { return static_cast<uint32_t>(local_index_[file_index]); }
  void index_tensors();
  void build_steps();
  void reset(const std::vector<DType>& dtypes, const std::vector<Shape>& shapes);
  void infer(Step& step, bool infer_only);
  bool can_compute_now(const Step& step, bool infer_only) const;
  void compute_now(Step& step);
  void absorb_elementwise();
  void absorb_scales();
  bool try_absorb(size_t into, size_t later, uint32_t through, const Elementwise& what);
  void find_releases();
  void prepare(Step& step);
  void place_parts();
  void find_chains();
  bool can_chain(const Step& step) const;
  size_t next_in_chain(size_t s, const std::vector<size_t>& reads) const;
  void run_chain(Step& head);
  std::vector<size_t> count_reads() const;
  void prepare_and_lay_out();
  void tell(const Observers& observers, Step& step, double seconds);
  void run_operator(Step& step);
  void infer_and_run(Step& step);
  void share_or_copy_view(Step& step);
  void run_control(Step& step);
  void call(Step& step);
  std::shared_ptr<const Closure> closure_of(const Step& step, size_t input) const;
  OwnedTensor owned(uint32_t slot);
  // Runs body; errors get the model's, operator's and node's name in front.
  void guarded(const Step& step, FunctionRef<void()> body) const;

  SessionState& session_;
  const GraphDef* graph_;
  std::vector<int64_t> local_index_;  // by file index; -1 when not part of this graph
  std::vector<Slot> slots_;
  std::vector<Step> steps_;
  Buffer arena_;
  size_t arena_bytes_ = 0;
#if defined(LR_HALF)
  bool half_ = false;
#endif
  bool ends_in_tail_call_ = false;
  bool planned_ = false;
  std::vector<DType> planned_dtypes_;
  std::vector<Shape> planned_shapes_;
};

}  // namespace lr
