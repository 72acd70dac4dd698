// LSTM and GRU.
//
// The input's share of all gates of all time steps is one matrix product; a step then adds the state's
// share. Gates are kept in ONNX order, LSTM i, o, f, c and GRU z, r, h, so that those with a sigmoid are
// neighbours.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/workspace.h"

namespace lr {

// One direction of one layer.
struct Cell {
  int64_t layer, direction;
};

// The input that holds the biases.
constexpr size_t kBiases = 3;

// A matrix [gates * hidden, k] of weights, the rows of some gates of a cell, and the biases of its products.
struct GateMatrix {
  std::string name;  // among the matrices of the node
  size_t input = 0;  // the node's that holds the weights
  int64_t rows = 0;  // that are multiplied with it at once
  int64_t hidden = 0, k = 0;
  std::vector<int64_t> gates = {};                // the elements of the input that they begin with
  std::vector<std::vector<int64_t>> biases = {};  // those of kBiases that each gate's biases begin with; they add up

  int64_t n() const { return static_cast<int64_t>(gates.size()) * hidden; }
  // The element that row `row` begins with.
  int64_t row(int64_t row) const { return gates[static_cast<size_t>(row / hidden)] + row % hidden * k; }
  // The sum of its biases; value(i) is element i of kBiases.
  template <class Value>
  float bias(int64_t row, const Value& value) const {
    float sum = 0.f;
    if (biases.empty()) return sum;
    for (const int64_t at : biases[static_cast<size_t>(row / hidden)]) sum += value(at + row % hidden);
    return sum;
  }
};

// What multiplies with a GateMatrix.
class GateProduct {
 public:
  virtual ~GateProduct() = default;
  virtual void prepare(Node& node, Workspace& workspace) = 0;
  // Before the first product of a run.
  virtual void begin(const Node&) {}
  // c [rows, n] = a [rows, k] * the transposed matrix + biases.
  virtual void run(const Node& node, const float* a, float* c) const = 0;
};

class Recurrent : public Op {
 public:
  explicit Recurrent(int64_t gates) : gates_(gates) {}
  void prepare(Node& node) override;
  void run(Node& node) override;

 protected:
  // The elements with which the parameters of one gate begin: input weights [hidden, input], state weights
  // [hidden, hidden] and up to two biases.
  struct Gate {
    int64_t input, state;
    std::vector<int64_t> biases;
  };
  // As ONNX has them.
  virtual Gate gate(const Node& node, const Cell& cell, int64_t gate) const;
  // Gates whose state share is computed by one product; the others follow in a product of their own.
  virtual int64_t gates_at_once() const = 0;
  // Turns gates [batch, gates * hidden] (the input's share) and the state's share of the first gates into
  // the new state, in place. `rest`: the product of the other gates.
  virtual void step(const Node& node, const GateProduct* rest, float* gates, float* h, float* c) const = 0;
  // What multiplies with weights and the inputs it takes them from: floats.
  virtual std::unique_ptr<GateProduct> product(const Node& node, GateMatrix matrix);
  virtual void expect_weights(const Node& node, size_t input) const { node.expect_dtype(input, DType::kFloat32); }

  // input, weights and state shapes as in ONNX; sets the geometry and output shapes.
  void infer_onnx(Node& node, size_t states, bool bidirectional);
  void set_geometry(const Node& node, int64_t hidden, bool bidirectional, int64_t layers);
  void expect_shape(const Node& node, size_t input, const Shape& shape) const;

  int64_t input_width(int64_t layer) const { return layer == 0 ? input_ : directions_ * hidden_; }
  int64_t width() const { return gates_ * hidden_; }
  float* state_share(const Node& node) const { return Workspace::at<float>(node, state_share_); }
  // Memory for [batch, hidden] values during a step.
  float* spare(const Node& node) const { return Workspace::at<float>(node, spare_); }

  const int64_t gates_;
  int64_t steps_ = 0, batch_ = 0, input_ = 0, hidden_ = 0, directions_ = 1, layers_ = 1;
  bool directions_inside_ = false;  // y is [steps, batch, directions * hidden], else [steps, directions, batch, hidden]
  size_t input_weights_ = 1, state_weights_ = 2;  // inputs
  size_t h0_ = 0, c0_ = 0;                        // inputs holding the initial states; 0: none

 private:
  struct Products {
    std::unique_ptr<GateProduct> input, first_state, rest_state;  // the last one may be null
  };
  Products products(const Node& node, const Cell& cell);
  float* initial_state(const Node& node, size_t output, size_t input, size_t spare, int64_t index) const;
  void run_cell(const Node& node, const Cell& cell, const float* x, float* y, int64_t step_stride, int64_t row_stride);

  std::vector<Products> cells_;
  size_t gate_values_ = 0, state_share_ = 0, spare_ = 0, states_ = 0, between_ = 0;
};

// Two storages: that of ONNX, and that of MindSpore, (x, h0, c0, all weights in one tensor).
class Lstm : public Recurrent {
 public:
  Lstm() : Recurrent(4) {}
  // Whether the storage is MindSpore's, by the number of inputs and the rank of the last of four.
  static bool is_flat(size_t inputs, int rank) { return inputs == 4 && rank != 2; }
  void infer(Node& node) override;

 protected:
  Gate gate(const Node& node, const Cell& cell, int64_t gate) const override;
  int64_t gates_at_once() const override { return 4; }
  void step(const Node& node, const GateProduct* rest, float* gates, float* h, float* c) const override;

 private:
  void read_storage(const Node& node);

  bool flat_ = false;
  int64_t weights_count_ = 0, bias_count_ = 0;
};

// (x, w, r, b, h0[, sequence length]) as in ONNX, where the reset gate is applied to the state before the
// product.
class Gru : public Recurrent {
 public:
  Gru() : Recurrent(3) {}
  static bool is_flat(size_t, int) { return false; }
  void infer(Node& node) override;

 protected:
  int64_t gates_at_once() const override { return 2; }
  void step(const Node& node, const GateProduct* rest, float* gates, float* h, float* c) const override;
};

}  // namespace lr
