// Fork-join pool: one parallel region at a time, workers sleep between regions.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace lr {

class ThreadPool {
 public:
  // threads >= 1 including the caller. `cores`: one core per thread to bind to, or empty.
  ThreadPool(int threads, std::vector<int> cores);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(begin, end, thread) on disjoint ranges covering [0, count). Ranges are multiples of
  // `grain` (the least work worth a thread) except the last; thread < threads(). The caller takes part.
  // body must not throw and must not call run() again.
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
};

}  // namespace lr
