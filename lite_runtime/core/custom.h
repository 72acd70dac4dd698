// Operators registered by the program that uses the engine.
#pragma once

#include <string>

#include "lite_runtime.h"

namespace lr {

struct CustomOperator {
  lr_custom_function infer = nullptr;
  lr_custom_function compute = nullptr;
  void* user = nullptr;
};

void register_custom(const std::string& type, const CustomOperator& custom);
// False when nothing is registered under this type.
bool find_custom(const std::string& type, CustomOperator& custom);

// Message of the failing custom function on this thread.
std::string& custom_error();

}  // namespace lr
