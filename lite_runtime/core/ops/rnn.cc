#include "ops/rnn.h"

#include <algorithm>
#include <cstdint>

#include "ops/gemm.h"

namespace lr {

namespace {

class FloatProduct : public GateProduct {
 public:
  explicit FloatProduct(GateMatrix matrix) : m_(std::move(matrix)) {}

  void prepare(Node& node, Workspace& workspace) override {
    const int threads = node.pool->threads();
    const GemmShape shape{1, m_.rows, 1, m_.k, m_.n()};
    tiles_ = GemmTiles(shape, threads);
    pointers_ = workspace.add(tiles_.pointer_bytes(threads));
    std::vector<size_t> inputs{m_.input};
    if (!m_.biases.empty()) inputs.push_back(kBiases);
    const size_t bytes = static_cast<size_t>(Shape{shape.packed_floats()}.count()) * sizeof(float);
    weights_.prepare(node, inputs, m_.name, bytes, workspace, [&](float* to) { pack(node, to); });
  }

  void begin(const Node& node) override {
    packed_ = weights_.get(node, [&](float* to) { pack(node, to); });
  }

  void run(const Node& node, const float* a, float* c) const override {
    tiles_.run(
        node, Epilogue(), static_cast<size_t>(m_.n()), Workspace::at<const float*>(node, pointers_),
        [&](int64_t) { return std::pair(packed_, c); },
        [&](int64_t, int64_t row, size_t rows, const float** pointers) {
          for (size_t r = 0; r < rows; ++r) pointers[r] = a + (row + static_cast<int64_t>(r)) * m_.k;
        });
  }

 private:
  // Panel by panel.
  void pack(const Node& node, float* packed) const {
    const float* weights = node.in[m_.input]->as<float>();
    const float* biases = m_.biases.empty() ? nullptr : node.in[kBiases]->as<float>();
    const int64_t nr = static_cast<int64_t>(kernels().gemm_nr), n = m_.n();
    const auto k = static_cast<size_t>(m_.k);
    std::vector<float> rows(static_cast<size_t>(nr) * k), bias(static_cast<size_t>(nr));
    for (int64_t first = 0; first < n; first += nr, packed += nr * (1 + m_.k)) {
      const int64_t count = std::min(nr, n - first);
      for (int64_t j = 0; j < count; ++j) {
        const int64_t row = first + j;
        std::copy_n(weights + m_.row(row), k, rows.data() + j * m_.k);
        bias[static_cast<size_t>(j)] = m_.bias(row, [&](int64_t at) { return biases[at]; });
      }
      pack_gemm_f32(rows.data(), 0, 1, k, bias.data(), 1, k, static_cast<size_t>(count), packed);
    }
  }

  GateMatrix m_;
  GemmTiles tiles_;
  PackedWeights weights_;
  const float* packed_ = nullptr;
  size_t pointers_ = 0;
};

}  // namespace

std::unique_ptr<GateProduct> Recurrent::product(const Node&, GateMatrix matrix) {
  return std::make_unique<FloatProduct>(std::move(matrix));
}

void Recurrent::set_geometry(const Node& node, int64_t hidden, bool bidirectional, int64_t layers) {
  const Shape& x = node.in[0]->shape;
  for (size_t i = 0; i < node.inputs(); ++i) {
    if (i == input_weights_ || i == state_weights_ || i == kBiases) {
      expect_weights(node, i);
    } else if (i != 5 || gates_ != 3) {  // a GRU's input 5 is integer
      node.expect_dtype(i, DType::kFloat32);
    }
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

Recurrent::Gate Recurrent::gate(const Node& node, const Cell& cell, int64_t gate) const {
  const int64_t row = cell.direction * width() + gate * hidden_;
  Gate places{row * input_, row * hidden_, {}};
  for (int64_t i = 0; i < 2 && node.has(kBiases); ++i) {
    places.biases.push_back((2 * cell.direction + i) * width() + gate * hidden_);
  }
  return places;
}

Recurrent::Products Recurrent::products(const Node& node, const Cell& cell) {
  const long long index = cell.layer * directions_ + cell.direction;
  GateMatrix input{formatted("input of cell %lld", index), input_weights_, steps_ * batch_, hidden_,
                   input_width(cell.layer)};
  GateMatrix first{formatted("state of cell %lld", index), state_weights_, batch_, hidden_, hidden_};
  GateMatrix rest{first.name + ", rest", state_weights_, batch_, hidden_, hidden_};
  for (int64_t g = 0; g < gates_; ++g) {
    const Gate places = gate(node, cell, g);
    input.gates.push_back(places.input);
    if (!places.biases.empty()) input.biases.push_back(places.biases);
    (g < gates_at_once() ? first : rest).gates.push_back(places.state);
  }
  return {product(node, std::move(input)), product(node, std::move(first)),
          rest.gates.empty() ? nullptr : product(node, std::move(rest))};
}

// Cells are computed one after another, in the same scratch memory.
void Recurrent::prepare(Node& node) {
  Workspace common;
  gate_values_ = common.add<float>(Shape{steps_, batch_, width()}.count());
  state_share_ = common.add<float>(Shape{batch_, width()}.count());
  spare_ = common.add<float>(Shape{batch_, hidden_}.count());
  states_ = common.add<float>(Shape{2, batch_, hidden_}.count());
  const int64_t layer_output = Shape{steps_, batch_, directions_, hidden_}.count();
  if (layers_ > 1) between_ = common.add<float>(2 * layer_output);
  Workspace all = common;
  cells_.clear();
  for (int64_t i = 0; i < layers_ * directions_; ++i) {
    const Products& cell = cells_.emplace_back(products(node, {i / directions_, i % directions_}));
    Workspace own = common;
    for (const auto& product : {&cell.input, &cell.first_state, &cell.rest_state}) {
      if (*product != nullptr) (*product)->prepare(node, own);
    }
    all.cover(own);
  }
  all.reserve(node);
}

void Recurrent::run(Node& node) {
  const float* x = node.in[0]->as<float>();
  const int64_t layer_output = steps_ * batch_ * directions_ * hidden_;
  for (int64_t layer = 0; layer < layers_; ++layer) {
    const bool last = layer + 1 == layers_;
    float* y = last ? node.out[0]->as<float>() : Workspace::at<float>(node, between_) + layer % 2 * layer_output;
    // Between layers the directions lie side by side.
    const bool inside = directions_inside_ || !last;
    for (int64_t direction = 0; direction < directions_; ++direction) {
      const int64_t row_stride = inside ? directions_ * hidden_ : hidden_;
      float* to = y + direction * (inside ? hidden_ : batch_ * hidden_);
      run_cell(node, {layer, direction}, x, to, directions_ * batch_ * hidden_, row_stride);
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

void Recurrent::run_cell(const Node& node, const Cell& cell, const float* x, float* y, int64_t step_stride,
                         int64_t row_stride) {
  const int64_t index = cell.layer * directions_ + cell.direction;
  const Products& products = cells_[static_cast<size_t>(index)];
  for (const auto& product : {&products.input, &products.first_state, &products.rest_state}) {
    if (*product != nullptr) (*product)->begin(node);
  }
  float* gates = Workspace::at<float>(node, gate_values_);
  products.input->run(node, x, gates);
  float* h = initial_state(node, 1, h0_, 0, index);
  float* c = gates_ == 4 ? initial_state(node, 2, c0_, 1, index) : nullptr;
  for (int64_t i = 0; i < steps_; ++i) {
    const int64_t t = cell.direction == 0 ? i : steps_ - 1 - i;
    products.first_state->run(node, h, state_share(node));
    step(node, products.rest_state.get(), gates + t * batch_ * width(), h, c);
    for (int64_t b = 0; b < batch_; ++b) {
      std::copy(h + b * hidden_, h + (b + 1) * hidden_, y + t * step_stride + b * row_stride);
    }
  }
}

void Lstm::infer(Node& node) {
  const auto* attr = node.attr<schema::LSTM>();
  node.expect_inputs(3, 6);
  if (attr->proj_size() != 0)
    node.unsupported("proj_size=%lld is not offered", static_cast<long long>(attr->proj_size()));
  if (attr->zoneout_cell() != 0 || attr->zoneout_hidden() != 0) node.unsupported("zoneout is not offered");
  flat_ = is_flat(node.inputs(), node.in.back()->shape.rank());
  input_weights_ = flat_ ? 3 : 1;
  state_weights_ = flat_ ? 3 : 2;
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

// Tells from the number of weights how many biases there are.
void Lstm::read_storage(const Node& node) {
  const int64_t cells = layers_ * directions_;
  weights_count_ = 0;
  for (int64_t layer = 0; layer < layers_; ++layer) {
    weights_count_ += directions_ * width() * (input_width(layer) + hidden_);
  }
  const int64_t rest = node.in[3]->count() - weights_count_;
  bias_count_ = rest / (cells * width());
  if (rest < 0 || rest % (cells * width()) != 0 || bias_count_ > 2) {
    node.invalid("input 3 holds %lld values; %lld weights and 0, 1 or 2 times %lld biases are needed",
                 static_cast<long long>(node.in[3]->count()), static_cast<long long>(weights_count_),
                 static_cast<long long>(cells * width()));
  }
}

Recurrent::Gate Lstm::gate(const Node& node, const Cell& cell, int64_t gate) const {
  if (!flat_) return Recurrent::gate(node, cell, gate);
  // MindSpore keeps the gates as i, f, c, o.
  constexpr int64_t kPlace[] = {0, 3, 1, 2};
  const int64_t row = kPlace[gate] * hidden_, number = cell.layer * directions_ + cell.direction;
  int64_t inputs_before = 0, inputs = 0;
  for (int64_t layer = 0; layer < layers_; ++layer) {
    inputs += directions_ * input_width(layer);
    if (layer < cell.layer) inputs_before += directions_ * input_width(layer);
  }
  inputs_before += cell.direction * input_width(cell.layer);
  // One bias or none: all input weights, then all state weights. Two: cell by cell.
  const bool by_cell = bias_count_ == 2;
  const int64_t input_at = width() * (inputs_before + (by_cell ? number * hidden_ : 0));
  const int64_t state_at =
      by_cell ? input_at + width() * input_width(cell.layer) : width() * (inputs + number * hidden_);
  Gate places{input_at + row * input_width(cell.layer), state_at + row * hidden_, {}};
  for (int64_t i = 0; i < bias_count_; ++i) {
    places.biases.push_back(weights_count_ + (number * bias_count_ + i) * width() + row);
  }
  return places;
}

void Lstm::step(const Node& node, const GateProduct*, float* gates, float* h, float* c) const {
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

void Gru::infer(Node& node) {
  node.expect_inputs(3, 6);
  infer_onnx(node, 1, node.attr<schema::GRU>()->bidirectional());
  if (!node.has(5)) return;
  for (int64_t length : node.ints(5)) {
    if (length != steps_) node.unsupported("sequences of different length are not offered");
  }
}

void Gru::step(const Node& node, const GateProduct* rest, float* gates, float* h, float*) const {
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
  rest->run(node, reset, state_share(node));
  for (int64_t b = 0; b < batch_; ++b) {
    float *z = gates + b * width(), *candidate = z + 2 * n, *state = h + b * hidden_;
    k.binary.add.vv(candidate, share + b * hidden_, candidate, n);
    k.unary.tanh(candidate, candidate, n, 0.f, 0.f);
    k.binary.sub.vv(state, candidate, state, n);
    k.binary.mul.vv(state, z, state, n);
    k.binary.add.vv(state, candidate, state, n);
  }
}

LR_REGISTER_OP(LSTM, Lstm)
LR_REGISTER_OP(GRU, Gru)

}  // namespace lr
