// A benchmark's process: it loads a case, runs steps on demand and says how long they took.
#pragma once
#include <fornax/program.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace fornax::bench {

/// The words KEY=VALUE that describe a case.
class Settings {
 public:
  /// Throws std::runtime_error for a word without "=".
  explicit Settings(const std::vector<std::string>& words);
  std::string text(const std::string& key, const std::string& otherwise) const;
  std::int64_t integer(const std::string& key, std::int64_t otherwise) const;
  double number(const std::string& key, double otherwise) const;
  /// Numbers between commas.
  std::vector<std::int64_t> list(const std::string& key) const;
  Device device() const;

 private:
  std::map<std::string, std::string> values_;
};

/// What a loaded case serves.
struct Case {
  std::function<void()> step;  ///< may leave work under way, which finish() waits for
  /// Numbers that a peer must give too; each group is judged by its own largest.
  std::vector<std::vector<double>> check;
  PlanSummary plan;
  std::vector<int> wanted = {};  ///< inputs that the peer must differentiate by, too
  /// Of the case that was asked for, what part a step does; 0: it cannot be made so small.
  double fraction = 1;
  std::function<void()> finish = [] {};
  std::int64_t device_bytes = 0;  ///< that it holds in a GPU's memory; answers "memory" if not 0
  std::string version = {};       ///< of a peer's library
};

using LoadCase = std::function<Case(const std::string& kind, const Settings& settings)>;

/// The process: loads the case KIND KEY=VALUE... of the command line, if there is one, prints it as
/// one line of JSON and then answers lines of standard input until they end:
///   N               the seconds that N more steps took
///   memory          the bytes that the case holds on a GPU, else the peak of resident bytes;
///                   after a load, above what was resident before it
///   load KIND ...   another case, as one line of JSON
/// Gives the exit status.
int serve(int count, char** words, const LoadCase& load);

/// Lets the peak of resident bytes begin anew, after what was needed to hand a case over. Gives
/// what is resident.
long long forget_peak();

/// Writes data=FILE, from which peers read what the case works on; nothing without that word.
void write_data(const Settings& settings, const std::map<std::string, Tensor>& tensors);

/// `count` values from the standard normal distribution.
Tensor normal_values(const Shape& shape, std::uint32_t seed);

}  // namespace fornax::bench
