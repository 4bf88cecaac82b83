// linear, linear_dgrad and linear_wgrad by cublasLt in bf16 and f16; the only file that knows
// column-major. Part of libfornax_cuda alone; the library is opened by name, and its absence is a
// refusal. Compiled and its offers tested; its launches have not run on a card yet.
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fornax/error.h>

#include <map>
#include <mutex>

#include "kernels/linear/linear_shape.h"

namespace fornax::kernels {
namespace {

constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;  // as the vendor advises for sm_90
constexpr unsigned kBias = CUBLASLT_EPILOGUE_BIAS, kBiasGradient = 16, kSaved = 128;  // bits

/// The functions of the library that are used here.
struct Library {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtGetStatusName) status_name = nullptr;
  decltype(&cublasLtMatmulDescCreate) desc_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  std::string refusal;  ///< why it cannot be used; else ""
};

template <class Function>
void take(Library& library, void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
  if (!function) library.refusal = std::string("libcublasLt has no ") + name;
}

Library load() {
  Library library;
  void* handle = nullptr;
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"})
    if (!handle) handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    library.refusal = std::string("libcublasLt.so.13 and .12 do not load: ") + dlerror();
    return library;
  }
  take(library, handle, "cublasLtCreate", library.create);
  take(library, handle, "cublasLtDestroy", library.destroy);
  take(library, handle, "cublasLtGetStatusName", library.status_name);
  take(library, handle, "cublasLtMatmulDescCreate", library.desc_create);
  take(library, handle, "cublasLtMatmulDescDestroy", library.desc_destroy);
  take(library, handle, "cublasLtMatmulDescSetAttribute", library.desc_set);
  take(library, handle, "cublasLtMatrixLayoutCreate", library.layout_create);
  take(library, handle, "cublasLtMatrixLayoutDestroy", library.layout_destroy);
  take(library, handle, "cublasLtMatmulPreferenceCreate", library.preference_create);
  take(library, handle, "cublasLtMatmulPreferenceDestroy", library.preference_destroy);
  take(library, handle, "cublasLtMatmulPreferenceSetAttribute", library.preference_set);
  take(library, handle, "cublasLtMatmulAlgoGetHeuristic", library.heuristic);
  take(library, handle, "cublasLtMatmul", library.matmul);
  return library;
}

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

void check(const char* what, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorCode::device,
              std::string("cublasLt: ") + what + ": " + library().status_name(status));
}

enum class Product { forward, dgrad, wgrad };
constexpr std::string_view kNames[] = {"linear_cublaslt", "linear_dgrad_cublaslt",
                                       "linear_wgrad_cublaslt"};

/// D [rows, columns] = op(A) op(B), all column-major: a row-major matrix is its own transpose.
/// forward: y^T = w x^T; dgrad: dx^T = w^T dy^T; wgrad: dw^T = x^T dy. A is operand 1, B operand 0.
struct Extents {
  std::int64_t rows, columns, inner;
  bool transpose_a, transpose_b;
};
Extents extents_of(Product product, const Signature& s) {
  if (product == Product::wgrad) {
    const auto [M, N, K] = linear_wgrad_shape(s.in[0].shape, s.in[1].shape);
    return {K, N, M, false, true};
  }
  const auto [M, N, K] = linear_shape(s.in[0].shape, s.in[1].shape);
  if (product == Product::forward) return {N, M, K, true, false};
  return {K, M, N, false, false};
}

/// The epilogue that does what the node does, or a refusal. GELU of cublasLt is the tanh form; what
/// it saves for relu is a mask of bits, where ours is the value.
Offer epilogue_of(Product product, const Signature& s) {
  const Activation kind =
      product == Product::wgrad ? Activation::none : linear_activation(s.attributes);
  const bool second = present(s.out, 1);  // forward: the saved value; dgrad: the column sums
  const bool forward = product == Product::forward;
  unsigned epilogue = forward && present(s.in, 2) ? kBias : 0u;
  if (kind == Activation::none && second)
    return {.refusal = "there is no epilogue for the second output without an activation"};
  if (kind == Activation::relu && (second || !forward))
    return {.refusal = "relu's saved values are bits there"};
  if (kind == Activation::relu) epilogue |= CUBLASLT_EPILOGUE_RELU;
  if (kind == Activation::gelu_tanh && forward)
    epilogue |= CUBLASLT_EPILOGUE_GELU | (second ? kSaved : 0u);
  if (kind == Activation::gelu_tanh && !forward)
    epilogue |= CUBLASLT_EPILOGUE_DGELU | (second ? kBiasGradient : 0u);
  if (kind > Activation::relu && kind != Activation::gelu_tanh)
    return {.refusal = "there is no epilogue for " +
                       std::string(kActivationNames[static_cast<std::size_t>(kind)])};
  if ((epilogue & kSaved) && extents_of(product, s).rows % 8 != 0)
    return {.refusal = "rows of saved values must be a multiple of 8, got " +
                       std::to_string(extents_of(product, s).rows)};
  if (epilogue == 0) epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  return {"", kWorkspaceBytes, epilogue};
}

Offer answer(Product product, const Signature& s, const DeviceModel& model) {
  const DType dtype = s.in[0].dtype;
  if (dtype == DType::f32) return {.refusal = "exact f32 needs its own order of sums"};
  if (dtype != DType::bf16 && dtype != DType::f16)
    return {.refusal = std::string("bf16 or f16 needed, got ") + name(dtype)};
  if (model.architecture < 80)
    return {.refusal = "sm_80 or later needed, got " + std::to_string(model.architecture)};
  const Extents e = extents_of(product, s);
  if (e.rows == 0 || e.columns == 0 || e.inner == 0) return {.refusal = "an extent is 0"};
  const Offer offer = epilogue_of(product, s);
  if (!offer.refusal.empty()) return offer;
  return library().refusal.empty() ? offer : Offer{.refusal = library().refusal};
}

template <Product product>
Offer offer(const Signature& s, const DeviceModel& model) {
  Offer offer = answer(product, s, model);
  if (!offer.refusal.empty())
    offer.refusal = std::string(kNames[static_cast<std::size_t>(product)]) + ": " + offer.refusal;
  return offer;
}

/// One handle a device, kept while some program holds it.
std::shared_ptr<const cublasLtContext> handle_of_this_device() {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<const cublasLtContext>> handles;
  int device = 0;
  cudaGetDevice(&device);
  const std::lock_guard lock(mutex);
  std::shared_ptr<const cublasLtContext> handle = handles[device].lock();
  if (handle) return handle;
  cublasLtHandle_t made = nullptr;
  check("making a handle", library().create(&made));
  handle = {made, [](cublasLtHandle_t old) { library().destroy(old); }};
  handles[device] = handle;
  return handle;
}

template <class T>
using Owned = std::unique_ptr<T, cublasStatus_t (*)(T*)>;

/// What launch needs: descriptions, and an algorithm for operands at multiples of 16 bytes and one
/// for operands anywhere.
struct Bound {
  std::shared_ptr<const cublasLtContext> handle;
  Owned<cublasLtMatmulDescOpaque_t> operation;
  Owned<cublasLtMatrixLayoutOpaque_t> a, b, d;
  cublasLtMatmulAlgo_t aligned{}, anywhere{};
  unsigned epilogue;
};

template <class Value>
void set(const Bound& bound, cublasLtMatmulDescAttributes_t name, const Value& value) {
  check("describing a product",
        library().desc_set(bound.operation.get(), name, &value, sizeof value));
}

Owned<cublasLtMatmulDescOpaque_t> make_operation() {
  cublasLtMatmulDesc_t made = nullptr;
  check("describing a product", library().desc_create(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  return {made, library().desc_destroy};
}

Owned<cublasLtMatrixLayoutOpaque_t> make_layout(DType dtype, std::int64_t rows,
                                                std::int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  const cudaDataType type = dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_16F;
  check("describing a matrix",
        library().layout_create(&made, type, static_cast<std::uint64_t>(rows),
                                static_cast<std::uint64_t>(columns), rows));
  return {made, library().layout_destroy};
}

/// Sums over splits of k stay in f32 and in a fixed order, so that every run gives the same bits.
cublasLtMatmulAlgo_t choose(const Bound& bound, std::uint32_t alignment, std::uint64_t workspace) {
  cublasLtMatmulPreference_t made = nullptr;
  check("choosing an algorithm", library().preference_create(&made));
  const Owned<cublasLtMatmulPreferenceOpaque_t> preference(made, library().preference_destroy);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    check("choosing an algorithm", library().preference_set(made, name, &value, sizeof value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(operand, alignment);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  auto* const handle = const_cast<cublasLtContext*>(bound.handle.get());
  check("choosing an algorithm",
        library().heuristic(handle, bound.operation.get(), bound.a.get(), bound.b.get(),
                            bound.d.get(), bound.d.get(), made, 1, &best, &found));
  require(found > 0 && best.state == CUBLAS_STATUS_SUCCESS, ErrorCode::unsupported,
          "cublasLt: there is no algorithm for this product");
  return best.algo;
}

template <Product product>
std::shared_ptr<const void> bind(const Signature& s, const Offer& offer, const DeviceModel&) {
  const Extents e = extents_of(product, s);
  const DType dtype = s.in[0].dtype;
  const auto side = [&](bool transpose, std::int64_t rows, std::int64_t columns) {
    return transpose ? make_layout(dtype, columns, rows) : make_layout(dtype, rows, columns);
  };
  Bound bound{handle_of_this_device(),
              make_operation(),
              side(e.transpose_a, e.rows, e.inner),
              side(e.transpose_b, e.inner, e.columns),
              make_layout(dtype, e.rows, e.columns),
              {},
              {},
              offer.variant};
  const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(bound, CUBLASLT_MATMUL_DESC_TRANSA, operation(e.transpose_a));
  set(bound, CUBLASLT_MATMUL_DESC_TRANSB, operation(e.transpose_b));
  set(bound, CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<cublasLtEpilogue_t>(offer.variant));
  if (bound.epilogue & kSaved) set(bound, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, e.rows);
  const auto workspace = static_cast<std::uint64_t>(offer.workspace_bytes);
  bound.aligned = choose(bound, 16, workspace);
  bound.anywhere = choose(bound, 2, workspace);
  return std::make_shared<const Bound>(std::move(bound));
}

/// While a program loads its kernels this runs once, before its memory means anything: cublasLt
/// has no call that only loads.
template <Product product>
void launch(const KernelArgs& args) {
  const Bound& bound = *static_cast<const Bound*>(args.bound);
  const void *a = args.in[1].data, *b = args.in[0].data;
  void* d = args.out[0].data;
  if (bound.epilogue & kBias) set(bound, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.in[2].data);
  if (bound.epilogue & kBiasGradient)
    set(bound, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.out[1].data);
  if (bound.epilogue & kSaved)
    set(bound, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER,
        product == Product::forward ? static_cast<const void*>(args.out[1].data) : args.in[2].data);
  const bool aligned = (reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) |
                        reinterpret_cast<std::uintptr_t>(d)) %
                           16 ==
                       0;
  const float one = 1, zero = 0;
  check("a product",
        library().matmul(const_cast<cublasLtContext*>(bound.handle.get()), bound.operation.get(),
                         &one, a, bound.a.get(), b, bound.b.get(), &zero, d, bound.d.get(), d,
                         bound.d.get(), aligned ? &bound.aligned : &bound.anywhere,
                         args.workspace.data(), args.workspace.size(),
                         static_cast<cudaStream_t>(args.queue.stream)));
}

template <Product product>
constexpr Kernel kernel_of(std::string_view op) {
  return {op, kNames[static_cast<std::size_t>(product)], offer<product>, bind<product>,
          launch<product>};
}
const Kernel kKernels[] = {kernel_of<Product::forward>("linear"),
                           kernel_of<Product::dgrad>("linear_dgrad"),
                           kernel_of<Product::wgrad>("linear_wgrad")};

}  // namespace

std::span<const Kernel> linear_cublaslt_kernels() { return kKernels; }

}  // namespace fornax::kernels
