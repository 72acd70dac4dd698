#include "memory.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace lr {

namespace {
constexpr size_t kAlign = 64;
}

size_t lay_out(std::vector<Block>& blocks) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<const Block*> placed;  // by offset
  size_t total = 0;
  for (size_t index : order) {
    Block& block = blocks[index];
    if (!block.used()) continue;
    size_t offset = 0;
    for (const Block* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      if (offset + block.bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    block.bytes = (block.bytes + kAlign - 1) / kAlign * kAlign;
    block.offset = offset;
    total = std::max(total, offset + block.bytes);
    const auto at = std::upper_bound(placed.begin(), placed.end(), &block,
                                     [](const Block* a, const Block* b) { return a->offset < b->offset; });
    placed.insert(at, &block);
  }
  return total;
}

struct BufferPool::Free {
  std::multimap<size_t, Buffer> buffers;  // by capacity
};

BufferPool::BufferPool() : free_(std::make_shared<Free>()) {}

Buffer BufferPool::get(size_t bytes) {
  Buffer buffer;
  size_t capacity = std::max<size_t>(bytes, kAlign);
  const auto found = free_->buffers.lower_bound(capacity);
  // A much larger buffer is left for a tensor that needs it.
  if (found != free_->buffers.end() && found->first / 2 <= capacity) {
    capacity = found->first;
    buffer = std::move(found->second);
    free_->buffers.erase(found);
  } else {
    buffer = allocate_buffer(capacity);
  }
  void* data = buffer.get();
  return Buffer(data, [buffer, capacity, home = std::weak_ptr<Free>(free_)](void*) {
    if (const auto free = home.lock()) free->buffers.emplace(capacity, buffer);
  });
}

}  // namespace lr
