// State: what outlives a step.
#pragma once
#include <fornax/device.h>
#include <fornax/graph.h>
#include <fornax/tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fornax {

struct StateData;

struct InitializeOptions {
  std::uint64_t seed = 0;
};

struct StateEntry {
  enum class Role { parameter, state };
  std::string name;
  Role role;
  DType dtype;
  Shape shape;
};

/// Parameters, moments and running statistics by name, with the step number, the seed, the step
/// scalars and the data position: what a checkpoint holds. A handle: copies share one state.
class FORNAX_API State {
 public:
  State() noexcept = default;
  explicit operator bool() const noexcept { return data_ != nullptr; }

  const Device& device() const;
  /// Entries sorted by name.
  std::vector<StateEntry> entries() const;
  bool has(std::string_view name) const;
  /// A copy in host memory, after every step that was submitted. Throws Error{not_found} naming the
  /// nearest name, and what those steps have to say (Program::submit). So do all that read values.
  Tensor get(std::string_view name) const;
  /// Throws Error{shape} or Error{dtype} when the tensor does not fit; nothing changes then.
  void set(std::string_view name, const Tensor& value);
  /// Copies of all parameters.
  std::map<std::string, Tensor> parameters() const;

  /// Completed training steps.
  std::int64_t step() const;
  void set_step(std::int64_t step);
  std::uint64_t seed() const;
  void set_seed(std::uint64_t seed);

  /// Step scalars by name, e.g. "learning_rate".
  double scalar(std::string_view name) const;
  void set_scalar(std::string_view name, double value);
  std::map<std::string, double> scalars() const;

  /// Free text that a checkpoint keeps beside the tensors, e.g. the loader's position.
  std::string note(std::string_view key) const;
  void set_note(std::string_view key, std::string value);
  std::map<std::string, std::string> notes() const;

  /// SHA-256 over names, dtypes, shapes and bits of every entry, and the step: 64 hex digits.
  std::string sha256() const;

  /// Adds what `graph` needs and this State lacks, with initial values. Existing entries stay.
  /// Throws Error{shape} or Error{dtype} when an entry is not what the graph wants, and
  /// Error{out_of_memory}; nothing is added then.
  void extend(const Graph& graph);

  const std::shared_ptr<StateData>& shared() const noexcept { return data_; }

 private:
  friend FORNAX_API State initialize(const Graph&, const Device&, const InitializeOptions&);
  std::shared_ptr<StateData> data_;
};

/// A State with initial values for every parameter and state of `graph`.
/// Throws Error{unsupported} when the device is absent (saying what is missing), and
/// Error{out_of_memory} naming the largest entries.
FORNAX_API State initialize(const Graph& graph, const Device& device = Device::automatic(),
                            const InitializeOptions& options = {});

}  // namespace fornax
