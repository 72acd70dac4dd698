#include "memory.h"

#include <algorithm>

namespace lr {

namespace {
constexpr size_t kAlign = 64;
}

size_t lay_out(std::vector<Block>& blocks) {
  std::vector<Block*> order;  // large ones first
  const auto larger = [](const Block* a, const Block* b) { return a->bytes > b->bytes; };
  for (Block& block : blocks) order.insert(std::upper_bound(order.begin(), order.end(), &block, larger), &block);
  std::vector<Block*> placed;  // by offset
  size_t total = 0;
  for (Block* next : order) {
    Block& block = *next;
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
  using Entry = std::pair<size_t, Buffer>;  // capacity and memory
  std::vector<Entry> buffers;               // by capacity

  // The first that has so many bytes.
  std::vector<Entry>::iterator find(size_t bytes) {
    return std::partition_point(buffers.begin(), buffers.end(), [&](const Entry& e) { return e.first < bytes; });
  }
};

BufferPool::BufferPool() : free_(std::make_shared<Free>()) {}

Buffer BufferPool::get(size_t bytes) {
  Buffer buffer;
  size_t capacity = std::max<size_t>(bytes, kAlign);
  const auto found = free_->find(capacity);
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
    if (const auto free = home.lock()) free->buffers.insert(free->find(capacity), {capacity, buffer});
  });
}

}  // namespace lr
