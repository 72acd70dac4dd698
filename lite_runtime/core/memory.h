// Where tensors live: one arena laid out from lifetimes, and a pool for sizes only known at run time.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "model.h"

namespace lr {

// A block of memory that is needed from step `first` to step `last` (both included).
struct Block {
  size_t bytes = 0;
  size_t first = std::numeric_limits<size_t>::max();
  size_t last = 0;
  size_t offset = 0;  // result
  void extend(size_t step) {
    if (step < first) first = step;
    if (step > last) last = step;
  }
  bool used() const { return first <= last; }
};

// Gives every used block an offset such that blocks alive at the same step do not overlap; returns the
// size of the arena. Largest first, each at the lowest offset that is free during its life.
size_t lay_out(std::vector<Block>& blocks);

// Recycles buffers of tensors whose sizes are only known at run time. Not thread-safe.
class BufferPool {
 public:
  BufferPool();
  // A buffer of at least `bytes`; returns to the pool when the last copy of the pointer goes.
  Buffer get(size_t bytes);

 private:
  struct Free;
  std::shared_ptr<Free> free_;
};

}  // namespace lr
