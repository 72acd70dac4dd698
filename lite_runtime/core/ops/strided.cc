#include "ops/strided.h"

#include <cstring>

#include "kernels/kernels.h"

namespace lr {
namespace {

constexpr int64_t kGrainBytes = 16 * 1024;
constexpr int64_t kTile = 32;        // side of a transposed block
constexpr int64_t kShortRow = 4096;  // bytes for which a call of memcpy counts

// Iterations worth a thread when each moves `bytes`.
int64_t grain_of(int64_t bytes) { return std::max<int64_t>(1, kGrainBytes / bytes); }

using Dim = CopyLoops::Dim;

template <class T>
void copy_row(const T* src, T* dst, const Dim& dim) {
  if (dim.step[0] == 0 && dim.step[1] == 1) {
    std::fill(dst, dst + dim.size, *src);
    return;
  }
  for (int64_t i = 0; i < dim.size; ++i) dst[i * dim.step[1]] = src[i * dim.step[0]];
}

// dst[c * dst_step + r] = src[r * src_step + c]
template <class T>
void transpose_block(const T* src, int64_t src_step, T* dst, int64_t dst_step, int64_t rows, int64_t cols) {
  for (int64_t c = 0; c < cols; ++c) {
    for (int64_t r = 0; r < rows; ++r) dst[c * dst_step + r] = src[r * src_step + c];
  }
}

// Four bytes, each with a zero behind it.
uint64_t spread(const uint8_t* bytes) {
  uint32_t four;
  std::memcpy(&four, bytes, sizeof four);
  uint64_t x = four;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  return (x | x << 8) & 0x00ff00ff00ff00ff;
}

void transpose_block(const uint8_t* src, int64_t src_step, uint8_t* dst, int64_t dst_step, int64_t rows, int64_t cols) {
  int64_t c = 0;
  for (; rows == 2 && dst_step == 2 && c + 4 <= cols; c += 4) {
    const uint64_t both = spread(src + c) | spread(src + src_step + c) << 8;
    std::memcpy(dst + 2 * c, &both, sizeof both);
  }
  transpose_block<uint8_t>(src + c, src_step, dst + c * dst_step, dst_step, rows, cols - c);
}

void transpose_block(const uint32_t* src, int64_t src_step, uint32_t* dst, int64_t dst_step, int64_t rows,
                     int64_t cols) {
  kernels().transpose_32(src, static_cast<size_t>(src_step), dst, static_cast<size_t>(dst_step),
                         static_cast<size_t>(rows), static_cast<size_t>(cols));
}

// The dimension along which the source is contiguous when the destination is contiguous along the
// innermost one; -1 when the copy is no transposition.
int transposed_dim(const CopyLoops& loops) {
  const Dim inner = loops.inner();
  if (inner.step[1] != 1 || inner.step[0] <= 1) return -1;
  for (int d = loops.rank() - 2; d >= 0; --d) {
    if (loops[d].step[0] == 1 && loops[d].step[1] > 0) return d;
  }
  return -1;
}

template <class T>
void copy_transposed(CopyLoops loops, int dim, const T* src, T* dst, ThreadPool* pool) {
  const Dim rows = loops.take_inner();
  const Dim cols = loops.take(dim);
  // Blocks keep both sides in the cache and give the threads something to share.
  const int64_t block_rows = std::min(rows.size, kTile);
  const int64_t block_cols = kTile * kTile / block_rows;
  const int64_t row_blocks = div_up(rows.size, block_rows), col_blocks = div_up(cols.size, block_cols);
  loops.add({row_blocks, {block_rows * rows.step[0], block_rows}});
  loops.add({col_blocks, {block_cols, block_cols * cols.step[1]}});
  parallel(pool, loops.count(),
           grain_of(block_rows * std::min(block_cols, cols.size) * static_cast<int64_t>(sizeof(T))),
           [&](int64_t begin, int64_t end, int) {
             int64_t i = begin;
             loops.each(begin, end, [&](const int64_t* at) {
               const int64_t row = i / col_blocks % row_blocks * block_rows, col = i % col_blocks * block_cols;
               transpose_block(src + at[0], rows.step[0], dst + at[1], cols.step[1],
                               std::min(block_rows, rows.size - row), std::min(block_cols, cols.size - col));
               ++i;
             });
           });
}

template <class T>
void copy_typed(CopyLoops loops, const void* src_bytes, void* dst_bytes, ThreadPool* pool) {
  const T* src = static_cast<const T*>(src_bytes);
  T* dst = static_cast<T*>(dst_bytes);
  const int dim = transposed_dim(loops);
  if (dim >= 0) return copy_transposed(loops, dim, src, dst, pool);
  const Dim inner = loops.take_inner();
  const int64_t row_bytes = inner.size * static_cast<int64_t>(sizeof(T));
  parallel(pool, loops.count(), grain_of(row_bytes), [&](int64_t begin, int64_t end, int) {
    loops.each(begin, end, [&](const int64_t* at) { copy_row(src + at[0], dst + at[1], inner); });
  });
}

void copy_rows(CopyLoops loops, const void* src_bytes, void* dst_bytes, int64_t element_size, ThreadPool* pool) {
  const char* src = static_cast<const char*>(src_bytes);
  char* dst = static_cast<char*>(dst_bytes);
  const int64_t row_bytes = loops.take_inner().size * element_size;
  if (loops.rank() == 0) {
    parallel(pool, row_bytes, kGrainBytes, [&](int64_t begin, int64_t end, int) {
      std::memcpy(dst + begin, src + begin, static_cast<size_t>(end - begin));
    });
    return;
  }
  const Dim rows = loops.inner();
  if (element_size == 4 && row_bytes <= kShortRow && rows.step[0] >= 0 && rows.step[1] >= 0) {
    loops.take_inner();
    const auto* from = static_cast<const uint32_t*>(src_bytes);
    auto* to = static_cast<uint32_t*>(dst_bytes);
    parallel(pool, loops.count() * rows.size, grain_of(row_bytes), [&](int64_t begin, int64_t end, int) {
      int64_t i = begin;
      loops.each(begin / rows.size, div_up(end, rows.size), [&](const int64_t* at) {
        const int64_t row = i % rows.size, n = std::min(rows.size - row, end - i);
        kernels().copy_rows_32(from + at[0] + row * rows.step[0], static_cast<size_t>(rows.step[0]),
                               to + at[1] + row * rows.step[1], static_cast<size_t>(rows.step[1]),
                               static_cast<size_t>(n), static_cast<size_t>(row_bytes / 4));
        i += n;
      });
    });
    return;
  }
  parallel(pool, loops.count(), grain_of(row_bytes), [&](int64_t begin, int64_t end, int) {
    loops.each(begin, end, [&](const int64_t* at) {
      std::memcpy(dst + at[1] * element_size, src + at[0] * element_size, static_cast<size_t>(row_bytes));
    });
  });
}

}  // namespace

Steps::Steps(const Shape& shape) {
  uint64_t step = 1;  // unsigned: without elements, the other dimensions may be of any size
  for (int i = shape.rank() - 1; i >= 0; --i) {
    at[i] = static_cast<int64_t>(step);
    step *= static_cast<uint64_t>(shape[i]);
  }
}

void copy_strided(CopyLoops loops, const void* src, void* dst, size_t element_size, ThreadPool* pool) {
  if (loops.empty()) return;
  const Dim inner = loops.inner();
  const bool contiguous = inner.step[0] == 1 && inner.step[1] == 1;
  if (contiguous && inner.size * static_cast<int64_t>(element_size) >= 16) {
    return copy_rows(loops, src, dst, static_cast<int64_t>(element_size), pool);
  }
  switch (element_size) {
    case 1:
      return copy_typed<uint8_t>(loops, src, dst, pool);
    case 2:
      return copy_typed<uint16_t>(loops, src, dst, pool);
    case 4:
      return copy_typed<uint32_t>(loops, src, dst, pool);
    case 8:
      return copy_typed<uint64_t>(loops, src, dst, pool);
    default:
      fail(LR_ERROR_UNSUPPORTED, "elements of %zu bytes cannot be copied", element_size);
  }
}

void fill_elements(void* dst, int64_t count, const void* value, size_t element_size) {
  if (count == 0) return;
  CopyLoops loops;
  loops.add({count, {0, 1}});
  copy_strided(loops, value, dst, element_size, nullptr);
}

void copy_bytes(void* dst, const void* src, size_t bytes) {
  if (bytes != 0 && dst != src) std::memcpy(dst, src, bytes);
}

}  // namespace lr
