// cublasLt's side of the case layer of steps_bench: the same words, the same lines in and out. Sums
// are f32, without TF32. Bias, activation and column sums are the epilogue of the one product; it
// has epilogues of relu and gelu_tanh, not of gelu.
#include <cublasLt.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <stdexcept>
#include <type_traits>

#include "tests/bench/peers/device_tensors.h"

namespace {

using namespace fornax;
using bench::DeviceBuffer;

constexpr std::uint64_t kWorkspaceBytes = 32u << 20;
constexpr int kCandidates = 16, kTimedRounds = 5, kRunsOfRound = 10;

void check(const char* what, cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string("cublasLt: ") + what + ": " +
                             cublasLtGetStatusName(status));
}

template <class T>
using Owned =
    std::unique_ptr<std::remove_pointer_t<T>, cublasStatus_t (*)(std::remove_pointer_t<T>*)>;

template <class T, class... P>
Owned<T*> make(cublasStatus_t (*create)(T**, P...), cublasStatus_t (*destroy)(T*),
               std::type_identity_t<P>... arguments) {
  T* made = nullptr;
  check("describing a product", create(&made, arguments...));
  return {made, destroy};
}

Owned<cublasLtMatrixLayout_t> layout(std::int64_t rows, std::int64_t columns) {
  return make(cublasLtMatrixLayoutCreate, cublasLtMatrixLayoutDestroy, CUDA_R_32F,
              static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), rows);
}

/// d [rows, columns] = epilogue(op(a) op(b) + beta c), all column-major: a row-major matrix
/// is its own transpose.
class Product {
 public:
  struct Operand {
    const float* x;
    bool transposed;
  };
  struct Extents {
    std::int64_t rows, columns, inner;
  };

  Product(cublasLtHandle_t handle, Extents e, Operand a, Operand b, float* d)
      : handle_(handle),
        a_layout_(side(a, e.rows, e.inner)),
        b_layout_(side(b, e.inner, e.columns)),
        d_layout_(layout(e.rows, e.columns)),
        a_(a.x),
        b_(b.x),
        d_(d) {
    set(CUBLASLT_MATMUL_DESC_TRANSA, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  }

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t name, const Value& value) {
    check("describing a product",
          cublasLtMatmulDescSetAttribute(operation_.get(), name, &value, sizeof value));
  }

  /// Of the library's candidates the one whose runs take least, once all is set. Writes d.
  void choose() {
    const auto preference = make(cublasLtMatmulPreferenceCreate, cublasLtMatmulPreferenceDestroy);
    check("choosing an algorithm", cublasLtMatmulPreferenceSetAttribute(
                                       preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &kWorkspaceBytes, sizeof kWorkspaceBytes));
    std::vector<cublasLtMatmulHeuristicResult_t> candidates(kCandidates);
    int found = 0;
    check("choosing an algorithm",
          cublasLtMatmulAlgoGetHeuristic(handle_, operation_.get(), a_layout_.get(),
                                         b_layout_.get(), d_layout_.get(), d_layout_.get(),
                                         preference.get(), kCandidates, candidates.data(), &found));
    candidates.resize(static_cast<std::size_t>(found));
    double least = std::numeric_limits<double>::infinity();
    const cublasLtMatmulHeuristicResult_t* best = nullptr;
    workspace_ = DeviceBuffer(kWorkspaceBytes);
    for (const auto& candidate : candidates) {
      algorithm_ = candidate.algo;
      const double seconds = candidate.state == CUBLAS_STATUS_SUCCESS ? seconds_of_a_run() : least;
      if (seconds < least) least = seconds, best = &candidate;
    }
    if (best == nullptr) throw std::runtime_error("cublasLt: there is no algorithm for this layer");
    algorithm_ = best->algo;
    workspace_ = DeviceBuffer(best->workspaceSize);
  }

  void run(float beta = 0, const float* c = nullptr) const { check("a product", enqueue(beta, c)); }
  std::int64_t workspace_bytes() const { return workspace_.bytes(); }

 private:
  cublasStatus_t enqueue(float beta, const float* c) const {
    const float alpha = 1;
    return cublasLtMatmul(handle_, operation_.get(), &alpha, a_, a_layout_.get(), b_,
                          b_layout_.get(), &beta, c != nullptr ? c : d_, d_layout_.get(), d_,
                          d_layout_.get(), &algorithm_, workspace_.data(),
                          static_cast<std::size_t>(workspace_.bytes()), nullptr);
  }

  /// The least of some rounds; infinite where the library refuses the algorithm.
  double seconds_of_a_run() const {
    double least = std::numeric_limits<double>::infinity();
    if (enqueue(0, nullptr) != CUBLAS_STATUS_SUCCESS) return least;
    for (int round = 0; round < kTimedRounds; ++round) {
      bench::check("an algorithm", cudaDeviceSynchronize());
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < kRunsOfRound; ++i) run();
      bench::check("an algorithm", cudaDeviceSynchronize());
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
      least = std::min(least, taken.count() / kRunsOfRound);
    }
    return least;
  }

  static Owned<cublasLtMatrixLayout_t> side(Operand operand, std::int64_t rows,
                                            std::int64_t columns) {
    return operand.transposed ? layout(columns, rows) : layout(rows, columns);
  }

  cublasLtHandle_t handle_;
  Owned<cublasLtMatmulDesc_t> operation_ =
      make(cublasLtMatmulDescCreate, cublasLtMatmulDescDestroy, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  Owned<cublasLtMatrixLayout_t> a_layout_, b_layout_, d_layout_;
  const float *a_, *b_;
  float* d_;
  cublasLtMatmulAlgo_t algorithm_{};
  DeviceBuffer workspace_;
};

class Layer {
 public:
  explicit Layer(const bench::Settings& settings) : tensors_(settings) {
    const std::int64_t M = settings.integer("rows", 1), K = settings.integer("inputs", 1);
    const std::int64_t N = settings.integer("outputs", 1);
    const std::string part = settings.text("part", "");
    const std::string kind = settings.text("activation", "gelu");
    if (part != "wgrad" && kind != "relu" && kind != "gelu_tanh")
      throw std::runtime_error("cublasLt has no epilogue of " + kind);
    if (part == "forward") forward(M, N, K, kind == "relu");
    if (part == "dgrad") dgrad(M, N, K, kind == "relu");
    if (part == "wgrad")
      product({K, N, M}, {tensors_.at("x"), false}, {tensors_.at("dy"), true},
              result("dw", {N, K}));
    if (!product_) throw std::runtime_error("part: forward, dgrad or wgrad");
    product_->choose();
  }

  void run() const { product_->run(); }
  std::vector<std::vector<double>> digests() const {
    std::vector<std::vector<double>> all;
    for (const std::string& name : results_) all.push_back(tensors_.digest(name));
    return all;
  }
  std::int64_t bytes() const {
    return tensors_.bytes() + saved_.bytes() + product_->workspace_bytes();
  }

 private:
  float* result(const std::string& name, const Shape& shape) {
    results_.push_back(name);
    return tensors_.add(name, shape);
  }
  void product(Product::Extents extents, Product::Operand a, Product::Operand b, float* d) {
    product_ = std::make_unique<Product>(handle_.get(), extents, a, b, d);
  }

  void forward(std::int64_t M, std::int64_t N, std::int64_t K, bool relu) {
    product({N, M, K}, {tensors_.at("w"), true}, {tensors_.at("x"), false}, result("y", {M, N}));
    product_->set(CUBLASLT_MATMUL_DESC_EPILOGUE,
                  relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS);
    product_->set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, tensors_.at("b"));
  }

  void dgrad(std::int64_t M, std::int64_t N, std::int64_t K, bool relu) {
    float* const dx = result("dx", {M, K});
    const Product::Operand w{tensors_.at("w"), false}, dy{tensors_.at("dy"), false};
    product({K, M, N}, w, dy, dx);
    const std::int64_t multiple = relu ? 128 : 8, ld = (K + multiple - 1) / multiple * multiple;
    relu ? save_mask({K, M, N}, ld, dx) : save_padded(M, K, ld);
    product_->set(CUBLASLT_MATMUL_DESC_EPILOGUE,
                  relu ? CUBLASLT_EPILOGUE_DRELU_BGRAD : CUBLASLT_EPILOGUE_DGELU_BGRAD);
    product_->set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, saved_.data());
    product_->set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, ld);
    product_->set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, result("db", {K}));
    tensors_.remove("h");
  }

  /// What a forward pass would save for gelu: h, with rows at a distance that the library demands.
  void save_padded(std::int64_t M, std::int64_t K, std::int64_t ld) {
    const auto row = static_cast<std::size_t>(K) * sizeof(float);
    const auto distance = static_cast<std::size_t>(ld) * sizeof(float);
    const auto rows = static_cast<std::size_t>(M);
    saved_ = DeviceBuffer(rows * distance);
    bench::check("copying h", cudaMemcpy2D(saved_.data(), distance, tensors_.at("h"), row, row,
                                           rows, cudaMemcpyDeviceToDevice));
  }

  /// What it would save for relu: the library's own mask of bits, of relu(w^T 0 + h^T).
  void save_mask(Product::Extents e, std::int64_t ld, float* d) {
    saved_ = DeviceBuffer(static_cast<std::size_t>(e.columns * ld / 8));
    const DeviceBuffer zeros(static_cast<std::size_t>(e.columns * e.inner) * sizeof(float));
    Product mask(handle_.get(), e, {tensors_.at("w"), false}, {zeros.floats(), false}, d);
    mask.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU_AUX);
    mask.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, saved_.data());
    mask.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, ld);
    mask.choose();
    mask.run(1, tensors_.at("h"));
    bench::check("the mask of relu", cudaDeviceSynchronize());
  }

  bench::DeviceTensors tensors_;
  Owned<cublasLtHandle_t> handle_ = make(cublasLtCreate, cublasLtDestroy);
  DeviceBuffer saved_;
  std::unique_ptr<Product> product_;
  std::vector<std::string> results_;
};

bench::Case load(const std::string& kind, const bench::Settings& settings) {
  if (kind != "layer") throw std::runtime_error(kind + ": cublasLt is a peer of layers only");
  return bench::queued_case(std::make_shared<Layer>(settings),
                            std::to_string(cublasLtGetVersion()));
}

}  // namespace

int main(int count, char** words) { return bench::serve(count, words, load); }
