#include "thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace lr {

namespace {
// Set in State::gate while no region is open; the lower bits count the workers inside the region.
constexpr uint32_t kClosed = 1u << 31;
// A worker polls this often for the next region before it sleeps: consecutive operators of a model
// follow within microseconds, and a wake-up costs tens of them.
constexpr int kPolls = 4000;

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield");
#endif
}

// The pool whose region this thread works in, and as which of its threads.
struct Inside {
  const void* pool = nullptr;
  int thread = 0;
};
thread_local Inside inside;

// Best effort: the core may be offline.
bool bind_to_core(int core) {
  if (core < 0 || core >= CPU_SETSIZE) return false;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}
}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> workers;
  // The open region. Written only while the gate is closed and empty.
  Erased call = nullptr;
  const void* body = nullptr;
  int64_t chunk = 0;
  // Every thread begins with a part of its own, the same part of every region: what it reads was often written by
  // itself.
  struct alignas(64) Part {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Part> parts;

  std::atomic<uint32_t> gate{kClosed};
  std::atomic<uint32_t> epoch{0};  // number of regions opened
  std::atomic<bool> stop{false};
  std::atomic<int> sleepers{0};
#if defined(LR_HALF)
  std::atomic<bool> overflowed{false};
#endif
  std::mutex mutex;
  std::condition_variable wake;

  explicit State(int threads) : parts(static_cast<size_t>(threads)) {}

  // Does the thread's own part, then what is left of the others'.
  void work(int thread) {
    const Inside before = inside;
    inside = {this, thread};
    for (size_t i = 0; i < parts.size(); ++i) {
      Part& part = parts[(static_cast<size_t>(thread) + i) % parts.size()];
      for (;;) {
        const int64_t begin = part.next.fetch_add(chunk, std::memory_order_relaxed);
        if (begin >= part.end) break;
        call(body, begin, std::min(part.end, begin + chunk), thread);
      }
    }
    inside = before;
  }

  // Waits until a region later than `seen` was opened; false when the pool stops.
  bool wait_for_region(uint32_t& seen) {
    for (int poll = 0; poll < kPolls; ++poll) {
      if (epoch.load(std::memory_order_acquire) != seen || stop.load(std::memory_order_relaxed)) break;
      pause_cpu();
    }
    if (epoch.load(std::memory_order_acquire) == seen) {
      std::unique_lock<std::mutex> lock(mutex);
      sleepers.fetch_add(1);
      wake.wait(lock, [&] { return epoch.load() != seen || stop.load(); });
      sleepers.fetch_sub(1);
    }
    seen = epoch.load(std::memory_order_acquire);
    return !stop.load();
  }

  void loop(int thread) {
    uint32_t seen = 0;
    while (wait_for_region(seen)) {
      // A worker that comes late finds the gate closed and leaves: nobody waits for it.
      if ((gate.fetch_add(1, std::memory_order_acq_rel) & kClosed) == 0) {
        work(thread);
#if defined(LR_HALF)
        if (lr::take_overflow()) overflowed.store(true);
#endif
      }
      gate.fetch_sub(1, std::memory_order_acq_rel);
    }
  }
};

ThreadPool::ThreadPool(int threads, std::vector<int> cores) : state_(std::make_unique<State>(threads)) {
  State* state = state_.get();
  if (!cores.empty()) caller_core_ = cores[0];
  for (int thread = 1; thread < threads; ++thread) {
    const int core = thread < static_cast<int>(cores.size()) ? cores[static_cast<size_t>(thread)] : -1;
    state->workers.emplace_back([state, thread, core] {
      bind_to_core(core);
      state->loop(thread);
    });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

CallerBinding::CallerBinding(const ThreadPool& pool) {
  if (pool.caller_core() < 0 || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  bound_ = bind_to_core(pool.caller_core());
}

CallerBinding::~CallerBinding() {
  if (bound_) sched_setaffinity(0, sizeof before_, &before_);
}

#if defined(LR_HALF)
bool ThreadPool::take_overflow() { return state_->overflowed.exchange(false); }
#endif

int ThreadPool::threads() const { return static_cast<int>(state_->parts.size()); }

void ThreadPool::run_erased(int64_t count, int64_t grain, Erased call, const void* body) {
  if (count <= 0) return;
  if (inside.pool == state_.get()) return call(body, 0, count, inside.thread);
  grain = std::max<int64_t>(grain, 1);
  const int64_t pieces = (count + grain - 1) / grain;
  if (pieces == 1 || state_->workers.empty()) {
    call(body, 0, count, 0);
    return;
  }
  // At least sixteen chunks a thread, where there are as many, even out cores of different speed.
  State& state = *state_;
  const int64_t shares = std::min<int64_t>(pieces, 16 * static_cast<int64_t>(threads()));
  state.chunk = pieces / shares * grain;
  state.call = call;
  state.body = body;
  const int64_t chunks = (count + state.chunk - 1) / state.chunk;
  int64_t begin = 0;
  for (size_t i = 0; i < state.parts.size(); ++i) {
    const int64_t end = chunks * static_cast<int64_t>(i + 1) / threads() * state.chunk;
    state.parts[i].next.store(begin, std::memory_order_relaxed);
    state.parts[i].end = std::min(count, end);
    begin = end;
  }
  state.gate.fetch_and(~kClosed, std::memory_order_release);
  state.epoch.fetch_add(1);
  if (state.sleepers.load() > 0) {
    std::lock_guard<std::mutex> lock(state.mutex);
    state.wake.notify_all();
  }
  state.work(0);
  state.gate.fetch_or(kClosed, std::memory_order_acq_rel);
  for (int poll = 0; (state.gate.load(std::memory_order_acquire) & ~kClosed) != 0; ++poll) {
    if (poll < kPolls) {
      pause_cpu();
    } else {
      std::this_thread::yield();  // the worker we wait for may need this core
    }
  }
}

}  // namespace lr
