// The child's stderr goes through a pipe; _exit keeps the child from running the parent's exits.
#include "tests/simt/run_in_child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

// Sanitizers stop at the first report: nothing after it counts.
extern "C" const char* __tsan_default_options() {
  return "halt_on_error=1:exitcode=66:report_bugs=1";
}
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace fornax::simt_test {

Mode built_mode() {
#if defined(SIMT_ADDRESS)
  return Mode::address;
#elif defined(SIMT_THREAD)
  return Mode::thread;
#else
  return Mode::plain;
#endif
}

namespace {

int run_and_tell(const std::function<bool()>& right) {
  try {
    if (right()) return 0;
    std::fprintf(stderr, "wrong values\n");
    return 3;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

}  // namespace

Outcome run_in_child(const std::function<bool()>& right) {
  int ends[2];
  if (pipe(ends) != 0) return {false, "no pipe"};
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    dup2(ends[1], STDERR_FILENO);
    _exit(run_and_tell(right));
  }
  close(ends[1]);
  Outcome outcome{false, ""};
  char bytes[4096];
  for (ssize_t got; (got = read(ends[0], bytes, sizeof bytes)) > 0;)
    outcome.text.append(bytes, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.silent = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (WIFSIGNALED(status)) outcome.text += " crashed";
  return outcome;
}

}  // namespace fornax::simt_test
