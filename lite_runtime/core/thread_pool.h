// Fork-join pool: one parallel region at a time, workers sleep between regions.
#pragma once

#include <sched.h>

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "kernels/half.h"

namespace lr {

class ThreadPool {
 public:
  // threads >= 1 including the caller. `cores`: one core per thread to bind to, or empty.
  ThreadPool(int threads, std::vector<int> cores);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;
#if defined(LR_HALF)
  // Whether arithmetic of the pool's own threads has overflowed since the last call.
  bool take_overflow();
#endif
  // The core for the caller; -1 for any.
  int caller_core() const { return caller_core_; }

  // Calls body(begin, end, thread) on disjoint ranges covering [0, count). Ranges are multiples of
  // `grain` (the least work worth a thread) except the last; thread < threads(). The caller takes part.
  // body must not throw. What a body with one of several ranges runs on this pool itself, its thread does alone.
  template <class Body>
  void run(int64_t count, int64_t grain, const Body& body) {
    run_erased(
        count, grain,
        [](const void* b, int64_t begin, int64_t end, int thread) {
          (*static_cast<const Body*>(b))(begin, end, thread);
        },
        &body);
  }

 private:
  using Erased = void (*)(const void* body, int64_t begin, int64_t end, int thread);
  void run_erased(int64_t count, int64_t grain, Erased call, const void* body);
  struct State;
  std::unique_ptr<State> state_;
  int caller_core_ = -1;
};

// Binds the calling thread to the pool's core for it, for as long as this lives.
class CallerBinding {
 public:
  explicit CallerBinding(const ThreadPool& pool);
  ~CallerBinding();
  CallerBinding(const CallerBinding&) = delete;
  CallerBinding& operator=(const CallerBinding&) = delete;

 private:
  bool bound_ = false;
  cpu_set_t before_;
};

}  // namespace lr
