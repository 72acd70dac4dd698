// LSTM and GRU.
//
// The input's share of all gates of all time steps is one matrix product; a step then adds the state's
// share. Gates are kept in ONNX order, LSTM i, o, f, c and GRU z, r, h, so that those with a sigmoid are
// neighbours.
#include <algorithm>
#include <cstdint>

#include "ops/gemm.h"

namespace lr {

namespace {

// One direction of one layer.
struct Cell {
  int64_t layer, direction;
};

// Where the parameters of one gate lie: input weights [hidden, input], state weights [hidden, hidden] and
// up to two biases.
struct GateWeights {
  const float* input = nullptr;
  const float* state = nullptr;
  const float* bias[2] = {nullptr, nullptr};
};

class Recurrent : public Op {
 public:
  explicit Recurrent(int64_t gates) : gates_(gates) {}
  void prepare(Node& node) override;
  void run(Node& node) override;

 protected:
  virtual GateWeights gate(const Node& node, const Cell& cell, int64_t gate) const = 0;
  // Gates whose state share is computed by one product; the others follow in a product of their own.
  virtual int64_t gates_at_once() const = 0;
  virtual std::vector<size_t> weight_inputs() const = 0;
  // Turns gates [batch, gates * hidden] (the input's share) and the state's share of the first gates into
  // the new state, in place.
  virtual void step(const Node& node, const float* packed_state, float* gates, float* h, float* c) const = 0;

  // input, weights and state shapes as in ONNX; sets the geometry and output shapes.
  void infer_onnx(Node& node, size_t states, bool bidirectional);
  void set_geometry(const Node& node, int64_t hidden, bool bidirectional, int64_t layers);
  void expect_shape(const Node& node, size_t input, const Shape& shape) const;

  int64_t input_width(int64_t layer) const { return layer == 0 ? input_ : directions_ * hidden_; }
  int64_t width() const { return gates_ * hidden_; }
  // result = rows of `a` times packed weights; all of `batch_` rows of hidden_ floats.
  void multiply_state(const Node& node, const GemmTiles& tiles, const float* a, const float* packed,
                      int64_t columns) const;
  const float* state_share(const Node& node) const { return Workspace::at<float>(node, state_share_); }
  // Memory for [batch, hidden] values during a step.
  float* spare(const Node& node) const { return Workspace::at<float>(node, spare_); }

  const int64_t gates_;
  int64_t steps_ = 0, batch_ = 0, input_ = 0, hidden_ = 0, directions_ = 1, layers_ = 1;
  bool directions_inside_ = false;  // y is [steps, batch, directions * hidden], else [steps, directions, batch, hidden]
  size_t h0_ = 0, c0_ = 0;          // inputs holding the initial states; 0: none
  GemmTiles first_state_, rest_state_;

 private:
  GemmShape input_product(int64_t layer) const { return {1, steps_ * batch_, 1, input_width(layer), width()}; }
  GemmShape first_product() const { return {1, batch_, 1, hidden_, gates_at_once() * hidden_}; }
  GemmShape rest_product() const { return {1, batch_, 1, hidden_, (gates_ - gates_at_once()) * hidden_}; }
  int64_t packed_floats(int64_t layer) const {
    return input_product(layer).packed_floats() + first_product().packed_floats() + rest_product().packed_floats();
  }
  void pack(const Node& node, float* packed) const;
  void pack_cell(const Node& node, const Cell& cell, float* packed) const;
  float* initial_state(const Node& node, size_t output, size_t input, size_t spare, int64_t index) const;
  void run_cell(const Node& node, const Cell& cell, const float* x, const float* packed, float* y, int64_t step_stride,
                int64_t row_stride) const;

  PackedWeights weights_;
  size_t pointers_ = 0, gate_values_ = 0, state_share_ = 0, spare_ = 0, states_ = 0, between_ = 0;
};

void Recurrent::set_geometry(const Node& node, int64_t hidden, bool bidirectional, int64_t layers) {
  const Shape& x = node.in[0]->shape;
  for (size_t i = 0; i < node.inputs(); ++i) {
    if (i != 5 || gates_ != 3) node.expect_dtype(i, DType::kFloat32);  // a GRU's input 5 is integer
  }
  if (x.rank() != 3) node.invalid("input 0 has shape %s; it needs 3 dimensions (time, batch, input)", x.str().c_str());
  steps_ = x[0];
  batch_ = x[1];
  input_ = x[2];
  hidden_ = hidden;
  directions_ = bidirectional ? 2 : 1;
  layers_ = layers;
  constexpr int64_t kMaxHidden = INT32_MAX, kMaxLayers = 1024;
  if (hidden_ < 1 || hidden_ > kMaxHidden || layers_ < 1 || layers_ > kMaxLayers) {
    node.invalid("hidden size %lld or number of layers %lld is out of range", static_cast<long long>(hidden_),
                 static_cast<long long>(layers_));
  }
  Shape{layers_, directions_, gates_, hidden_, std::max(input_, directions_ * hidden_)}.count();  // is in range
}

void Recurrent::expect_shape(const Node& node, size_t input, const Shape& shape) const {
  if (!node.has(input) || node.in[input]->shape == shape) return;
  node.invalid("input %zu has shape %s; it needs %s", input, node.in[input]->shape.str().c_str(), shape.str().c_str());
}

// (x, w [D, G*H, I], r [D, G*H, H][, b [D, 2*G*H]][, states [D, B, H] each]).
void Recurrent::infer_onnx(Node& node, size_t states, bool bidirectional) {
  const Shape& r = node.in[2]->shape;
  if (r.rank() != 3) node.invalid("input 2 has shape %s; it needs 3 dimensions", r.str().c_str());
  set_geometry(node, r[2], bidirectional, 1);
  expect_shape(node, 1, {directions_, width(), input_});
  expect_shape(node, 2, {directions_, width(), hidden_});
  expect_shape(node, 3, {directions_, 2 * width()});
  for (size_t i = 4; i < 4 + states; ++i) expect_shape(node, i, {directions_, batch_, hidden_});
  directions_inside_ = false;
  h0_ = node.has(4) ? 4 : 0;
  c0_ = states > 1 && node.has(5) ? 5 : 0;
  node.set_out(0, DType::kFloat32, {steps_, directions_, batch_, hidden_});
  for (size_t i = 1; i <= states; ++i) node.set_out(i, DType::kFloat32, {directions_, batch_, hidden_});
}

void Recurrent::prepare(Node& node) {
  const int threads = node.pool->threads();
  Workspace workspace;
  int64_t total = 0;
  for (int64_t layer = 0; layer < layers_; ++layer) total += directions_ * packed_floats(layer);
  const size_t bytes = static_cast<size_t>(Shape{total}.count()) * sizeof(float);
  weights_.prepare(node, weight_inputs(), "cells", bytes, workspace, [&](float* packed) { pack(node, packed); });
  first_state_ = GemmTiles(first_product(), threads);
  rest_state_ = GemmTiles(rest_product(), threads);
  pointers_ = workspace.add(first_state_.pointer_bytes(threads));  // the same for all products: one tap
  gate_values_ = workspace.add<float>(Shape{steps_, batch_, width()}.count());
  state_share_ = workspace.add<float>(Shape{batch_, width()}.count());
  spare_ = workspace.add<float>(Shape{batch_, hidden_}.count());
  states_ = workspace.add<float>(Shape{2, batch_, hidden_}.count());
  const int64_t layer_output = Shape{steps_, batch_, directions_, hidden_}.count();
  if (layers_ > 1) between_ = workspace.add<float>(2 * layer_output);
  workspace.reserve(node);
}

void Recurrent::pack(const Node& node, float* packed) const {
  for (int64_t layer = 0; layer < layers_; ++layer) {
    for (int64_t direction = 0; direction < directions_; ++direction, packed += packed_floats(layer)) {
      pack_cell(node, {layer, direction}, packed);
    }
  }
}

void Recurrent::pack_cell(const Node& node, const Cell& cell, float* packed) const {
  const int64_t in = input_width(cell.layer);
  std::vector<float> input, state, bias;  // all gates, one below the other
  for (int64_t g = 0; g < gates_; ++g) {
    const GateWeights w = gate(node, cell, g);
    input.insert(input.end(), w.input, w.input + hidden_ * in);
    state.insert(state.end(), w.state, w.state + hidden_ * hidden_);
    for (int64_t i = 0; i < hidden_; ++i) {
      bias.push_back((w.bias[0] == nullptr ? 0.f : w.bias[0][i]) + (w.bias[1] == nullptr ? 0.f : w.bias[1][i]));
    }
  }
  const auto columns = static_cast<size_t>(in), depth = static_cast<size_t>(hidden_);
  const auto first = static_cast<size_t>(gates_at_once() * hidden_), all = static_cast<size_t>(width());
  pack_gemm_f32(input.data(), 0, 1, columns, bias.data(), 1, columns, all, packed);
  packed += input_product(cell.layer).packed_floats();
  pack_gemm_f32(state.data(), 0, 1, depth, nullptr, 1, depth, first, packed);
  packed += first_product().packed_floats();
  pack_gemm_f32(state.data() + first * depth, 0, 1, depth, nullptr, 1, depth, all - first, packed);
}

void Recurrent::run(Node& node) {
  const float* packed = weights_.get(node, [&](float* to) { pack(node, to); });
  const float* x = node.in[0]->as<float>();
  const int64_t layer_output = steps_ * batch_ * directions_ * hidden_;
  for (int64_t layer = 0; layer < layers_; ++layer) {
    const bool last = layer + 1 == layers_;
    float* y = last ? node.out[0]->as<float>() : Workspace::at<float>(node, between_) + layer % 2 * layer_output;
    // Between layers the directions lie side by side.
    const bool inside = directions_inside_ || !last;
    for (int64_t direction = 0; direction < directions_; ++direction, packed += packed_floats(layer)) {
      const int64_t row_stride = inside ? directions_ * hidden_ : hidden_;
      float* to = y + direction * (inside ? hidden_ : batch_ * hidden_);
      run_cell(node, {layer, direction}, x, packed, to, directions_ * batch_ * hidden_, row_stride);
    }
    x = y;
  }
}

// The memory of a state, in the output that returns it if there is one, set to its initial value.
float* Recurrent::initial_state(const Node& node, size_t output, size_t input, size_t spare, int64_t index) const {
  const int64_t count = batch_ * hidden_;
  float* state = output < node.out.size() ? node.out[output]->as<float>() + index * count
                                          : Workspace::at<float>(node, states_) + static_cast<int64_t>(spare) * count;
  if (input == 0) {
    std::fill(state, state + count, 0.f);
  } else {
    const float* from = node.in[input]->as<float>() + index * count;
    std::copy(from, from + count, state);
  }
  return state;
}

void Recurrent::run_cell(const Node& node, const Cell& cell, const float* x, const float* packed, float* y,
                         int64_t step_stride, int64_t row_stride) const {
  const int64_t in = input_width(cell.layer), index = cell.layer * directions_ + cell.direction;
  float* gates = Workspace::at<float>(node, gate_values_);
  const GemmTiles tiles(input_product(cell.layer), node.pool->threads());
  tiles.run(
      node, Epilogue(), static_cast<size_t>(width()), Workspace::at<const float*>(node, pointers_),
      [&](int64_t) { return std::pair(packed, gates); },
      [&](int64_t, int64_t row, size_t rows, const float** a) {
        for (size_t r = 0; r < rows; ++r) a[r] = x + (row + static_cast<int64_t>(r)) * in;
      });
  packed += input_product(cell.layer).packed_floats();
  float* h = initial_state(node, 1, h0_, 0, index);
  float* c = gates_ == 4 ? initial_state(node, 2, c0_, 1, index) : nullptr;
  for (int64_t i = 0; i < steps_; ++i) {
    const int64_t t = cell.direction == 0 ? i : steps_ - 1 - i;
    multiply_state(node, first_state_, h, packed, gates_at_once() * hidden_);
    step(node, packed + first_product().packed_floats(), gates + t * batch_ * width(), h, c);
    for (int64_t b = 0; b < batch_; ++b) {
      std::copy(h + b * hidden_, h + (b + 1) * hidden_, y + t * step_stride + b * row_stride);
    }
  }
}

void Recurrent::multiply_state(const Node& node, const GemmTiles& tiles, const float* a, const float* packed,
                               int64_t columns) const {
  float* to = Workspace::at<float>(node, state_share_);
  tiles.run(
      node, Epilogue(), static_cast<size_t>(columns), Workspace::at<const float*>(node, pointers_),
      [&](int64_t) { return std::pair(packed, to); },
      [&](int64_t, int64_t row, size_t rows, const float** pointers) {
        for (size_t r = 0; r < rows; ++r) pointers[r] = a + (row + static_cast<int64_t>(r)) * hidden_;
      });
}

// Two storages: that of ONNX, and that of MindSpore, (x, h0, c0, all weights in one tensor).
class Lstm : public Recurrent {
 public:
  Lstm() : Recurrent(4) {}

  void infer(Node& node) override {
    const auto* attr = node.attr<schema::LSTM>();
    node.expect_inputs(3, 6);
    if (attr->proj_size() != 0)
      node.unsupported("proj_size=%lld is not offered", static_cast<long long>(attr->proj_size()));
    if (attr->zoneout_cell() != 0 || attr->zoneout_hidden() != 0) node.unsupported("zoneout is not offered");
    flat_ = node.inputs() == 4 && node.in[3]->shape.rank() != 2;
    if (!flat_) return infer_onnx(node, 2, attr->bidirectional());
    set_geometry(node, attr->hidden_size(), attr->bidirectional(), std::max<int64_t>(1, attr->num_layers()));
    const Shape state{layers_ * directions_, batch_, hidden_};
    expect_shape(node, 1, state);
    expect_shape(node, 2, state);
    directions_inside_ = true;
    h0_ = 1;
    c0_ = 2;
    read_storage(node);
    node.set_out(0, DType::kFloat32, {steps_, batch_, directions_ * hidden_});
    node.set_out(1, DType::kFloat32, state);
    node.set_out(2, DType::kFloat32, state);
    for (size_t i = 3; i < node.out.size(); ++i) node.set_out(i, DType::kFloat32, {0});  // of use in training only
  }

 private:
  // Tells from the number of weights how many biases there are.
  void read_storage(const Node& node) {
    const int64_t cells = layers_ * directions_;
    weights_count_ = 0;
    for (int64_t layer = 0; layer < layers_; ++layer) {
      weights_count_ += directions_ * width() * (input_width(layer) + hidden_);
    }
    const int64_t rest = node.in[3]->count() - weights_count_;
    biases_ = rest / (cells * width());
    if (rest < 0 || rest % (cells * width()) != 0 || biases_ > 2) {
      node.invalid("input 3 holds %lld values; %lld weights and 0, 1 or 2 times %lld biases are needed",
                   static_cast<long long>(node.in[3]->count()), static_cast<long long>(weights_count_),
                   static_cast<long long>(cells * width()));
    }
  }

  GateWeights gate(const Node& node, const Cell& cell, int64_t gate) const override {
    GateWeights w;
    if (!flat_) {
      const int64_t row = cell.direction * width() + gate * hidden_;
      w.input = node.in[1]->as<float>() + row * input_;
      w.state = node.in[2]->as<float>() + row * hidden_;
      for (int64_t i = 0; i < 2 && node.has(3); ++i) {
        w.bias[i] = node.in[3]->as<float>() + (2 * cell.direction + i) * width() + gate * hidden_;
      }
      return w;
    }
    // MindSpore keeps the gates as i, f, c, o.
    constexpr int64_t kPlace[] = {0, 3, 1, 2};
    const float* all = node.in[3]->as<float>();
    const int64_t row = kPlace[gate] * hidden_, number = cell.layer * directions_ + cell.direction;
    int64_t inputs_before = 0, inputs = 0;
    for (int64_t layer = 0; layer < layers_; ++layer) {
      inputs += directions_ * input_width(layer);
      if (layer < cell.layer) inputs_before += directions_ * input_width(layer);
    }
    inputs_before += cell.direction * input_width(cell.layer);
    // One bias or none: all input weights, then all state weights. Two: cell by cell.
    const bool by_cell = biases_ == 2;
    const int64_t input_at = width() * (inputs_before + (by_cell ? number * hidden_ : 0));
    const int64_t state_at =
        by_cell ? input_at + width() * input_width(cell.layer) : width() * (inputs + number * hidden_);
    w.input = all + input_at + row * input_width(cell.layer);
    w.state = all + state_at + row * hidden_;
    for (int64_t i = 0; i < biases_; ++i) {
      w.bias[i] = all + weights_count_ + (number * biases_ + i) * width() + row;
    }
    return w;
  }

  int64_t gates_at_once() const override { return 4; }
  std::vector<size_t> weight_inputs() const override {
    if (flat_) return {3};
    return {1, 2, 3};
  }

  void step(const Node& node, const float*, float* gates, float* h, float* c) const override {
    const Kernels& k = kernels();
    const float* share = state_share(node);
    const auto n = static_cast<size_t>(hidden_);
    for (int64_t b = 0; b < batch_; ++b) {
      float *g = gates + b * width(), *i = g, *o = g + n, *f = g + 2 * n, *candidate = g + 3 * n;
      float *state = c + b * hidden_, *out = h + b * hidden_;
      k.binary.add.vv(g, share + b * width(), g, 4 * n);
      k.unary.sigmoid(g, g, 3 * n, 0.f, 0.f);
      k.unary.tanh(candidate, candidate, n, 0.f, 0.f);
      k.binary.mul.vv(i, candidate, candidate, n);
      k.binary.mul.vv(f, state, state, n);
      k.binary.add.vv(state, candidate, state, n);
      k.unary.tanh(state, candidate, n, 0.f, 0.f);
      k.binary.mul.vv(o, candidate, out, n);
    }
  }

  bool flat_ = false;
  int64_t weights_count_ = 0, biases_ = 0;
};

// (x, w, r, b, h0[, sequence length]) as in ONNX, where the reset gate is applied to the state before the
// product.
class Gru : public Recurrent {
 public:
  Gru() : Recurrent(3) {}

  void infer(Node& node) override {
    node.expect_inputs(3, 6);
    infer_onnx(node, 1, node.attr<schema::GRU>()->bidirectional());
    if (!node.has(5)) return;
    for (int64_t length : node.ints(5)) {
      if (length != steps_) node.unsupported("sequences of different length are not offered");
    }
  }

 private:
  GateWeights gate(const Node& node, const Cell& cell, int64_t gate) const override {
    GateWeights w;
    const int64_t row = cell.direction * width() + gate * hidden_;
    w.input = node.in[1]->as<float>() + row * input_;
    w.state = node.in[2]->as<float>() + row * hidden_;
    for (int64_t i = 0; i < 2 && node.has(3); ++i) {
      w.bias[i] = node.in[3]->as<float>() + (2 * cell.direction + i) * width() + gate * hidden_;
    }
    return w;
  }

  int64_t gates_at_once() const override { return 2; }
  std::vector<size_t> weight_inputs() const override { return {1, 2, 3}; }

  void step(const Node& node, const float* packed, float* gates, float* h, float*) const override {
    const Kernels& k = kernels();
    const float* share = state_share(node);
    float* reset = spare(node);
    const auto n = static_cast<size_t>(hidden_);
    for (int64_t b = 0; b < batch_; ++b) {
      float* g = gates + b * width();
      k.binary.add.vv(g, share + b * 2 * hidden_, g, 2 * n);
      k.unary.sigmoid(g, g, 2 * n, 0.f, 0.f);
      k.binary.mul.vv(g + n, h + b * hidden_, reset + b * hidden_, n);
    }
    multiply_state(node, rest_state_, reset, packed, hidden_);
    for (int64_t b = 0; b < batch_; ++b) {
      float *z = gates + b * width(), *candidate = z + 2 * n, *state = h + b * hidden_;
      k.binary.add.vv(candidate, share + b * hidden_, candidate, n);
      k.unary.tanh(candidate, candidate, n, 0.f, 0.f);
      k.binary.sub.vv(state, candidate, state, n);
      k.binary.mul.vv(state, z, state, n);
      k.binary.add.vv(state, candidate, state, n);
    }
  }
};

LR_REGISTER_OP(LSTM, Lstm)
LR_REGISTER_OP(GRU, Gru)

}  // namespace
}  // namespace lr
