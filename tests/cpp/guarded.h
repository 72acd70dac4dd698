// Test buffers that notice access outside them, and the values to put into them.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>

#include "check.h"

namespace lr::test {

// `count` elements that end at an inaccessible page: reading or writing behind them crashes. In front of
// them lies a pattern; intact() tells whether it was written to. The elements start as the pattern too.
template <class T>
class Guarded {
 public:
  explicit Guarded(size_t count) : count_(count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    body_ = (count * sizeof(T) + kFront + page - 1) / page * page;
    void* memory = mmap(nullptr, body_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    base_ = static_cast<unsigned char*>(memory);
    if (mprotect(base_ + body_, page, PROT_NONE) != 0) abort();
    size_ = body_ + page;
    memset(base_, kPattern, body_);
  }
  ~Guarded() { munmap(base_, size_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return reinterpret_cast<T*>(base_ + body_) - count_; }
  const T* data() const { return reinterpret_cast<const T*>(base_ + body_) - count_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  size_t size() const { return count_; }
  T* begin() { return data(); }
  T* end() { return data() + count_; }

  bool intact() const {
    const unsigned char* front = reinterpret_cast<const unsigned char*>(data());
    for (const unsigned char* p = front - kFront; p < front; ++p) {
      if (*p != kPattern) return false;
    }
    return true;
  }
  // True if nobody wrote to element i.
  bool untouched(size_t i) const {
    unsigned char bytes[sizeof(T)];
    memcpy(bytes, data() + i, sizeof bytes);
    for (const unsigned char byte : bytes) {
      if (byte != kPattern) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kFront = 64;
  static constexpr unsigned char kPattern = 0xb5;
  size_t count_, body_, size_;
  unsigned char* base_;
};

inline std::mt19937& generator() {
  static std::mt19937 engine(20240607);
  return engine;
}

template <class Range>
void fill_uniform(Range& range, float lo, float hi) {
  std::uniform_real_distribution<float> distribution(lo, hi);
  for (float& x : range) x = distribution(generator());
}

// Small integers: sums of their products are exact in float, so every order of adding gives the same.
template <class Range>
void fill_integers(Range& range) {
  std::uniform_int_distribution<int> distribution(-8, 8);
  for (float& x : range) x = static_cast<float>(distribution(generator()));
}

inline float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline bool is_denormal(double x) { return x != 0 && std::fabs(x) < 1.17549435e-38; }

// Distance of `got` from the exact result in units in the last place of the float nearest to it. Infinity
// counts as 2^128; NaN agrees with NaN only.
inline double ulps(float got, double exact) {
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : INFINITY;
  const double top = 340282366920938463463374607431768211456.0;
  const double g = std::isinf(got) ? std::copysign(top, got) : got;
  const double e = std::fabs(exact) > top ? std::copysign(top, exact) : exact;
  int exponent;
  std::frexp(e, &exponent);
  if (e == 0 || exponent < -125) exponent = -125;
  return std::fabs(g - e) / std::ldexp(1.0, exponent - 24);
}

}  // namespace lr::test
