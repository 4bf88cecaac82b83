// See kernel_check.h.
#include "tests/kernels/kernel_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "tests/allocation_count.h"
#include "tests/kernels/card.h"
#include "tests/kernels/every_isa.h"
#ifdef FORNAX_SIMT_KERNELS
#include "kernels/op_table.h"
#include "runtime/cuda/simt/machine.h"
#include "tests/kernels/library_kernels.h"
#endif

namespace fornax {

using kernels::Alias;
using kernels::Kernel;

namespace {

/// Index of the first element with other bits (NaNs are equal), or -1.
std::int64_t first_difference(const StoredValue& a, const StoredValue& b) {
  const std::int64_t count = a.type.shape.elements(), size = size_bytes(a.type.dtype);
  const auto* x = static_cast<const std::byte*>(a.data());
  const auto* y = static_cast<const std::byte*>(b.data());
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::memcmp(x + i * size, y + i * size, static_cast<std::size_t>(size)) == 0) continue;
    const double u = element_of(x, a.type.dtype, i), v = element_of(y, a.type.dtype, i);
    if (!(u != u && v != v)) return i;
  }
  return -1;
}

/// Index of the first element further than tolerance * max |b| from b, or -1.
std::int64_t first_beyond(const StoredValue& a, const StoredValue& b, double tolerance) {
  const std::int64_t count = a.type.shape.elements();
  double largest = 0;
  for (std::int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(element_of(b.data(), b.type.dtype, i)));
  for (std::int64_t i = 0; i < count; ++i) {
    const double difference =
        std::abs(element_of(a.data(), a.type.dtype, i) - element_of(b.data(), b.type.dtype, i));
    if (!(difference <= tolerance * largest)) return i;
  }
  return -1;
}

struct Trial {
  const Kernel& kernel;
  const NodeData& node;
  kernels::Offer offer;
  std::shared_ptr<const void> bound;
  int threads;
  const Alias* in_place;  ///< or null
  std::string label;
  device::Queue queue = {};
  double tolerance = 0;  ///< 0: the same bits; else relative to the output's largest magnitude
  bool on_card = false;
  bool shifted = false;  ///< inputs begin one element behind what is aligned, as slices may
};

/// Its copy, one element further into memory.
void shift(StoredValue& value) {
  if (!value.memory) return;
  const auto bytes = static_cast<std::int64_t>(value.memory->bytes());
  const std::int64_t size = size_bytes(value.type.dtype);
  const auto moved = std::make_shared<GuardedMemory>(bytes + size);
  std::memcpy(moved->data() + size, value.memory->data(), value.memory->bytes());
  value.memory = moved, ++value.offset_elements;
}

/// The reference's inputs, with outputs of their own; in place where the trial says so.
NodeOperands fresh_operands(const NodeOperands& reference, const Trial& trial,
                            const kernels::AliasList& aliases) {
  NodeOperands operands = reference;
  for (StoredValue& value : operands.out)
    if (value.memory)
      value.memory = std::make_shared<GuardedMemory>(
          static_cast<std::int64_t>(value.memory->bytes()), trial.threads % 2 ? 0xff : 0x00);
  if (trial.shifted)
    for (StoredValue& value : operands.in) shift(value);
  operands.make_views();
  for (const Alias& alias : aliases)
    if (alias.kind == Alias::Kind::updates_state) operands.share(alias);
  if (trial.in_place) operands.share(*trial.in_place);
  return operands;
}

void run_trial(const Trial& trial, const NodeOperands& reference, const kernels::AliasList& aliases,
               const kernels::StepState& step) {
  NodeOperands operands = fresh_operands(reference, trial, aliases);
  GuardedMemory workspace(trial.offer.workspace_bytes);
  GuardedMemory thread_space(trial.offer.thread_bytes * trial.threads);
  kernels::StepState own_step = step;
  kernels::KernelArgs args;
  args.in = operands.in_views, args.out = operands.out_views;
  args.attributes = &trial.node.attributes;
  args.workspace = {workspace.data(), workspace.bytes()};
  args.thread_space = {thread_space.data(), thread_space.bytes()};
  args.bound = trial.bound.get();
  args.step = trial.node.op->uses_step ? &own_step : nullptr;
  args.threads = trial.threads;
  args.queue = trial.queue;
  const std::int64_t before = allocation_count();
  if (trial.on_card)
    launch_on_device(card(), {trial.kernel, args, operands, workspace}, !trial.in_place);
  else
    trial.kernel.launch(args);
  if (!trial.queue.table && !trial.on_card) {
    EXPECT_EQ(allocation_count(), before) << trial.label << " allocates in launch";
  }
  EXPECT_TRUE(workspace.intact()) << trial.label << " writes past its workspace";
  EXPECT_TRUE(thread_space.intact()) << trial.label << " writes past the space of its threads";
  for (std::size_t i = 0; i < operands.out.size(); ++i) {
    if (!operands.out[i].memory) continue;
    EXPECT_TRUE(operands.out[i].memory->intact()) << trial.label << " writes past output " << i;
    const bool exact = trial.tolerance == 0 || !is_floating(operands.out[i].type.dtype);
    const std::int64_t at = exact
                                ? first_difference(operands.out[i], reference.out[i])
                                : first_beyond(operands.out[i], reference.out[i], trial.tolerance);
    if (at < 0) continue;
    ADD_FAILURE() << trial.label << ": output " << i << " element " << at << " is "
                  << element_of(operands.out[i].data(), operands.out[i].type.dtype, at)
                  << ", the reference has "
                  << element_of(reference.out[i].data(), reference.out[i].type.dtype, at);
  }
}

/// A node's signature, whose spans point into it.
struct NodeSignature {
  std::vector<kernels::TensorType> in, out;
  kernels::AliasList aliases;
  std::vector<const Alias*> places = {nullptr};  ///< apart, and in place where the op allows
  const NodeData& node;

  NodeSignature(const NodeData& node_, const NodeOperands& operands) : node(node_) {
    for (const StoredValue& value : operands.in) in.push_back(value.type);
    for (const StoredValue& value : operands.out) out.push_back(value.type);
    if (node.op->aliases) node.op->aliases(signature(), aliases);
    for (const Alias& alias : aliases)
      if (alias.kind == Alias::Kind::may_overwrite) places.push_back(&alias);
  }
  kernels::Signature signature() const { return {in, out, node.attributes}; }
};

/// While it lives and `streamed`, kernels write outputs of any size past the caches.
class Streaming {
 public:
  explicit Streaming(bool streamed) : before_(host::streamed_bytes) {
    if (streamed) host::streamed_bytes = 0;
  }
  ~Streaming() { host::streamed_bytes = before_; }
  Streaming(const Streaming&) = delete;
  Streaming& operator=(const Streaming&) = delete;

 private:
  std::int64_t before_;
};

/// While it lives, kernels go through memory in the order that is quick for such hardware.
class ReadingAhead {
 public:
  explicit ReadingAhead(host::ReadAhead ahead) : before_(host::read_ahead) {
    host::read_ahead = ahead;
  }
  ~ReadingAhead() { host::read_ahead = before_; }
  ReadingAhead(const ReadingAhead&) = delete;
  ReadingAhead& operator=(const ReadingAhead&) = delete;

 private:
  host::ReadAhead before_;
};

/// With every instruction set, in every place, in the caches and past them; until one fails.
void run_everywhere(Trial trial, const NodeSignature& types, const NodeOperands& reference,
                    const kernels::StepState& step) {
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    for (const Alias* place : types.places) {
      for (const bool streamed : {false, true}) {
        const Streaming past_the_caches(streamed);
        trial.in_place = place;
        trial.label = std::string(trial.kernel.name) + " (" + host::name(isa) + ", " +
                      std::to_string(trial.threads) + " threads" + (streamed ? ", streamed" : "") +
                      (place ? ", in place)" : ")");
        run_trial(trial, reference, types.aliases, step);
        if (testing::Test::HasFailure()) return;
      }
    }
    trial.in_place = nullptr, trial.shifted = true;
    trial.label += " (shifted)";
    run_trial(trial, reference, types.aliases, step);
    trial.shifted = false;
  }
}

/// True when the kernel accepted and ran.
bool try_cpu_kernel(const Kernel& kernel, const NodeSignature& types, const NodeOperands& reference,
                    const kernels::StepState& step, std::string& refusals) {
  for (const int threads : {1, 2, 3}) {
    kernels::DeviceModel model;
    model.threads = threads;
    const kernels::Offer offer = kernel.offer(types.signature(), model);
    if (!offer.refusal.empty()) {
      refusals += offer.refusal + "; ";
      return false;
    }
    const auto bound = kernel.bind ? kernel.bind(types.signature(), offer, model) : nullptr;
    const ReadingAhead order(threads == 2 ? host::ReadAhead::along : host::ReadAhead::streams);
    run_everywhere({kernel, types.node, offer, bound, threads, nullptr, ""}, types, reference,
                   step);
    if (testing::Test::HasFailure()) break;
  }
  return true;
}

}  // namespace

KernelCheckResult check_cpu_kernels(const NodeData& node, NodeOperands& reference,
                                    const kernels::StepState& step) {
  KernelCheckResult result;
  const NodeSignature types(node, reference);
  const IsaRestorer restore;
  host::parallel_for(3, 1, 3, [](std::int64_t, std::int64_t) {});  // grows the pool
  for (const Kernel* kernel : kernels::find_kernels(node.op->name, kernels::Backend::cpu)) {
    ++result.offered;
    result.ran += try_cpu_kernel(*kernel, types, reference, step, result.refusals);
    if (testing::Test::HasFailure()) break;
  }
  return result;
}

namespace {

/// What stays the same over the kernels of a node.
struct CudaCheck {
  const NodeData& node;
  const NodeOperands& reference;
  const kernels::StepState& step;
  const kernels::DeviceModel& model;
  device::Queue queue;
  double tolerance;
  bool on_card;
  Places places;
};

void check_cuda_kernel(const CudaCheck& check, const Kernel& kernel, const NodeSignature& types,
                       KernelCheckResult& result) {
  ++result.offered;
  const kernels::Offer offer = kernel.offer(types.signature(), check.model);
  if (!offer.refusal.empty()) {
    result.refusals += offer.refusal + "; ";
    return;
  }
  const auto bound = kernel.bind ? kernel.bind(types.signature(), offer, check.model) : nullptr;
  int order = 0;
  for (const Alias* place : types.places) {
    if (place && check.places == Places::apart) break;
#ifdef FORNAX_SIMT_KERNELS
    simt::options().seed = static_cast<std::uint32_t>(order);  // of warps and blocks
#endif
    const std::string label = std::string(kernel.name) + (check.on_card ? " (on the card)" : "") +
                              (place ? " (in place)" : "");
    run_trial({kernel, check.node, offer, bound, order++, place, label, check.queue,
               check.tolerance, check.on_card},
              check.reference, types.aliases, check.step);
    if (testing::Test::HasFailure()) return;
  }
  if (check.places != Places::apart)
    run_trial(
        {kernel, check.node, offer, bound, 1, nullptr, std::string(kernel.name) + " (shifted)",
         check.queue, check.tolerance, check.on_card, true},
        check.reference, types.aliases, check.step);
  ++result.ran;
  result.names.emplace_back(kernel.name);
}

KernelCheckResult check_cuda_kernels(const CudaCheck& check) {
  KernelCheckResult result;
  const NodeSignature types(check.node, check.reference);
  for (const Kernel* kernel : kernels::find_kernels(check.node.op->name, check.model)) {
    check_cuda_kernel(check, *kernel, types, result);
    if (testing::Test::HasFailure()) break;
  }
  return result;
}

}  // namespace

KernelCheckResult check_kernels_on_card(const NodeData& node, NodeOperands& reference,
                                        const kernels::StepState& step, double tolerance) {
  if (!card()) return {};
  return check_cuda_kernels(
      {node, reference, step, card()->model(), {}, tolerance, true, Places::and_in_place});
}

#ifdef FORNAX_SIMT_KERNELS
KernelCheckResult check_cuda_kernels(const NodeData& node, NodeOperands& reference,
                                     const kernels::StepState& step, double tolerance,
                                     Places places) {
  static const bool registered = [] {
    for (const auto& family : kernels::cuda_kernels_table())
      kernels::register_cuda_kernels("test", family);
    kernels::register_cuda_kernels("test", library_kernels());
    return true;
  }();
  (void)registered;
  kernels::DeviceModel model = kernels::DeviceModel::h100();
  model.module = "test";
  const device::Queue queue{nullptr, &simt::launch_table(), nullptr};
  return check_cuda_kernels({node, reference, step, model, queue, tolerance, false, places});
}
#else
KernelCheckResult check_cuda_kernels(const NodeData&, NodeOperands&, const kernels::StepState&,
                                     double, Places) {
  return {};
}
#endif

}  // namespace fornax
