// linear, linear_dgrad and linear_wgrad by cublasLt in bf16 and f16; the only file that knows
// column-major. Part of libfornax_cuda alone; the library is opened by name, and its absence is a
// refusal. Tests run it on a twin of the library, and on a card where there is one.
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fornax/error.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>

#include "kernels/linear/linear_shape.h"

namespace fornax::kernels {
namespace {

constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;  // as the vendor advises for sm_90
constexpr unsigned kBias = CUBLASLT_EPILOGUE_BIAS, kBiasGradient = 16, kSaved = 128;  // bits

/// The functions of the library that are used here.
class Library {
 public:
  std::string refusal;  ///< why it cannot be used; else ""

 private:
  struct Symbol {
    void* address;
    template <class F>
    operator F*() const {
      return reinterpret_cast<F*>(address);
    }
  };

  void* open() {
    const char* given = std::getenv("FORNAX_CUBLASLT");
    if (given && *given) {
      void* const opened = dlopen(given, RTLD_NOW | RTLD_LOCAL);
      if (!opened) refusal = std::string("FORNAX_CUBLASLT does not load: ") + dlerror();
      return opened;
    }
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"})
      if (void* const opened = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return opened;
    refusal = std::string("libcublasLt.so.13 and .12 do not load: ") + dlerror();
    return nullptr;
  }
  Symbol find(const char* name) {
    void* const address = handle_ ? dlsym(handle_, name) : nullptr;
    if (handle_ && !address) refusal = std::string("libcublasLt has no ") + name;
    return {address};
  }
  void* handle_ = open();

 public:
  decltype(&cublasLtCreate) create = find("cublasLtCreate");
  decltype(&cublasLtDestroy) destroy = find("cublasLtDestroy");
  decltype(&cublasLtGetStatusName) status_name = find("cublasLtGetStatusName");
  decltype(&cublasLtMatmulDescCreate) desc_create = find("cublasLtMatmulDescCreate");
  decltype(&cublasLtMatmulDescDestroy) desc_destroy = find("cublasLtMatmulDescDestroy");
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = find("cublasLtMatmulDescSetAttribute");
  decltype(&cublasLtMatrixLayoutCreate) layout_create = find("cublasLtMatrixLayoutCreate");
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = find("cublasLtMatrixLayoutDestroy");
  decltype(&cublasLtMatmulPreferenceCreate) preference_create =
      find("cublasLtMatmulPreferenceCreate");
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy =
      find("cublasLtMatmulPreferenceDestroy");
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set =
      find("cublasLtMatmulPreferenceSetAttribute");
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = find("cublasLtMatmulAlgoGetHeuristic");
  decltype(&cublasLtMatmul) matmul = find("cublasLtMatmul");
};

const Library& library() {
  static const Library loaded;
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
  const cudaError_t status = cudaGetDevice(&device);
  require(status == cudaSuccess, ErrorCode::device,
          "cublasLt: there is no current device, error " + std::to_string(status));
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

template <class T, class... P>
Owned<T> make(const char* what, cublasStatus_t (*create)(T**, P...), cublasStatus_t (*destroy)(T*),
              std::type_identity_t<P>... arguments) {
  T* made = nullptr;
  check(what, create(&made, arguments...));
  return {made, destroy};
}

/// What launch needs: descriptions, and an algorithm for operands at multiples of 16 bytes and, if
/// there is one, for operands anywhere.
struct Bound {
  std::shared_ptr<const cublasLtContext> handle;
  Owned<cublasLtMatmulDescOpaque_t> operation;
  Owned<cublasLtMatrixLayoutOpaque_t> a, b, d;
  std::optional<cublasLtMatmulAlgo_t> aligned, anywhere;
  unsigned epilogue;
};

template <class Value>
void set(const Bound& bound, cublasLtMatmulDescAttributes_t name, const Value& value) {
  check("describing a product",
        library().desc_set(bound.operation.get(), name, &value, sizeof value));
}

/// The vectors and the matrix of the epilogue; not read where it has none.
void set_epilogue(const Bound& bound, const void* bias, const void* saved) {
  if (bound.epilogue & (kBias | kBiasGradient)) set(bound, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  if (bound.epilogue & kSaved) set(bound, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, saved);
}

Owned<cublasLtMatrixLayoutOpaque_t> make_layout(DType dtype, std::int64_t rows,
                                                std::int64_t columns) {
  return make("describing a matrix", library().layout_create, library().layout_destroy,
              dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_16F, static_cast<std::uint64_t>(rows),
              static_cast<std::uint64_t>(columns), rows);
}

/// Sums over splits of k stay in f32 and in a fixed order, so that every run gives the same bits.
std::optional<cublasLtMatmulAlgo_t> choose(const Bound& bound, std::uint32_t alignment,
                                           std::uint64_t workspace) {
  const auto preference =
      make("choosing an algorithm", library().preference_create, library().preference_destroy);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    check("choosing an algorithm",
          library().preference_set(preference.get(), name, &value, sizeof value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto operand :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(operand, alignment);
  // Of these addresses only the alignment is looked at.
  const auto* const address = reinterpret_cast<const void*>(std::uintptr_t{alignment});
  set_epilogue(bound, address, address);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  auto* const handle = const_cast<cublasLtContext*>(bound.handle.get());
  const cublasStatus_t status =
      library().heuristic(handle, bound.operation.get(), bound.a.get(), bound.b.get(),
                          bound.d.get(), bound.d.get(), preference.get(), 1, &best, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return std::nullopt;
  check("choosing an algorithm", status);
  if (found == 0 || best.state != CUBLAS_STATUS_SUCCESS) return std::nullopt;
  return best.algo;
}

[[noreturn]] void refuse_product(const Extents& e, DType dtype, const Offer& offer) {
  throw Error(ErrorCode::unsupported,
              "cublasLt: there is no algorithm for " + std::string(name(dtype)) + " [" +
                  std::to_string(e.rows) + ", " + std::to_string(e.inner) + "] times [" +
                  std::to_string(e.inner) + ", " + std::to_string(e.columns) +
                  "] column-major with epilogue " + std::to_string(offer.variant) + " in " +
                  std::to_string(offer.workspace_bytes) +
                  " bytes of workspace; KernelChoice::own needs none of it");
}

template <Product product>
std::shared_ptr<const void> bind(const Signature& s, const Offer& offer, const DeviceModel&) {
  const Extents e = extents_of(product, s);
  const DType dtype = s.in[0].dtype;
  const auto side = [&](bool transpose, std::int64_t rows, std::int64_t columns) {
    return transpose ? make_layout(dtype, columns, rows) : make_layout(dtype, rows, columns);
  };
  Bound bound{handle_of_this_device(),
              make("describing a product", library().desc_create, library().desc_destroy,
                   CUBLAS_COMPUTE_32F, CUDA_R_32F),
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
  if (!bound.aligned) refuse_product(e, dtype, offer);
  return std::make_shared<const Bound>(std::move(bound));
}

/// The algorithm for operands at these addresses.
const cublasLtMatmulAlgo_t& algorithm_for(const Bound& bound,
                                          std::initializer_list<const void*> operands) {
  std::uintptr_t low = 0;
  for (const void* operand : operands) low |= reinterpret_cast<std::uintptr_t>(operand) % 16;
  if (low == 0) return *bound.aligned;
  require(bound.anywhere.has_value(), ErrorCode::unsupported,
          "cublasLt: there is no algorithm for operands that begin between multiples of 16 bytes; "
          "KernelChoice::own takes them");
  return *bound.anywhere;
}

/// While a program loads its kernels this runs once, before its memory means anything: cublasLt
/// has no call that only loads.
template <Product product>
void launch(const KernelArgs& args) {
  const Bound& bound = *static_cast<const Bound*>(args.bound);
  const void *a = args.in[1].data, *b = args.in[0].data, *bias = nullptr, *saved = nullptr;
  void* d = args.out[0].data;
  if (bound.epilogue & kBias) bias = args.in[2].data;
  if (bound.epilogue & kBiasGradient) bias = args.out[1].data;
  if (bound.epilogue & kSaved)
    saved = product == Product::forward ? args.out[1].data : args.in[2].data;
  const cublasLtMatmulAlgo_t& algorithm = algorithm_for(bound, {a, b, d, bias, saved});
  set_epilogue(bound, bias, saved);
  const float one = 1, zero = 0;
  check("a product",
        library().matmul(const_cast<cublasLtContext*>(bound.handle.get()), bound.operation.get(),
                         &one, a, bound.a.get(), b, bound.b.get(), &zero, d, bound.d.get(), d,
                         bound.d.get(), &algorithm, args.workspace.data(), args.workspace.size(),
                         static_cast<cudaStream_t>(args.queue.stream)));
}

template <Product product>
constexpr Kernel kernel_of(std::string_view op) {
  return {op,
          kNames[static_cast<std::size_t>(product)],
          offer<product>,
          bind<product>,
          launch<product>,
          true};
}
const Kernel kKernels[] = {kernel_of<Product::forward>("linear"),
                           kernel_of<Product::dgrad>("linear_dgrad"),
                           kernel_of<Product::wgrad>("linear_wgrad")};

}  // namespace

std::span<const Kernel> linear_cublaslt_kernels() { return kKernels; }

}  // namespace fornax::kernels
