#include "ops/stored/weights.h"

#include <algorithm>

#include "ops/gemm.h"

namespace lr {
namespace {

// Up to so many rows are multiplied one by one, with weights expanded in registers.
constexpr int64_t kFewRows = 2;
constexpr size_t kMostColumns = 64;          // of any tier's tile
constexpr int64_t kBlockBytes = 256 * 1024;  // as gemm.cc has them
constexpr int64_t kLeastTiles = 8;           // of rows, for which it is worth to expand weights once more

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

StoredIntegers stored_integers(const TensorDef& def) {
  const StoredIntegers in_file(def);
  return in_file.data() != nullptr ? in_file : StoredIntegers(def, decode_small(def));
}

// Without rows enough, weights are expanded in registers.
bool StoredProduct::one_by_one() const { return rows_ <= kFewRows && taps_ == 1; }

void StoredProduct::prepare(Node& node, Workspace& workspace, int64_t rows, int64_t taps, const StoredMatrix& matrix,
                            const std::string& layout) {
  rows_ = rows;
  taps_ = taps;
  n_ = matrix.n;
  k_ = matrix.k;
  block_ = matrix.block;
  bits_ = matrix.bits;
  offsets_ = any_offset(matrix);
  const auto nr = static_cast<int64_t>(kernels().gemm_nr);
  panel_bytes_ = panel_q_bytes(static_cast<size_t>(k_), static_cast<size_t>(block_), bits_, offsets_, kernels().gemm_nr,
                               kernels().quads);
  const size_t bytes = static_cast<size_t>(panels()) * panel_bytes_;
  weights_ = node.packed(layout, bytes, [&] {
    std::vector<int8_t> integers(static_cast<size_t>(nr * k_));
    Buffer buffer = allocate_buffer(bytes);
    auto* packed = static_cast<uint8_t*>(buffer.get());
    for (int64_t i = 0; i < panels(); ++i) {
      pack(matrix, i * nr, integers.data(), packed + static_cast<size_t>(i) * panel_bytes_);
    }
    return buffer;
  });
  // Rows that are read again for each block should be read seldom, but every thread have a block, or a part of its
  // rows.
  const int64_t threads = node.pool->threads(), fitting = kBlockBytes / (panel_floats() * int64_t{sizeof(float)});
  const auto mr = static_cast<int64_t>(kernels().gemm_mr);
  const int64_t wanted = threads == 1 ? 1 : 4 * threads;  // tasks
  block_panels_ = rows_ <= mr ? 1 : std::max<int64_t>(1, std::min(fitting, panels() / wanted));
  const int64_t parts = std::max<int64_t>(1, wanted / div_up(panels(), block_panels_));
  task_rows_ = std::max(kLeastTiles, div_up(div_up(rows_, mr), parts)) * mr;
  if (one_by_one()) {
    sums_ = workspace.add<float>(rows_ * (blocks() + digits()));
  } else {
    expanded_ = workspace.add<float>(threads * block_panels_ * panel_floats());
    pointers_ = workspace.add<const float*>(threads * taps_ * mr);
  }
}

StoredProduct::Task StoredProduct::task(int64_t number) const {
  const int64_t parts = div_up(rows_, task_rows_), first = number / parts * block_panels_;
  const int64_t row = number % parts * task_rows_;
  return {first, std::min(panels(), first + block_panels_), row, std::min(rows_, row + task_rows_)};
}

void StoredProduct::pack(const StoredMatrix& matrix, int64_t first, int8_t* rows, uint8_t* panel) const {
  const auto nr = static_cast<int64_t>(kernels().gemm_nr), columns = std::min(nr, n_ - first);
  matrix.read(first, columns, rows);
  const auto value = [&](int64_t j, int64_t k, int64_t end) {
    const int q = j < columns && k < end ? rows[j * k_ + k] - matrix.middle : 0;
    if (bits_ == 4 && (q < -8 || q > 7)) fail(LR_ERROR_FORMAT, "a weight of 4 bits has the value %d", q);
    return static_cast<unsigned>(q);
  };
  const auto quads = [&](int64_t start, int64_t end) {
    const int64_t step = bits_ == 8 ? 4 : 8, stop = start + round_up(end - start, int64_t{group_q(true)});
    for (int64_t k = start; k < stop; k += step) {
      for (int64_t i = 0; i < 4 * nr; ++i) {
        const unsigned q = value(i / 4, k + i % 4, end);
        *panel++ = static_cast<uint8_t>(bits_ == 8 ? q : ((q + 8) & 15u) | value(i / 4, k + 4 + i % 4, end) << 4);
      }
    }
  };
  const auto pairs = [&](int64_t start, int64_t end) {
    for (int64_t k = start; k < end; k += 2) {
      if (bits_ == 8) {
        for (int64_t j = 0; j < 2 * nr; ++j) *panel++ = static_cast<uint8_t>(value(j % nr, k + j / nr, end));
        continue;
      }
      for (int64_t j = 0; j < nr; ++j) {
        *panel++ = static_cast<uint8_t>((value(j, k, end) & 15u) | value(j, k + 1, end) << 4);
      }
    }
  };
  for (int64_t b = 0; b < matrix.blocks(); ++b) {
    auto* scales = reinterpret_cast<float*>(panel);
    for (int64_t j = 0; j < nr; ++j) {
      const Affine a = j < columns ? matrix.affine(first + j, b) : Affine{0.f, matrix.middle, 0.f};
      scales[j] = a.scale;
      if (offsets_) scales[nr + j] = static_cast<float>(matrix.middle - a.zero) * a.scale + a.shift;
    }
    panel += static_cast<size_t>(offsets_ ? 2 * nr : nr) * sizeof(float);
    const int64_t start = b * block_, end = std::min(k_, start + block_);
    kernels().quads ? quads(start, end) : pairs(start, end);
  }
}

PanelQ StoredProduct::panel(int64_t i) const {
  const auto* packed = static_cast<const uint8_t*>(weights_.get());
  return {packed + static_cast<size_t>(i) * panel_bytes_, static_cast<size_t>(k_), static_cast<size_t>(block_), bits_,
          offsets_};
}

void StoredProduct::run(const Node& node, const float* a, const float* bias, const Epilogue& epilogue, float* c,
                        Fill fill) const {
  if (rows_ == 0 || n_ == 0) return;
  if (one_by_one()) return run_rows(node, a, bias, epilogue, c);
  if (fill) return run_panels(node, bias, epilogue, c, fill);
  run_panels(node, bias, epilogue, c, [&](int64_t row, size_t rows, const float** pointers) {
    const float* from = a + row * k_;
    for (size_t r = 0; r < rows; ++r, from += k_) pointers[r] = from;
  });
}

void StoredProduct::run_rows(const Node& node, const float* a, const float* bias, const Epilogue& epilogue,
                             float* c) const {
  float* scratch = Workspace::at<float>(node, sums_);
  const int64_t nr = static_cast<int64_t>(kernels().gemm_nr), panels = this->panels();
  RowQ rows[kFewRows];
  for (int64_t i = 0; i < rows_; ++i) {
    float *sums = scratch + i * (blocks() + digits()), *split = sums + blocks();
    for (int64_t b = 0; offsets_ && b < blocks(); ++b) {
      sums[b] = kernels().reduce.sum(a + i * k_ + b * block_, static_cast<size_t>(std::min(block_, k_ - b * block_)));
    }
    rows[i] = {a + i * k_, sums, nullptr};
    if (kernels().split_row_q(panel(0), a + i * k_, split)) rows[i].digits = split;
  }
  node.pool->run(rows_ * panels, std::max<int64_t>(1, kGemmGrain / (nr * k_ + 1)),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t row = i / panels, column = i % panels * nr;
                     const auto n = static_cast<size_t>(std::min(nr, n_ - column));
                     float* to = c + row * n_ + column;
                     float last[kMostColumns];
                     float* y = n == kernels().gemm_nr ? to : last;
                     kernels().multiply_row_q(panel(i % panels), rows[row], y);
                     if (bias != nullptr) {
                       kernels().binary.add.vv(y, bias + column, to, n);
                     } else if (y != to) {
                       std::copy_n(y, n, to);
                     }
                     epilogue.apply(to, n);
                   }
                 });
}

void StoredProduct::run_panels(const Node& node, const float* bias, const Epilogue& epilogue, float* c,
                               Fill fill) const {
  const int64_t nr = static_cast<int64_t>(kernels().gemm_nr), mr = static_cast<int64_t>(kernels().gemm_mr);
  const int64_t tasks = div_up(panels(), block_panels_) * div_up(rows_, task_rows_);
  node.pool->run(tasks, 1, [&](int64_t begin, int64_t end, int thread) {
    float* expanded = Workspace::at<float>(node, expanded_) + thread * block_panels_ * panel_floats();
    const float** a = Workspace::at<const float*>(node, pointers_) + thread * taps_ * mr;
    int64_t there = -1;  // the panel that `expanded` begins with
    for (int64_t number = begin; number < end; ++number) {
      const Task t = task(number);
      const int64_t column = t.first * nr, columns = std::min(t.last * nr, n_) - column;
      for (int64_t i = t.first; i < t.last && there != t.first; ++i) {
        float* to = expanded + (i - t.first) * panel_floats();
        for (int64_t j = 0; j < nr; ++j) to[j] = bias != nullptr && i * nr + j < n_ ? bias[i * nr + j] : 0.f;
        kernels().expand_q(panel(i), to + nr);
      }
      there = t.first;
      for (int64_t row = t.row; row < t.end; row += mr) {
        GemmF32 g;
        g.rows = static_cast<size_t>(std::min(mr, t.end - row));
        fill(row, g.rows, a);
        g.a = a;
        g.taps = static_cast<size_t>(taps_);
        g.k = static_cast<size_t>(k_ / taps_);
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
