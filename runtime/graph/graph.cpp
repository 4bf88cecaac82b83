// Building graphs.
#include <fornax/error.h>

#include <algorithm>

#include "runtime/graph/graph_data.h"

namespace fornax {

using kernels::require;
using kernels::TensorType;

int GraphData::add_value(ValueData value) {
  values.push_back(std::move(value));
  return static_cast<int>(values.size()) - 1;
}

const Shape& Value::shape() const {
  require(data_, ErrorCode::invalid_argument, "value: shape() of an absent value");
  return data_->values[static_cast<std::size_t>(id_)].type.shape;
}

DType Value::dtype() const {
  require(data_, ErrorCode::invalid_argument, "value: dtype() of an absent value");
  return data_->values[static_cast<std::size_t>(id_)].type.dtype;
}

std::string Value::name() const {
  require(data_, ErrorCode::invalid_argument, "value: name() of an absent value");
  const ValueData& value = data_->values[static_cast<std::size_t>(id_)];
  if (!value.name.empty()) return value.name;
  return std::string("%") + std::to_string(id_);
}

Graph Value::graph() const {
  require(data_, ErrorCode::invalid_argument, "value: graph() of an absent value");
  return Graph(data_->weak.lock());
}

Graph::Graph(Mode mode) : data_(std::make_shared<GraphData>()) {
  data_->mode = mode;
  data_->weak = data_;
}

Mode Graph::mode() const noexcept { return data_->mode; }
std::int64_t Graph::node_count() const noexcept {
  return static_cast<std::int64_t>(data_->nodes.size());
}

namespace {

int add_named(GraphData& graph, std::string name, ValueData value) {
  require(!name.empty() && name.back() != '.', ErrorCode::invalid_argument,
          "graph: an input, parameter or state needs a name");
  require(!graph.named.contains(name), ErrorCode::invalid_argument,
          "graph: the name '" + name + "' is taken; give another, or use Graph::Scope");
  value.name = name;
  const int id = graph.add_value(std::move(value));
  graph.named.emplace(std::move(name), id);
  return id;
}

}  // namespace

Value Graph::input(std::string_view name, const Shape& shape, DType dtype) {
  require(dtype != DType::none, ErrorCode::dtype,
          "graph: input '" + std::string(name) + "' needs a dtype");
  ValueData value;
  value.type = TensorType(dtype, shape);
  value.role = Role::input;
  return data_->handle(add_named(*data_, std::string(name), std::move(value)));
}

Value Graph::parameter(std::string_view name, const Shape& shape, Initializer initializer,
                       ParameterOptions options) {
  ValueData value;
  value.type = TensorType(DType::f32, shape);
  value.role = Role::parameter;
  value.trainable = options.trainable;
  value.initializer = initializer;
  return data_->handle(add_named(*data_, data_->scope + std::string(name), std::move(value)));
}

Value Graph::state(std::string_view name, const Shape& shape, Initializer initializer,
                   DType dtype) {
  ValueData value;
  value.type = TensorType(dtype, shape);
  value.role = Role::state;
  value.initializer = initializer;
  return data_->handle(add_named(*data_, data_->scope + std::string(name), std::move(value)));
}

Value Graph::constant(double number, const Shape& shape, DType dtype) {
  return add("fill", {},
             {{"value", number},
              {"shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
              {"dtype", std::string(fornax::name(dtype))}})[0];
}

std::vector<Value> Graph::parameters() const {
  std::vector<Value> found;
  for (int id = 0; id < static_cast<int>(data_->values.size()); ++id) {
    const ValueData& value = data_->values[static_cast<std::size_t>(id)];
    if (value.role == Role::parameter && value.trainable) found.push_back(data_->handle(id));
  }
  return found;
}

Value Graph::find(std::string_view name) const {
  const auto found = data_->named.find(name);
  return found == data_->named.end() ? Value() : data_->handle(found->second);
}

Graph::Scope::Scope(Graph graph, std::string_view name)
    : data_(graph.data_), length_before_(data_->scope.size()) {
  require(!name.empty(), ErrorCode::invalid_argument, "graph: a scope needs a name");
  data_->scope += std::string(name) + '.';
}
Graph::Scope::~Scope() { data_->scope.resize(length_before_); }

std::string Graph::unique_name(std::string_view prefix) {
  std::string name = data_->scope + std::string(prefix);
  const int before = data_->used_names[name]++;
  return before == 0 ? name : name + '_' + std::to_string(before);
}

int Graph::step_scalar(std::string_view name, double initial) {
  auto& scalars = data_->scalars;
  const auto found = std::find_if(scalars.begin(), scalars.end(),
                                  [&](const StepScalar& s) { return s.name == name; });
  if (found != scalars.end()) return static_cast<int>(found - scalars.begin());
  require(scalars.size() < kernels::StepState::kMaxScalars, ErrorCode::invalid_argument,
          "graph: step scalar '" + std::string(name) + "' is one too many; the limit is " +
              std::to_string(kernels::StepState::kMaxScalars));
  scalars.push_back({std::string(name), initial});
  return static_cast<int>(scalars.size()) - 1;
}

namespace {

std::string operand_list(std::span<const TensorType> types) {
  std::string text;
  for (const TensorType& type : types) text += (text.empty() ? "" : ", ") + to_string(type);
  return text;
}

}  // namespace

std::vector<Value> Graph::add(std::string_view op, std::span<const Value> inputs,
                              Attributes attributes) {
  NodeData node;
  node.op = &kernels::find_op(op);
  node.scope = data_->scope;
  std::vector<TensorType> in, out;
  for (const Value& value : inputs) {
    require(!value || value.data_ == data_.get(), ErrorCode::invalid_argument,
            std::string(op) + ": operand '" + (value ? value.name() : "") +
                "' belongs to another graph");
    node.in.push_back(value ? value.id() : kAbsent);
    in.push_back(data_->type_of(node.in.back()));
    if (in.back().contiguous() || node.op->accepts_strides || !value) continue;
    node.in.back() = add("contiguous", {value})[0].id();  // a strided view for a row-major reader
    in.back() = data_->type_of(node.in.back());
  }
  try {
    node.op->infer(in, attributes, out);
  } catch (const Error& error) {
    throw Error(error.code(), std::string(op) + " (node " + std::to_string(data_->nodes.size()) +
                                  (node.scope.empty() ? "" : ", scope " + node.scope) + "; in " +
                                  operand_list(in) + "): " + error.what());
  }
  node.attributes = std::move(attributes);
  std::vector<Value> results;
  for (std::size_t i = 0; i < out.size(); ++i) {
    ValueData value;
    value.type = out[i];
    value.producer = static_cast<int>(data_->nodes.size());
    value.output = static_cast<int>(i);
    node.out.push_back(data_->add_value(std::move(value)));
    results.push_back(data_->handle(node.out.back()));
  }
  data_->nodes.push_back(std::move(node));
  return results;
}

}  // namespace fornax
