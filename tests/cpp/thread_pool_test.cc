// Tests the fork-join pool: every index exactly once, ranges as promised, no CPU use while idle.
#include "thread_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <numeric>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using lr::ThreadPool;
using lr::test::Case;

void check_coverage(ThreadPool& pool, int64_t count, int64_t grain) {
  Case test("threads=%d count=%lld grain=%lld", pool.threads(), static_cast<long long>(count),
            static_cast<long long>(grain));
  std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
  std::atomic<int> bad_ranges{0};
  pool.run(count, grain, [&](int64_t begin, int64_t end, int thread) {
    const bool fits = 0 <= begin && begin < end && end <= count && 0 <= thread && thread < pool.threads();
    const bool whole = begin % grain == 0 && (end % grain == 0 || end == count);
    if (!fits || !whole) ++bad_ranges;
    for (int64_t i = begin; fits && i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  test.expect(bad_ranges == 0, "%d ranges break the promise", bad_ranges.load());
  for (size_t i = 0; i < visits.size(); ++i)
    test.expect(visits[i] == 1, "index %zu visited %d times", i, visits[i].load());
}

// One thread index is never used by two threads at once: each may have its own scratch memory.
void check_exclusive_threads(ThreadPool& pool) {
  Case test("threads=%d: thread indices are exclusive", pool.threads());
  std::vector<std::atomic<int>> busy(static_cast<size_t>(pool.threads()));
  std::atomic<int> clashes{0};
  for (int region = 0; region < 200; ++region) {
    pool.run(64, 1, [&](int64_t, int64_t, int thread) {
      std::atomic<int>& mine = busy[static_cast<size_t>(thread)];
      if (mine.fetch_add(1) != 0) ++clashes;
      std::this_thread::yield();
      mine.fetch_sub(1);
    });
  }
  test.expect(clashes == 0, "%d clashes", clashes.load());
}

// Writes before a region are seen in it, and its writes after it, without any other synchronisation.
void check_small_regions(ThreadPool& pool, int regions) {
  Case test("threads=%d: %d small regions", pool.threads(), regions);
  std::vector<int64_t> in(97), out(97);
  for (int region = 0; region < regions; ++region) {
    std::iota(in.begin(), in.end(), region);
    pool.run(97, 1 + region % 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) out[static_cast<size_t>(i)] = 2 * in[static_cast<size_t>(i)];
    });
    const int64_t sum = std::accumulate(out.begin(), out.end(), int64_t{0});
    if (!test.expect(sum == 2 * (97 * region + 96 * 97 / 2), "region %d lost a result", region)) return;
  }
}

// What a body runs on its own pool stays on its thread, whole.
void check_nested_regions(ThreadPool& pool) {
  Case test("threads=%d: regions inside of one", pool.threads());
  std::atomic<int> others{0};
  std::atomic<int64_t> visits{0};
  pool.run(64, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) {
      pool.run(100, 3, [&](int64_t first, int64_t last, int inner) {
        if (pool.threads() > 1 && (inner != thread || first != 0 || last != 100)) ++others;
        visits += last - first;
      });
    }
  });
  test.expect(others == 0, "%d ranges were given away", others.load());
  test.expect(visits == 6400, "%lld visits", static_cast<long long>(visits));
}

double cpu_seconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void check_idle(ThreadPool& pool) {
  Case test("threads=%d: no CPU use while idle", pool.threads());
  pool.run(100, 1, [](int64_t, int64_t, int) {});
  usleep(50'000);  // workers may poll for a moment before they sleep
  const double before = cpu_seconds();
  usleep(400'000);
  const double used = cpu_seconds() - before;
  test.expect(used < 0.02, "used %.0f ms of CPU in 400 ms", used * 1e3);
}

void check_pools_side_by_side() {
  std::thread other([] {
    ThreadPool pool(2, {});
    std::atomic<int64_t> sum{0};
    for (int i = 0; i < 300; ++i) pool.run(50, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    if (sum != 300 * 50) abort();
  });
  ThreadPool pool(3, {});
  check_small_regions(pool, 300);
  other.join();
}

void check_short_lives() {
  Case test("pools made and dropped, used or not");
  int64_t sum = 0;
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(1 + i % 4, i % 3 == 0 ? std::vector<int>{0, 0, 0, 0} : std::vector<int>{});
    std::atomic<int64_t> count{0};
    if (i % 2 == 0) pool.run(10, 1, [&](int64_t begin, int64_t end, int) { count += end - begin; });
    sum += count;
  }
  test.expect(sum == 500, "visited %lld of 500", static_cast<long long>(sum));
}

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// Every thread runs on its core, the caller only while it is bound.
void check_binding() {
  Case test("binding to cores");
  const std::vector<int> before = allowed_cores();
  const int first = before.back(), second = before.front();
  ThreadPool pool(2, {first, second});
  {
    const lr::CallerBinding binding(pool);
    test.expect(allowed_cores() == std::vector<int>{first}, "the caller may run on %zu cores", allowed_cores().size());
    std::atomic<int> elsewhere{0};
    pool.run(1000, 1, [&](int64_t, int64_t, int thread) {
      if (allowed_cores() != std::vector<int>{thread == 0 ? first : second}) ++elsewhere;
    });
    test.expect(elsewhere == 0, "%d ranges ran on other cores", elsewhere.load());
  }
  test.expect(allowed_cores() == before, "the caller's cores were not given back");
  ThreadPool free(1, {});
  const lr::CallerBinding none(free);
  test.expect(allowed_cores() == before, "a pool without cores binds the caller");
}

}  // namespace

int main() {
  lr::test::report_crashes();
  for (const int threads : {1, 2, 3, 4, 7}) {
    ThreadPool pool(threads, {});
    Case("threads() of %d", threads).expect(pool.threads() == threads, "is %d", pool.threads());
    for (const int64_t count : {0, 1, 2, 3, 7, 64, 100, 1001}) {
      for (const int64_t grain : {1, 2, 3, 16, 64, 5000}) check_coverage(pool, count, grain);
    }
    check_exclusive_threads(pool);
    check_nested_regions(pool);
    check_small_regions(pool, 2000);
    check_idle(pool);
  }
  check_pools_side_by_side();
  check_binding();
  check_short_lives();
  return lr::test::report();
}
