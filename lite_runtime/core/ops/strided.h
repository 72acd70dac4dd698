// Loops over several strided arrays at once: the common core of broadcasting and data movement.
#pragma once

#include <algorithm>
#include <cstdint>

#include "thread_pool.h"
#include "types.h"

namespace lr {

// Steps of a contiguous tensor, in elements.
struct Steps {
  int64_t at[LR_MAX_RANK] = {};
  int64_t operator[](int i) const { return at[i]; }
  explicit Steps(const Shape& shape);
};

// Runs body(begin, end, thread) over [0, count), on the caller alone when there is no pool.
template <class Body>
void parallel(ThreadPool* pool, int64_t count, int64_t grain, const Body& body) {
  if (count <= 0) return;
  if (pool == nullptr || count <= grain) {
    body(int64_t{0}, count, 0);
    return;
  }
  pool->run(count, grain, body);
}

// A nest of loops over N arrays; dimensions are added from the outermost to the innermost.
template <int N>
class Loops {
 public:
  static constexpr int kMaxRank = 2 * LR_MAX_RANK;
  struct Dim {
    int64_t size;
    int64_t step[N];  // per array, in elements; may be 0 or negative
  };

  // Dimensions of size 1 vanish and a dimension that continues the one before it is merged with it.
  void add(const Dim& dim) {
    empty_ = empty_ || dim.size == 0;
    if (empty_ || dim.size == 1) return;
    if (rank_ > 0 && continues(dims_[rank_ - 1], dim)) {
      const int64_t outer = dims_[rank_ - 1].size;
      dims_[rank_ - 1] = dim;
      dims_[rank_ - 1].size *= outer;
      return;
    }
    dims_[rank_++] = dim;
  }

  bool empty() const { return empty_; }
  int rank() const { return rank_; }
  const Dim& operator[](int i) const { return dims_[i]; }
  // The innermost loop; a single element when there is none.
  Dim inner() const { return rank_ > 0 ? dims_[rank_ - 1] : Dim{1, {}}; }
  // Takes dimension i out of the nest.
  Dim take(int i) {
    const Dim dim = dims_[i];
    std::copy(dims_ + i + 1, dims_ + rank_, dims_ + i);
    --rank_;
    return dim;
  }
  Dim take_inner() { return rank_ > 0 ? take(rank_ - 1) : Dim{1, {}}; }
  int64_t count() const {
    int64_t n = empty_ ? 0 : 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[i].size;
    return n;
  }

  // Calls body(offsets) for the iterations [begin, end) of the whole nest, in order.
  template <class Body>
  void each(int64_t begin, int64_t end, const Body& body) const {
    int64_t index[kMaxRank] = {}, offset[N] = {};
    int64_t rest = begin;
    for (int d = rank_ - 1; d >= 0; --d) {
      index[d] = rest % dims_[d].size;
      rest /= dims_[d].size;
      for (int a = 0; a < N; ++a) offset[a] += index[d] * dims_[d].step[a];
    }
    for (int64_t i = begin; i < end; ++i) {
      body(static_cast<const int64_t*>(offset));
      for (int d = rank_ - 1; d >= 0; --d) {
        for (int a = 0; a < N; ++a) offset[a] += dims_[d].step[a];
        if (++index[d] < dims_[d].size) break;
        for (int a = 0; a < N; ++a) offset[a] -= index[d] * dims_[d].step[a];
        index[d] = 0;
      }
    }
  }

 private:
  static bool continues(const Dim& outer, const Dim& inner) {
    for (int a = 0; a < N; ++a) {
      if (outer.step[a] != inner.step[a] * inner.size) return false;
    }
    return true;
  }

  int rank_ = 0;
  bool empty_ = false;
  Dim dims_[kMaxRank];
};

// A copy between strided arrays: step[0] is the source's, step[1] the destination's.
using CopyLoops = Loops<2>;

// Copies elements of 1, 2, 4 or 8 bytes. src and dst must not overlap.
void copy_strided(CopyLoops loops, const void* src, void* dst, size_t element_size, ThreadPool* pool);

// Writes count times the element at `value`.
void fill_elements(void* dst, int64_t count, const void* value, size_t element_size);

// memcpy that accepts null pointers for zero bytes.
void copy_bytes(void* dst, const void* src, size_t bytes);

}  // namespace lr
