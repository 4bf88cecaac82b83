// A weight's gradient and its update as one node, so that the gradient need never be in memory.
// Defined as linear_wgrad followed by sgd or adamw on its result: the same bits.
#include "kernels/weight_update/weight_update.h"

#include "kernels/linear/linear_shape.h"

namespace fornax::kernels {
namespace {

const OpDefinition& update_op(const Attributes& attributes) {
  const std::string& name = attributes.text("update");
  require(name == "sgd" || name == "adamw", ErrorCode::invalid_argument,
          "update must be sgd or adamw; got '" + name + "'");
  return find_op(name);
}

/// The operands of the update's node, of which the gradient is none of ours.
template <class Operand>
std::vector<Operand> update_operands(std::span<const Operand> in, const Operand& gradient) {
  std::vector<Operand> operands{in[WeightUpdateOperands::parameter], gradient};
  const auto rest = in.subspan(WeightUpdateOperands::parameter + 1);
  operands.insert(operands.end(), rest.begin(), rest.end());
  return operands;
}

void infer_weight_update(std::span<const TensorType> in, const Attributes& attributes,
                         std::vector<TensorType>& out) {
  const auto operands = weight_update_operands(attributes);
  require(in.size() == operands.scale() + 1, ErrorCode::internal,
          "needs " + std::to_string(operands.scale() + 1) + " operands; got " +
              std::to_string(in.size()));
  require(attributes.integer("tensors") == 1, ErrorCode::internal, "updates one tensor");
  std::vector<TensorType> gradient;
  find_op("linear_wgrad").infer(in.first(2), attributes, gradient);
  update_op(attributes).infer(update_operands(in, gradient[0]), attributes, out);
}

void aliases_of_weight_update(const Signature& signature, AliasList& aliases) {
  for (std::size_t out = 0; out < signature.out.size(); ++out)
    aliases.push_back({.out = static_cast<int>(out),
                       .in = static_cast<int>(WeightUpdateOperands::parameter + out),
                       .kind = Alias::Kind::updates_state});
}

using Reference = void (*OpDefinition::*)(const KernelArgs&);

/// One op's reference after the other, the gradient between them.
template <class T, Reference reference>
void reference_weight_update(const KernelArgs& args) {
  const TensorType& type = *args.out[0].type;
  std::vector<T> elements(static_cast<std::size_t>(type.shape.elements()));
  const TensorView gradient{elements.data(), &type};
  KernelArgs product = args;
  product.in = args.in.first(2), product.out = {&gradient, 1};
  (find_op("linear_wgrad").*reference)(product);
  const auto in = update_operands(args.in, ConstTensorView{elements.data(), &type});
  KernelArgs update = args;
  update.in = in;
  (update_op(*args.attributes).*reference)(update);
}

Cost cost_of_weight_update(const Signature& signature) {
  Cost cost = streaming_cost(signature, 0);
  std::vector<TensorType> gradient{signature.out[0]};
  const auto in = update_operands(signature.in, gradient[0]);
  cost.flops =
      find_op("linear_wgrad").cost({signature.in.first(2), gradient, signature.attributes}).flops +
      update_op(signature.attributes).cost({in, signature.out, signature.attributes}).flops;
  return cost;
}

/// Of a gradient that nobody else reads. Longer sums are added chunk by chunk, in memory.
bool merge_weight_update(const Match& match, Merged& merged) {
  const NodeView &product = match.producer, &update = match.consumer;
  const auto operands = optimizer_operands(update.attributes);
  if (operands.tensors != 1 || match.other_uses > 0) return false;
  if (static_cast<std::size_t>(match.consumer_input) != operands.gradient(0)) return false;
  if (row_count(product.in[0].shape()) > kWeightGradientChunk) return false;
  merged.op = "linear_wgrad_update";
  merged.in = {product.in[0], product.in[1], update.in[0]};
  merged.in.insert(merged.in.end(), update.in.begin() + 2, update.in.end());
  merged.out.assign(update.out.begin(), update.out.end());
  merged.attributes = update.attributes;
  merged.attributes.set("update", std::string(update.op));
  return true;
}

const OpDefinition kOps[] = {
    {.name = "linear_wgrad_update",
     .infer = infer_weight_update,
     .reference_f32 = reference_weight_update<float, &OpDefinition::reference_f32>,
     .reference_f64 = reference_weight_update<double, &OpDefinition::reference_f64>,
     .cost = cost_of_weight_update,
     .aliases = aliases_of_weight_update,
     .recompute = Recompute::never,
     .uses_step = true},
};

}  // namespace

std::span<const OpDefinition> weight_update_ops() { return kOps; }

std::span<const Fusion> weight_update_fusions() {
  static constexpr Fusion kFusions[] = {{"linear_wgrad", "sgd", merge_weight_update},
                                        {"linear_wgrad", "adamw", merge_weight_update}};
  return kFusions;
}

}  // namespace fornax::kernels
