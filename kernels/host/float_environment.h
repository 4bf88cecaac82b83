// The processor's rounding state, which a host program may have changed.
#pragma once

namespace fornax::host {

/// What is wrong with this thread's floating-point state ("subnormals are flushed to zero (FTZ)",
/// ...), or nullptr when it rounds to nearest and keeps subnormals, as every kernel assumes.
const char* float_environment_fault() noexcept;

/// For its lifetime, this thread rounds to nearest and keeps subnormals; then the old state is
/// back.
class ExactFloatScope {
 public:
  ExactFloatScope() noexcept;
  ~ExactFloatScope();
  ExactFloatScope(const ExactFloatScope&) = delete;
  ExactFloatScope& operator=(const ExactFloatScope&) = delete;

 private:
  unsigned long saved_;
};

}  // namespace fornax::host
