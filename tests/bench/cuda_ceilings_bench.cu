// What a GPU can do at most, as one line of JSON: f32 fma in registers, bytes of its memory copied,
// read alone and written alone, and the bf16 product of the vendor's library (cublasLt).
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int kChains = 16, kThreads = 256, kBlocksPerProcessor = 8, kSteps = 8192;
constexpr std::int64_t kProduct = 8192;  // M = N = K
constexpr std::size_t kWorkspaceBytes = 32u << 20;
constexpr double kLeastSeconds = 0.2;
constexpr int kCandidates = 8;  // algorithms of the library that are tried
constexpr int kInFlight = 4;    // vectors of 16 bytes that a thread loads at once
constexpr std::size_t kMoved = 1ull
                               << 30;  // bytes of a launch at least, so that it is no short one

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}
void check(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) throw std::runtime_error(cublasLtGetStatusString(status));
}

/// Independent chains of fma per thread; `sink` keeps the result alive and is never written.
__global__ void fma_chains(float* sink, float x, float y) {
  float chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = x * static_cast<float>(i);
  for (int step = 0; step < kSteps; ++step)
    for (int i = 0; i < kChains; ++i) chain[i] = fmaf(chain[i], x, y);
  float sum = 0;
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  if (sum == 123.0f) *sink = sum;
}

enum class Access { copy, read, write };

/// Passes over the same `count` vectors, past the first caches, so that those which fit are moved
/// to and from the second one. What is read alone is summed; `to` is never written then.
template <Access access>
__global__ void pass_over(float4* to, const float4* from, std::int64_t count, int passes) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  float sum = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const float written = static_cast<float>(pass);
    for (std::int64_t i = first; i < count; i += kInFlight * stride) {
      float4 value[kInFlight];
#pragma unroll
      for (int k = 0; k < kInFlight; ++k) {
        value[k] = make_float4(written, written, written, written);
        if (access != Access::write && i + k * stride < count)
          value[k] = __ldcg(from + i + k * stride);
      }
#pragma unroll
      for (int k = 0; k < kInFlight; ++k) {
        sum += value[k].x + value[k].y + value[k].z + value[k].w;
        if (access != Access::read && i + k * stride < count) __stcg(to + i + k * stride, value[k]);
      }
    }
  }
  if (access == Access::read && sum == 123.0f) to->x = sum;
}

class Bytes {
 public:
  explicit Bytes(std::size_t count) { check(cudaMalloc(&data_, count)); }
  ~Bytes() { cudaFree(data_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

/// Least seconds of `repeats` runs at least, by events, after one that warms up; of as many as take
/// kLeastSeconds, within which a card that was idle raises its clocks.
template <class Body>
double best_seconds(int repeats, const Body& body) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  double best = 1e30, spent = 0;
  for (int r = 0; r <= repeats || spent < kLeastSeconds; ++r) {
    check(cudaEventRecord(begin));
    body();
    check(cudaEventRecord(end));
    check(cudaEventSynchronize(end));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin, end));
    spent += 1e-3 * milliseconds;
    if (r > 0) best = std::min(best, 1e-3 * milliseconds);
  }
  cudaEventDestroy(begin), cudaEventDestroy(end);
  return best;
}

double fma_gflops(int processors) {
  const Bytes sink(sizeof(float));
  float *to = static_cast<float*>(sink.data()), x = 0.75f, y = 0.5f;
  void* arguments[] = {&to, &x, &y};
  const unsigned blocks = static_cast<unsigned>(processors * kBlocksPerProcessor);
  const double seconds = best_seconds(20, [&] {
    check(cudaLaunchKernel(reinterpret_cast<const void*>(fma_chains), dim3(blocks), dim3(kThreads),
                           arguments, 0, nullptr));
  });
  return 2e-9 * kChains * kSteps * kThreads * static_cast<double>(blocks) / seconds;
}

/// GB/s of bytes read plus bytes written, `bytes` in all, by one launch of many passes.
template <Access access>
double gbytes(int processors, std::size_t bytes) {
  const std::size_t side = access == Access::copy ? bytes / 2 : bytes;
  const Bytes from(side), to(access == Access::read ? sizeof(float4) : side);
  check(cudaMemset(from.data(), 1, side));
  auto* write = static_cast<float4*>(to.data());
  const auto* read = static_cast<const float4*>(from.data());
  auto count = static_cast<std::int64_t>(side / sizeof(float4));
  int passes = static_cast<int>(std::max<std::size_t>(1, kMoved / bytes));
  void* arguments[] = {&write, &read, &count, &passes};
  const unsigned blocks = static_cast<unsigned>(processors * kBlocksPerProcessor);
  const double seconds = best_seconds(20, [&] {
    check(cudaLaunchKernel(reinterpret_cast<const void*>(pass_over<access>), dim3(blocks),
                           dim3(kThreads), arguments, 0, nullptr));
  });
  return 1e-9 * static_cast<double>(bytes) * passes / seconds;
}

/// The same of the driver's copies.
double copied_gbytes(std::size_t bytes) {
  const Bytes from(bytes / 2), to(bytes / 2);
  check(cudaMemset(from.data(), 1, bytes / 2));
  constexpr int kCopies = 10;  // one may be too short for events
  const double seconds = best_seconds(20, [&] {
    for (int i = 0; i < kCopies; ++i)
      check(cudaMemcpyAsync(to.data(), from.data(), bytes / 2, cudaMemcpyDeviceToDevice));
  });
  return 1e-9 * static_cast<double>(bytes) * kCopies / seconds;
}

/// Random values, drawn once and repeated: the power that a product takes depends on them.
void fill_normal(const Bytes& to, std::size_t elements) {
  constexpr std::size_t kDrawn = 1 << 20;
  std::mt19937 engine(3);
  std::normal_distribution<float> draw;
  std::vector<std::uint16_t> block(kDrawn);
  for (std::uint16_t& value : block) {
    const float x = draw(engine);
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    value = static_cast<std::uint16_t>(bits >> 16);
  }
  auto* at = static_cast<std::uint16_t*>(to.data());
  for (std::size_t done = 0; done < elements; done += kDrawn)
    check(cudaMemcpy(at + done, block.data(), 2 * std::min(kDrawn, elements - done),
                     cudaMemcpyHostToDevice));
}

double bf16_gemm_gflops() {
  const std::size_t elements = static_cast<std::size_t>(kProduct * kProduct);
  const Bytes a(2 * elements), b(2 * elements), c(2 * elements), workspace(kWorkspaceBytes);
  for (const Bytes* operand : {&a, &b}) fill_normal(*operand, elements);
  cublasLtHandle_t handle;
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t layout;
  cublasLtMatmulPreference_t preference;
  check(cublasLtCreate(&handle));
  check(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const cublasOperation_t transposed = CUBLAS_OP_T;  // what reads both along K
  check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                       sizeof transposed));
  check(cublasLtMatrixLayoutCreate(&layout, CUDA_R_16BF, kProduct, kProduct, kProduct));
  check(cublasLtMatmulPreferenceCreate(&preference));
  check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &kWorkspaceBytes, sizeof kWorkspaceBytes));
  cublasLtMatmulHeuristicResult_t found[kCandidates];
  int count = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle, product, layout, layout, layout, layout, preference,
                                       kCandidates, found, &count));
  if (count == 0) throw std::runtime_error("cublasLt offers no bf16 product");
  const float one = 1, zero = 0;
  double seconds = 1e30;
  for (int i = 0; i < count; ++i)
    seconds =
        std::min(seconds, best_seconds(10, [&] {
                   check(cublasLtMatmul(handle, product, &one, a.data(), layout, b.data(), layout,
                                        &zero, c.data(), layout, c.data(), layout, &found[i].algo,
                                        workspace.data(), kWorkspaceBytes, nullptr));
                 }));
  cublasLtMatmulPreferenceDestroy(preference), cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulDescDestroy(product), cublasLtDestroy(handle);
  return 2e-9 * static_cast<double>(kProduct) * static_cast<double>(elements) / seconds;
}

/// Rates by bytes in all; `sizes` ends with a null pointer.
template <class Rate>
void print_rates(const char* name, char** sizes, const Rate& rate) {
  std::printf(", \"%s\": {", name);
  for (char** size = sizes; *size != nullptr; ++size)
    std::printf("%s\"%s\": %.2f", size == sizes ? "" : ", ", *size,
                rate(static_cast<std::size_t>(std::atoll(*size))));
  std::printf("}");
}

void measure(char** argument) {
  const int device = std::atoi(argument[1]);
  check(cudaSetDevice(device));
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device));
  std::printf("{\"name\": \"%s\", \"isa\": \"sm_%d%d\", \"fma_gflops\": {\"device\": %.1f}",
              properties.name, properties.major, properties.minor,
              fma_gflops(properties.multiProcessorCount));
  std::printf(", \"bf16_gemm_gflops\": %.1f", bf16_gemm_gflops());
  const int processors = properties.multiProcessorCount;
  print_rates("traffic_gbytes", argument + 2, [=](std::size_t bytes) {
    return std::max(gbytes<Access::copy>(processors, bytes), copied_gbytes(bytes));
  });
  print_rates("read_gbytes", argument + 2,
              [=](std::size_t bytes) { return gbytes<Access::read>(processors, bytes); });
  print_rates("write_gbytes", argument + 2,
              [=](std::size_t bytes) { return gbytes<Access::write>(processors, bytes); });
  std::printf("}\n");
}

}  // namespace

/// cuda_ceilings_bench DEVICE BYTES...
int main(int count, char** argument) {
  try {
    if (count < 3) throw std::runtime_error("DEVICE BYTES... expected");
    measure(argument);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cuda_ceilings_bench: %s\n", error.what());
    return 1;
  }
}
