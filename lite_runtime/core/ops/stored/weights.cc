#include "ops/stored/weights.h"

#include <algorithm>

namespace lr {
namespace {

// Up to so many rows are multiplied one by one, with weights expanded in registers.
constexpr int64_t kFewRows = 2;
constexpr size_t kMostColumns = 64, kMostRows = 32;  // of any tier's tile
constexpr int64_t kBlockBytes = 256 * 1024;          // as gemm.cc has them

bool any_offset(const StoredMatrix& matrix) {
  for (int64_t row = 0; row < matrix.n; ++row) {
    for (int64_t b = 0; b < matrix.blocks(); ++b) {
      const Affine a = matrix.affine(row, b);
      if (a.zero != matrix.middle || a.shift != 0.f) return true;
    }
  }
  return false;
}

}  // namespace

void StoredProduct::prepare(Node& node, int64_t rows, const StoredMatrix& matrix) {
  rows_ = rows;
  n_ = matrix.n;
  k_ = matrix.k;
  block_ = matrix.block;
  bits_ = matrix.bits;
  offsets_ = any_offset(matrix);
  const auto nr = static_cast<int64_t>(kernels().gemm_nr);
  panel_bytes_ =
      panel_q_bytes(static_cast<size_t>(k_), static_cast<size_t>(block_), bits_, offsets_, kernels().gemm_nr);
  const size_t bytes = static_cast<size_t>(panels()) * panel_bytes_;
  weights_ = node.packed("panels of integers", bytes, [&] {
    const DecodedInputs decoded(node, {1});
    Buffer buffer = allocate_buffer(bytes);
    auto* packed = static_cast<uint8_t*>(buffer.get());
    for (int64_t i = 0; i < panels(); ++i) pack(matrix, i * nr, packed + static_cast<size_t>(i) * panel_bytes_);
    return buffer;
  });
  // Rows that are read again for each block should be read seldom, but every thread have a block.
  const int64_t threads = node.pool->threads(), fitting = kBlockBytes / (panel_floats() * int64_t{sizeof(float)});
  const bool once = rows_ <= static_cast<int64_t>(kernels().gemm_mr);
  block_panels_ = once ? 1 : std::max<int64_t>(1, std::min(fitting, panels() / (threads == 1 ? 1 : 4 * threads)));
  const int64_t floats = rows_ <= kFewRows ? rows_ * div_up(k_, block_) : threads * block_panels_ * panel_floats();
  node.need_scratch(static_cast<size_t>(floats) * sizeof(float));
}

void StoredProduct::pack(const StoredMatrix& matrix, int64_t first, uint8_t* panel) const {
  const auto nr = static_cast<int64_t>(kernels().gemm_nr), columns = std::min(nr, n_ - first);
  const auto value = [&](int64_t j, int64_t k, int64_t end) {
    const int q = j < columns && k < end ? matrix.value(first + j, k) - matrix.middle : 0;
    if (bits_ == 4 && (q < -8 || q > 7)) fail(LR_ERROR_FORMAT, "a weight of 4 bits has the value %d", q);
    return static_cast<unsigned>(q);
  };
  for (int64_t b = 0; b < matrix.blocks(); ++b) {
    auto* scales = reinterpret_cast<float*>(panel);
    for (int64_t j = 0; j < nr; ++j) {
      const Affine a = j < columns ? matrix.affine(first + j, b) : Affine{0.f, matrix.middle, 0.f};
      scales[j] = a.scale;
      if (offsets_) scales[nr + j] = static_cast<float>(matrix.middle - a.zero) * a.scale + a.shift;
    }
    panel += static_cast<size_t>(offsets_ ? 2 * nr : nr) * sizeof(float);
    const int64_t end = std::min(k_, (b + 1) * block_);
    for (int64_t k = b * block_; k < end; k += 2) {
      if (bits_ == 8) {
        for (int64_t j = 0; j < 2 * nr; ++j) *panel++ = static_cast<uint8_t>(value(j % nr, k + j / nr, end));
        continue;
      }
      for (int64_t j = 0; j < nr; ++j) {
        *panel++ = static_cast<uint8_t>((value(j, k, end) & 15u) | value(j, k + 1, end) << 4);
      }
    }
  }
}

PanelQ StoredProduct::panel(int64_t i) const {
  const auto* packed = static_cast<const uint8_t*>(weights_.get());
  return {packed + static_cast<size_t>(i) * panel_bytes_, static_cast<size_t>(k_), static_cast<size_t>(block_), bits_,
          offsets_};
}

void StoredProduct::run(Node& node, const float* bias, const FusedActivation& activation) const {
  if (node.out[0]->count() == 0) return;
  const Epilogue epilogue(activation, node);
  rows_ <= kFewRows ? run_rows(node, bias, epilogue) : run_panels(node, bias, epilogue);
}

void StoredProduct::run_rows(Node& node, const float* bias, const Epilogue& epilogue) const {
  const float* a = node.in[0]->as<float>();
  float* c = node.out[0]->as<float>();
  float* sums = static_cast<float*>(node.scratch);
  const int64_t blocks = div_up(k_, block_), nr = static_cast<int64_t>(kernels().gemm_nr), panels = div_up(n_, nr);
  for (int64_t i = 0; offsets_ && i < rows_ * blocks; ++i) {
    const int64_t from = i % blocks * block_, n = std::min(block_, k_ - from);
    sums[i] = kernels().reduce.sum(a + i / blocks * k_ + from, static_cast<size_t>(n));
  }
  node.pool->run(rows_ * panels, std::max<int64_t>(1, kGemmGrain / (nr * k_ + 1)),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t row = i / panels, column = i % panels * nr;
                     const auto n = static_cast<size_t>(std::min(nr, n_ - column));
                     float y[kMostColumns];
                     kernels().multiply_row_q(panel(i % panels), a + row * k_, sums + row * blocks, y);
                     float* to = c + row * n_ + column;
                     for (size_t j = 0; j < n; ++j)
                       to[j] = bias == nullptr ? y[j] : y[j] + bias[column + static_cast<int64_t>(j)];
                     epilogue.apply(to, n);
                   }
                 });
}

void StoredProduct::run_panels(Node& node, const float* bias, const Epilogue& epilogue) const {
  const float* a = node.in[0]->as<float>();
  float* c = node.out[0]->as<float>();
  const int64_t nr = static_cast<int64_t>(kernels().gemm_nr), mr = static_cast<int64_t>(kernels().gemm_mr);
  node.pool->run(div_up(panels(), block_panels_), 1, [&](int64_t begin, int64_t end, int thread) {
    float* expanded = static_cast<float*>(node.scratch) + thread * block_panels_ * panel_floats();
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * block_panels_, last = std::min(panels(), first + block_panels_);
      const int64_t column = first * nr, columns = std::min(last * nr, n_) - column;
      for (int64_t i = first; i < last; ++i) {
        float* to = expanded + (i - first) * panel_floats();
        for (int64_t j = 0; j < nr; ++j) to[j] = bias != nullptr && i * nr + j < n_ ? bias[i * nr + j] : 0.f;
        kernels().expand_q(panel(i), to + nr);
      }
      for (int64_t row = 0; row < rows_; row += mr) {
        const float* pointers[kMostRows];
        GemmF32 g;
        g.rows = static_cast<size_t>(std::min(mr, rows_ - row));
        for (size_t r = 0; r < g.rows; ++r) pointers[r] = a + (row + static_cast<int64_t>(r)) * k_;
        g.a = pointers;
        g.taps = 1;
        g.k = static_cast<size_t>(k_);
        g.n = static_cast<size_t>(columns);
        g.w = expanded;
        g.c = c + row * n_ + column;
        g.c_stride = static_cast<size_t>(n_);
        g.lo = epilogue.low();
        g.hi = epilogue.high();
        kernels().gemm_f32(g);
        epilogue.finish_rows(g.c, g.rows, g.c_stride, g.n);
      }
    }
  });
}

}  // namespace lr
