// In place of libc++abi's demangler, a tenth of a library that has libc++ in it. Only the message of std::terminate
// would use it, which then names the exception's type as the compiler does. Not part of builds that share libstdc++.
#include <cstddef>

extern "C" char* __cxa_demangle(const char*, char*, size_t*, int* status) {
  constexpr int kInvalidName = -2;
  if (status != nullptr) *status = kInvalidName;
  return nullptr;
}
