// Runs a kernel in a child process, so that a sanitizer that ends the process can be a test result.
#pragma once
#include <functional>
#include <string>

namespace fornax::simt_test {

enum class Mode { plain, address, thread };
Mode built_mode();

struct Outcome {
  bool silent;       ///< the child ended with 0
  std::string text;  ///< what it wrote to stderr
};

/// `right` runs the kernel and says whether its values are right. An Error, wrong values, a
/// sanitizer's report or a crash is an outcome that is not silent.
Outcome run_in_child(const std::function<bool()>& right);

}  // namespace fornax::simt_test
