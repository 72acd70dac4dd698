// What is left out of the C++ library where it is linked into the engine, as in release wheels.
#include <cstddef>

#ifdef _LIBCPP_VERSION
// Names types for the message of std::terminate, which nothing here reaches: the real one is a large part of the whole.
extern "C" char* __cxa_demangle(const char*, char*, size_t*, int* status) {
  if (status != nullptr) *status = -1;  // it has failed
  return nullptr;
}
#endif
