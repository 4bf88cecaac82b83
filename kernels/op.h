// The contract between an op and the runtime: describe -> offer -> bind -> launch.
// An op family is a folder kernels/<family>/ with <family>.cpp (what it is: <family>_ops()),
// <family>_cpu.cpp (<family>_cpu_kernels()) and <family>.cu (<family>_cuda_kernels()); the build
// finds them by name (cmake/families.cmake) and nobody edits a list.
#pragma once
#include <fornax/attributes.h>
#include <fornax/dtype.h>
#include <fornax/error.h>
#include <fornax/graph.h>
#include <fornax/shape.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/device/launch_table.h"
#include "kernels/numeric/arithmetic.h"

namespace fornax::host {
struct RowKernel;
}

namespace fornax::kernels {

/// Elements between neighbours along each axis.
using Strides = std::array<std::int64_t, Shape::kMaxRank>;

/// Shape, dtype and layout of an operand; dtype none: the operand is absent.
struct TensorType {
  DType dtype = DType::none;
  Shape shape;
  Strides strides{};

  TensorType() = default;
  TensorType(DType dtype_, const Shape& shape_);  ///< row-major
  bool present() const noexcept { return dtype != DType::none; }
  bool contiguous() const noexcept;
  std::int64_t bytes() const noexcept { return shape.elements() * size_bytes(dtype); }
  /// From the first to the last element; strides may repeat or leave out bytes.
  std::int64_t span_bytes() const noexcept;
  bool operator==(const TensorType&) const noexcept = default;
};
std::string to_string(const TensorType& type);  ///< "f32 [64, 784]"

struct Signature {
  std::span<const TensorType> in, out;
  const Attributes& attributes;
};

/// How output `out` relates to input `in`. A view shares bytes, starting `offset_elements` into the
/// input; may_overwrite: elementwise, so the planner may give both one place when the input dies
/// here; updates_state: the output is the new content of the state that the input names.
struct Alias {
  enum class Kind { view, may_overwrite, updates_state };
  int out = 0, in = 0;
  Kind kind = Kind::view;
  std::int64_t offset_elements = 0;
};
using AliasList = std::vector<Alias>;

struct Cost {
  double flops = 0, operations = 0;  ///< see Arithmetic; operations below flops / 2: not counted
  double quotients = 0;              ///< among the operations
  std::int64_t read_bytes = 0, write_bytes = 0;

  void add(numeric::Arithmetic each, std::int64_t elements) {
    flops += each.flops * static_cast<double>(elements);
    operations += each.operations * static_cast<double>(elements);
    quotients += each.quotients * static_cast<double>(elements);
  }
};

/// What changes from step to step, in device memory; plain data, uploaded before each step.
struct StepState {
  static constexpr int kMaxScalars = 32;
  std::int64_t step;          ///< completed training steps before this one
  std::uint64_t seed;         ///< key of every random number
  std::int64_t first_sample;  ///< global index of row 0 of the batch
  /// Set by a kernel that met a label or index out of range: 1 + its flat position, the smallest
  /// wins; 0: none. The offending value stands beside it.
  std::int64_t bad_index, bad_value;
  double scalars[kMaxScalars];  ///< Graph::step_scalar slots; f32 kernels round them once
};

struct ConstTensorView {
  const void* data = nullptr;
  const TensorType* type = nullptr;
  template <class T>
  const T* as() const noexcept {
    return static_cast<const T*>(data);
  }
  bool present() const noexcept { return data != nullptr; }
  const Shape& shape() const noexcept { return type->shape; }
  std::int64_t elements() const noexcept { return type->shape.elements(); }
};
struct TensorView {
  void* data = nullptr;
  const TensorType* type = nullptr;
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data);
  }
  bool present() const noexcept { return data != nullptr; }
  const Shape& shape() const noexcept { return type->shape; }
  std::int64_t elements() const noexcept { return type->shape.elements(); }
};

/// One launch. An absent operand has null data. Tensors are row-major unless the op says
/// accepts_strides. Zero-element tensors may have any pointer.
struct KernelArgs {
  std::span<const ConstTensorView> in;
  std::span<const TensorView> out;
  const Attributes* attributes = nullptr;
  std::span<std::byte> workspace;  ///< planned scratch of this launch, 256-byte aligned
  /// CPU: equal parts for `threads` threads, Offer::thread_bytes at least, 256-byte aligned. All
  /// launches of a plan have the same: its lines are in the caches of the core that wrote them.
  std::span<std::byte> thread_space;
  const void* bound = nullptr;  ///< what bind() made
  /// CPU: readable and writable here; CUDA: a device pointer. Null: the op does not use it.
  StepState* step = nullptr;
  int threads = 1;         ///< CPU: for parallel_for
  std::int64_t bands = 1;  ///< CPU: launches like this one that write a tensor together
  device::Queue queue;     ///< CUDA: where to launch
};

enum class Backend { reference, cpu, cuda };

/// What kernels may know of a machine when they are chosen; it need not be present.
struct DeviceModel {
  Backend backend = Backend::cpu;
  std::string name = "cpu";
  int architecture = 0;  ///< CUDA: 80, 90; else 0
  int multiprocessors = 1, threads = 1, streams = 1;
  std::int64_t memory_bytes = 0, shared_bytes_per_block = 0;
  double f32_flops = 0, bf16_flops = 0, bytes_per_second = 0;  ///< ceilings; 0: unknown
  /// cuda: the module whose kernels serve, "cuda" or "simt"; empty (a model made by hand): those of
  /// whichever module is loaded.
  std::string module = {};

  static DeviceModel a100();
  static DeviceModel h100();
  static DeviceModel h200();
};

/// The answer of a kernel at plan time; an empty refusal accepts.
struct Offer {
  std::string refusal;  ///< "linear_mma: K % 8 == 0 needed, got K = 30"
  std::int64_t workspace_bytes = 0;
  std::uint32_t variant = 0;
  std::int64_t thread_bytes = 0;  ///< CPU: scratch of each thread
};

/// One way to run one op on one backend. offer is pure: the same answer without the device.
/// A family lists kernels in order of preference.
struct Kernel {
  std::string_view op, name;
  Offer (*offer)(const Signature&, const DeviceModel&);
  /// Optional: what launch needs beyond its arguments (handles, tables); made once per program.
  std::shared_ptr<const void> (*bind)(const Signature&, const Offer&, const DeviceModel&);
  void (*launch)(const KernelArgs&);
  bool library = false;  ///< a vendor's library computes it, in that library's order of sums
  /// CPU, optional: the same row by row (kernels/host/row_kernel.h).
  const host::RowKernel* by_rows = nullptr;
};

/// What a gradient rule sees. It sets d_in[i] for every i with needed[i], by adding nodes through
/// the public functions; d_out[i] is absent when nothing depends on output i.
struct GradientRule {
  Graph graph;
  std::span<const Value> in, out, d_out;
  const Attributes& attributes;
  std::span<const char> needed;
  std::span<Value> d_in;
};

/// A producer and a consumer that reads output `producer_output` as its input `consumer_input`.
struct NodeView {
  std::string_view op;
  std::span<const Value> in, out;
  const Attributes& attributes;
};
struct Match {
  NodeView producer, consumer;
  int producer_output, consumer_input;
  int other_uses;  ///< of that value: reads besides the consumer's, and 1 more if the step returns
                   ///< it
};
/// One node that stands for both; it makes the values `out` (kept handles; absent: not needed).
struct Merged {
  std::string_view op;
  std::vector<Value> in, out;
  Attributes attributes;
};
/// merge fills `merged` and returns true, or returns false. Bits must not change by it.
struct Fusion {
  std::string_view producer, consumer;
  bool (*merge)(const Match&, Merged& merged);
};

/// What recomputing costs; random ops are keyed by element, so they recompute exactly.
enum class Recompute { never, free, cheap, heavy };

struct OpDefinition {
  std::string_view name;
  int version = 1;  ///< stored in checkpoints
  /// Shape rule: appends the type of every output. Throws Error{shape|dtype|invalid_argument}.
  void (*infer)(std::span<const TensorType> in, const Attributes&, std::vector<TensorType>& out);
  void (*gradient)(GradientRule&) = nullptr;  ///< null: gradients() throws, naming op and node
  /// The definition of the bits, and the judge of accuracy: floating operands are f32 or f64.
  void (*reference_f32)(const KernelArgs&) = nullptr;
  void (*reference_f64)(const KernelArgs&) = nullptr;
  Cost (*cost)(const Signature&) = nullptr;
  void (*aliases)(const Signature&, AliasList&) = nullptr;  ///< null: none
  std::span<const Fusion> fusions = {};                     ///< with this op as the consumer
  Recompute recompute = Recompute::heavy;
  bool accepts_strides = false;  ///< inputs need not be row-major
  bool weight_gradient = false;  ///< may run on the second stream
  bool uses_step = false;        ///< it reads or writes KernelArgs::step
};

/// The op of that name; throws Error{not_found}.
const OpDefinition& find_op(std::string_view name);
std::span<const OpDefinition* const> all_ops();
/// Kernels of an op on a backend, in order of preference; reference has none (see OpDefinition).
/// A CUDA model is answered from what its module gave to register_cuda_kernels().
std::vector<const Kernel*> find_kernels(std::string_view op, const DeviceModel& model);
/// The same for a model of that backend with no module named.
std::vector<const Kernel*> find_kernels(std::string_view op, Backend backend);
void register_cuda_kernels(std::string_view module, std::span<const Kernel> kernels);

/// Throws Error{code, message} unless `condition`. The second form puts nothing together before.
inline void require(bool condition, ErrorCode code, const std::string& message) {
  if (!condition) throw Error(code, message);
}
inline void require(bool condition, ErrorCode code, const char* message) {
  if (!condition) throw Error(code, message);
}

/// A cost of reading every input and writing every output once, and `flops_per_element` of out[0].
/// What a broadcast view repeats is read once.
Cost streaming_cost(const Signature& signature, numeric::Arithmetic of_an_element);

}  // namespace fornax::kernels
