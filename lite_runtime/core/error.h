// The engine's one exception type; the C interface turns it into an lr_status and a message.
#pragma once

#include <cstdarg>
#include <stdexcept>
#include <string>

#include "lite_runtime.h"

namespace lr {

class Error : public std::runtime_error {
 public:
  Error(lr_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  lr_status status() const { return status_; }

 private:
  lr_status status_;
};

// printf-style message.
[[noreturn]] void fail(lr_status status, const char* format, ...) __attribute__((format(printf, 2, 3)));

std::string format_message(const char* format, va_list args);
std::string formatted(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Thrown by Op::infer when an input's value is needed and will only be known at run time.
struct ValueUnknown {};

}  // namespace lr
