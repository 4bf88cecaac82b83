// oneDNN's side of the case layer of steps_bench: the same words, the same lines in and out.
// Weights change at every step of training, so operands stay in their plain layouts.
#include <dnnl.hpp>
#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/bench/operand_case.h"

namespace {

using namespace fornax;
using dnnl::memory;

/// Tensors and the primitives that run on them, in order.
class Layer {
 public:
  explicit Layer(const bench::Settings& settings)
      : tensors_(load_safetensors(settings.text("data", ""))) {
    activation_ = algorithm_of(settings.text("activation", "gelu"));
    const std::int64_t M = settings.integer("rows", 1), K = settings.integer("inputs", 1);
    const std::int64_t N = settings.integer("outputs", 1);
    const std::string part = settings.text("part", "");
    if (part == "forward") forward(M, N, K);
    if (part == "dgrad") dgrad(M, N, K);
    if (part == "wgrad") wgrad(M, N, K);
    if (steps_.empty()) throw std::runtime_error("part: forward, dgrad or wgrad");
  }

  void run() {
    for (auto& step : steps_) step.primitive.execute(stream_, step.arguments);
    stream_.wait();
  }

  std::vector<std::vector<double>> digests() const {
    std::vector<std::vector<double>> all;
    for (const std::string& name : results_) all.push_back(bench::digest(tensors_.at(name)));
    return all;
  }

 private:
  static dnnl::algorithm algorithm_of(const std::string& activation) {
    if (activation == "gelu") return dnnl::algorithm::eltwise_gelu_erf;
    if (activation == "gelu_tanh") return dnnl::algorithm::eltwise_gelu_tanh;
    if (activation == "relu") return dnnl::algorithm::eltwise_relu;
    throw std::runtime_error(activation + ": gelu, gelu_tanh and relu only");
  }

  struct Step {
    dnnl::primitive primitive;
    std::unordered_map<int, memory> arguments;
  };

  /// A matrix of `rows` x `columns`, whose rows are a distance of `row_stride` apart.
  memory matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                bool transposed = false) {
    const memory::dims strides = transposed ? memory::dims{1, rows} : memory::dims{columns, 1};
    return {{{rows, columns}, memory::data_type::f32, strides},
            engine_,
            tensors_.at(name).bytes().data()};
  }
  memory result(const std::string& name, std::int64_t rows, std::int64_t columns) {
    tensors_[name] = Tensor(DType::f32, {rows, columns});
    results_.push_back(name);
    return matrix(name, rows, columns);
  }

  void product(const memory& a, const memory& b, const memory& c, const dnnl::primitive_attr& attr,
               const memory* bias = nullptr) {
    const auto description =
        bias != nullptr
            ? dnnl::matmul::desc(a.get_desc(), b.get_desc(), bias->get_desc(), c.get_desc())
            : dnnl::matmul::desc(a.get_desc(), b.get_desc(), c.get_desc());
    Step step{dnnl::matmul({description, attr, engine_}),
              {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}}};
    if (bias != nullptr) step.arguments.emplace(DNNL_ARG_BIAS, *bias);
    steps_.push_back(std::move(step));
  }

  void forward(std::int64_t M, std::int64_t N, std::int64_t K) {
    dnnl::post_ops activation;
    activation.append_eltwise(1.0f, activation_, 0, 0);
    dnnl::primitive_attr attr;
    attr.set_post_ops(activation);
    const memory bias = matrix("b", 1, N);
    product(matrix("x", M, K), matrix("w", K, N, true), result("y", M, N), attr, &bias);
  }

  void dgrad(std::int64_t M, std::int64_t N, std::int64_t K) {
    const memory dx = result("dx", M, K), sums = result("db", 1, K), h = matrix("h", M, K);
    product(matrix("dy", M, N), matrix("w", N, K), dx, {});
    const dnnl::eltwise_forward::primitive_desc hint(
        {dnnl::prop_kind::forward_training, activation_, h.get_desc(), 0, 0}, engine_);
    const dnnl::eltwise_backward::primitive_desc gradient(
        {activation_, dx.get_desc(), h.get_desc(), 0, 0}, engine_, hint);
    steps_.push_back({dnnl::eltwise_backward(gradient),
                      {{DNNL_ARG_SRC, h}, {DNNL_ARG_DIFF_DST, dx}, {DNNL_ARG_DIFF_SRC, dx}}});
    if (M == 1) {  // there is nothing to add, which oneDNN refuses to do
      steps_.push_back({dnnl::reorder(dx, sums), {{DNNL_ARG_FROM, dx}, {DNNL_ARG_TO, sums}}});
      return;
    }
    const dnnl::reduction::primitive_desc sum(
        {dnnl::algorithm::reduction_sum, dx.get_desc(), sums.get_desc(), 0, 0}, engine_);
    steps_.push_back({dnnl::reduction(sum), {{DNNL_ARG_SRC, dx}, {DNNL_ARG_DST, sums}}});
  }

  void wgrad(std::int64_t M, std::int64_t N, std::int64_t K) {
    product(matrix("dy", N, M, true), matrix("x", M, K), result("dw", N, K), {});
  }

  dnnl::algorithm activation_;
  TensorMap tensors_;
  std::vector<std::string> results_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::vector<Step> steps_;
};

bench::Case load(const std::string& kind, const bench::Settings& settings) {
  if (kind != "layer") throw std::runtime_error(kind + ": oneDNN is a peer of layers only");
  const auto layer = std::make_shared<Layer>(settings);
  layer->run();
  bench::Case loaded;
  loaded.check = layer->digests();
  loaded.step = [layer] { layer->run(); };
  const dnnl_version_t& is = *dnnl_version();
  loaded.version = std::to_string(is.major) + "." + std::to_string(is.minor);
  return loaded;
}

}  // namespace

int main(int count, char** words) { return bench::serve(count, words, load); }
