// A test harness of one page. A Case is one thing tried; it passes unless an expectation fails in it.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace lr::test {

struct Totals {
  int passed = 0;
  int failed = 0;
  char current[256] = "start-up";
};
inline Totals totals;

class Case {
 public:
  explicit __attribute__((format(printf, 2, 3))) Case(const char* format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(totals.current, sizeof totals.current, format, args);
    va_end(args);
  }
  ~Case() { ++(ok_ ? totals.passed : totals.failed); }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  // The first failure of a case is shown, in at most 40 cases.
  __attribute__((format(printf, 3, 4))) bool expect(bool condition, const char* format, ...) {
    if (condition) return true;
    if (ok_ && totals.failed < 40) {
      printf("FAILED %s: ", totals.current);
      va_list args;
      va_start(args, format);
      vprintf(format, args);
      va_end(args);
      printf("\n");
    }
    ok_ = false;
    return false;
  }

 private:
  bool ok_ = true;
};

// Names the case in which the process dies, e.g. at the page behind a buffer or of an illegal instruction.
inline void report_crashes() {
  const auto handler = [](int number) {
    char text[320];
    const int length = snprintf(text, sizeof text, "CRASHED (signal %d) in %s\n", number, totals.current);
    if (write(STDOUT_FILENO, text, static_cast<size_t>(length)) < 0) _exit(2);
    _exit(1);
  };
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) signal(number, handler);
}

// The closing line and the exit status of a test program.
inline int report() {
  printf("%d passed, %d failed\n", totals.passed, totals.failed);
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace lr::test
