// A function as an argument: refers to what it was made of, which must outlive it. std::function, which owns, is
// larger.
#pragma once

#include <type_traits>

namespace lr {

template <class Signature>
class FunctionRef;

template <class Result, class... Arguments>
class FunctionRef<Result(Arguments...)> {
 public:
  FunctionRef() = default;
  template <class Function, class = std::enable_if_t<!std::is_same_v<Function, FunctionRef>>>
  FunctionRef(const Function& function)
      : function_(&function), call_([](const void* erased, Arguments... arguments) -> Result {
          return (*static_cast<const Function*>(erased))(static_cast<Arguments>(arguments)...);
        }) {}

  explicit operator bool() const { return call_ != nullptr; }
  Result operator()(Arguments... arguments) const { return call_(function_, static_cast<Arguments>(arguments)...); }

 private:
  const void* function_ = nullptr;
  Result (*call_)(const void* function, Arguments... arguments) = nullptr;
};

}  // namespace lr
