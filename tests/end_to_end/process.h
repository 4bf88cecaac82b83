// Runs a sample as a process of its own and collects what it prints.
#pragma once
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace fornax {

struct ProcessResult {
  int status = -1;
  std::string output;  ///< standard output and error
};

/// Runs `command` by the shell, with `environment` ("NAME=value ...") in front.
inline ProcessResult run_process(const std::string& environment, const std::string& command) {
  ProcessResult result;
  FILE* pipe = popen((environment + ' ' + command + " 2>&1").c_str(), "r");
  if (!pipe) return result;
  char text[512];
  while (std::fgets(text, sizeof text, pipe)) result.output += text;
  const int status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}

inline std::string sample(const std::string& name) {
  return std::string(FORNAX_SAMPLES_DIR) + '/' + name;
}

}  // namespace fornax
