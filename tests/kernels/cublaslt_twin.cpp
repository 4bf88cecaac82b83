// See cublaslt_twin.h. What a call demands is what the comments of cublasLt.h say of it.
#include "tests/kernels/cublaslt_twin.h"

#include <cublasLt.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "tests/kernels/cublaslt_twin_product.h"

namespace {

using fornax::CublasLtTwin;
using fornax::twin::Product;
using Fault = CublasLtTwin::Fault;

CublasLtTwin& twin() {
  static CublasLtTwin state;
  return state;
}

struct Handle {};
struct Operation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  std::int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void *bias = nullptr, *saved = nullptr;
  std::int64_t saved_ld = 0;
};
struct Layout {
  cudaDataType type;
  std::int64_t rows, columns, ld;
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  ///< a, b, c, d
};
/// What stands in a cublasLtMatmulAlgo_t.
struct Algorithm {
  std::uint64_t workspace;
  std::int64_t m, n, k;
  std::uint32_t magic, epilogue, alignment, bias_alignment, saved_alignment;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));
constexpr std::uint32_t kMagic = 0x7a17c0de;

cublasStatus_t wrong(const char* what) {
  twin().problem = what;
  return CUBLAS_STATUS_INVALID_VALUE;
}
bool fails(std::string_view call) { return call == twin().failing_call; }

/// Objects of one kind that were made and not destroyed.
template <class T>
std::map<const void*, T>& objects() {
  static std::map<const void*, T> all;
  return all;
}
template <class T>
T* find(const void* handle) {
  const auto found = objects<T>().find(handle);
  return found == objects<T>().end() ? nullptr : &found->second;
}
template <class T, class H>
cublasStatus_t create(H* handle, const T& object) {
  *handle = reinterpret_cast<H>(new char);
  objects<T>().emplace(*handle, object);
  ++twin().objects;
  return CUBLAS_STATUS_SUCCESS;
}
template <class T, class H>
cublasStatus_t destroy(H handle) {
  if (objects<T>().erase(handle) == 0) return wrong("destroyed twice, or never made");
  delete reinterpret_cast<char*>(handle);
  --twin().objects;
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
cublasStatus_t take(T& to, const void* from, std::size_t bytes) {
  if (!from || bytes != sizeof to) return wrong("the attribute has another size");
  std::memcpy(&to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

/// The multiple that an address is of, at most 16; no address promises 16.
std::uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | 16;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

struct Extents {
  std::int64_t m, n, k;
};
Extents extents_of(const Operation& operation, const Layout& a, const Layout& d) {
  return {d.rows, d.columns, operation.transpose_a == CUBLAS_OP_N ? a.columns : a.rows};
}

/// Why these do not describe a product, or null.
const char* problem_of(const Operation& o, const Layout& a, const Layout& b, const Layout& c,
                       const Layout& d) {
  const Extents e = extents_of(o, a, d);
  const auto is = [](const Layout& layout, bool transposed, std::int64_t rows,
                     std::int64_t columns) {
    return layout.rows == (transposed ? columns : rows) &&
           layout.columns == (transposed ? rows : columns);
  };
  if (o.compute != CUBLAS_COMPUTE_32F || o.scale != CUDA_R_32F) return "sums are not f32";
  if (a.type != d.type || b.type != d.type || c.type != d.type) return "the types differ";
  if (!is(a, o.transpose_a == CUBLAS_OP_T, e.m, e.k)) return "a has other extents";
  if (!is(b, o.transpose_b == CUBLAS_OP_T, e.k, e.n)) return "b has other extents";
  if (!is(c, false, e.m, e.n)) return "c has other extents";
  for (const unsigned known : {1u, 2u, 4u, 6u, 32u, 36u, 130u, 152u, 160u, 164u, 192u, 208u})
    if (o.epilogue == known) {
      const bool saved = known & fornax::twin::kSaved;
      const bool bits = known & (fornax::twin::kRelu | fornax::twin::kReluGradient);
      if (saved && bits && o.saved_ld % 128 != 0)
        return "the auxiliary leading dimension is no multiple of 128 bits";
      if (saved && (o.saved_ld % 8 != 0 || o.saved_ld < e.m))
        return "the auxiliary leading dimension is no multiple of 8 or shorter than a column";
      return nullptr;
    }
  return "there is no such epilogue";
}

bool overlap(const void* x, std::int64_t x_bytes, const void* y, std::int64_t y_bytes) {
  const auto* a = static_cast<const char*>(x);
  const auto* b = static_cast<const char*>(y);
  return a < b + y_bytes && b < a + x_bytes;
}
fornax::twin::Type type_of(const Layout& layout) {
  using fornax::twin::Type;
  return layout.type == CUDA_R_32F ? Type::f32
                                   : (layout.type == CUDA_R_16BF ? Type::bf16 : Type::f16);
}
std::int64_t bytes_of(const Layout& layout) {
  return (layout.type == CUDA_R_32F ? 4 : 2) * layout.ld * layout.columns;
}

/// Why an algorithm cannot serve a product at these addresses, or null.
const char* problem_of(const Algorithm& algorithm, const Operation& o, const Product& p) {
  const bool bias = o.epilogue & (fornax::twin::kBias | fornax::twin::kBiasGradient);
  const bool saved = o.epilogue & fornax::twin::kSaved;
  if (algorithm.magic != kMagic || algorithm.m != p.m || algorithm.n != p.n || algorithm.k != p.k ||
      algorithm.epilogue != o.epilogue)
    return "the algorithm is of another product";
  for (const void* operand : {p.a.x, p.b.x, p.c.x, p.d.x})
    if (alignment_of(operand) < algorithm.alignment) return "an operand is not as aligned";
  if (bias && !o.bias) return "the bias pointer is missing";
  if (bias && alignment_of(o.bias) < algorithm.bias_alignment) return "the bias is not as aligned";
  if (saved && !o.saved) return "the auxiliary pointer is missing";
  if (saved && alignment_of(o.saved) < algorithm.saved_alignment)
    return "the auxiliary matrix is not as aligned";
  if (p.workspace_bytes < algorithm.workspace) return "the workspace is too small";
  if (reinterpret_cast<std::uintptr_t>(p.workspace) % 256 != 0)
    return "the workspace is not at a multiple of 256 bytes";
  return nullptr;
}

}  // namespace

extern "C" {

CublasLtTwin* cublaslt_twin() { return &twin(); }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  return fails(__func__) ? CUBLAS_STATUS_INTERNAL_ERROR : create(handle, Handle{});
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy<Handle>(handle); }

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    default: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
}

std::size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  if (fails(__func__)) return CUBLAS_STATUS_INTERNAL_ERROR;
  return create(description, Operation{compute, scale});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return destroy<Operation>(description);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t name,
                                              const void* value, std::size_t bytes) {
  if (fails(__func__)) return CUBLAS_STATUS_INTERNAL_ERROR;
  Operation* const o = find<Operation>(description);
  if (!o) return wrong("no description of a product");
  switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA: {
      const cublasStatus_t status = take(o->transpose_a, value, bytes);
      if (twin().fault == Fault::transposed_a) o->transpose_a ^= CUBLAS_OP_N ^ CUBLAS_OP_T;
      return status;
    }
    case CUBLASLT_MATMUL_DESC_TRANSB: return take(o->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return take(o->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      if (twin().fault == Fault::no_bias_pointer) return CUBLAS_STATUS_SUCCESS;
      return take(o->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      if (twin().fault == Fault::no_saved_pointer) return CUBLAS_STATUS_SUCCESS;
      return take(o->saved, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return take(o->saved_ld, value, bytes);
    default: return wrong("an attribute that is not used here");
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t ld) {
  if (fails(__func__)) return CUBLAS_STATUS_INTERNAL_ERROR;
  if (twin().fault == Fault::short_leading_dimension) --ld;
  if (type != CUDA_R_16BF && type != CUDA_R_16F && type != CUDA_R_32F)
    return wrong("neither bf16 nor f16 nor f32");
  const Layout made{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), ld};
  if (made.rows < 1 || made.columns < 1) return wrong("an extent is not positive");
  if (ld < made.rows) return wrong("the leading dimension is shorter than a column");
  return create(layout, made);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy<Layout>(layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return fails(__func__) ? CUBLAS_STATUS_INTERNAL_ERROR : create(preference, Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy<Preference>(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void* value, std::size_t bytes) {
  if (fails(__func__)) return CUBLAS_STATUS_INTERNAL_ERROR;
  Preference* const p = find<Preference>(preference);
  if (!p) return wrong("no preference");
  if (name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return take(p->workspace, value, bytes);
  if (name == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return take(p->reduction, value, bytes);
  const int operand = name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
  if (operand < 0 || operand > 3) return wrong("a preference that is not used here");
  return take(p->alignment[operand], value, bytes);
}

/// One algorithm serves all; it wants half of the workspace that it may have.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  if (fails(__func__)) return CUBLAS_STATUS_INTERNAL_ERROR;
  const Operation* const o = find<Operation>(operation);
  const Preference* const p = find<Preference>(preference);
  const Layout* layouts[] = {find<Layout>(a), find<Layout>(b), find<Layout>(c), find<Layout>(d)};
  if (!find<Handle>(handle) || !o || !p || std::count(layouts, layouts + 4, nullptr))
    return wrong("an argument of the heuristic is absent");
  if (wanted < 1 || !results || !found) return wrong("there is no room for an answer");
  const char* problem = problem_of(*o, *layouts[0], *layouts[1], *layouts[2], *layouts[3]);
  if (problem) return wrong(problem);
  if (layouts[3]->type != CUDA_R_32F &&
      p->reduction & (CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE))
    return wrong("sums over splits of k may round, or come in any order");
  const std::uint32_t alignment = *std::min_element(p->alignment, p->alignment + 4);
  *found = 0;
  if (twin().fault == Fault::no_algorithm) return CUBLAS_STATUS_SUCCESS;
  if (twin().fault == Fault::no_algorithm_anywhere && alignment < 16)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const Extents e = extents_of(*o, *layouts[0], *layouts[3]);
  const Algorithm algorithm{p->workspace / 2,
                            e.m,
                            e.n,
                            e.k,
                            kMagic,
                            o->epilogue,
                            std::min(alignment, 16u),
                            alignment_of(o->bias),
                            alignment_of(o->saved)};
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  results[0].workspaceSize = algorithm.workspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  if (fails(__func__)) return CUBLAS_STATUS_INTERNAL_ERROR;
  const Operation* const o = find<Operation>(operation);
  const Layout* layouts[] = {find<Layout>(a_layout), find<Layout>(b_layout), find<Layout>(c_layout),
                             find<Layout>(d_layout)};
  if (!find<Handle>(handle) || !o || std::count(layouts, layouts + 4, nullptr))
    return wrong("an argument of the product is absent");
  if (!alpha || !a || !b || !beta || !d || !algo) return wrong("a pointer is null");
  const fornax::device::Queue* const queue = twin().queue;
  if (!queue || queue->stream != stream) return wrong("the stream is not the launch's");
  const char* problem = problem_of(*o, *layouts[0], *layouts[1], *layouts[2], *layouts[3]);
  if (problem) return wrong(problem);
  const auto matrix = [](const void* x, std::int64_t ld, std::int32_t transpose) {
    return fornax::twin::Matrix{const_cast<void*>(x), ld, transpose == CUBLAS_OP_T};
  };
  const Extents e = extents_of(*o, *layouts[0], *layouts[3]);
  Product product{type_of(*layouts[3]),
                  e.m,
                  e.n,
                  e.k,
                  matrix(a, layouts[0]->ld, o->transpose_a),
                  matrix(b, layouts[1]->ld, o->transpose_b),
                  matrix(c, layouts[2]->ld, CUBLAS_OP_N),
                  matrix(d, layouts[3]->ld, CUBLAS_OP_N),
                  matrix(o->saved, o->saved_ld, CUBLAS_OP_N),
                  o->bias,
                  o->epilogue,
                  *static_cast<const float*>(alpha),
                  *static_cast<const float*>(beta),
                  workspace,
                  workspace_bytes};
  Algorithm algorithm;
  std::memcpy(&algorithm, algo, sizeof algorithm);
  problem = problem_of(algorithm, *o, product);
  if (problem) return wrong(problem);
  product.workspace_bytes = algorithm.workspace;
  if (overlap(d, bytes_of(*layouts[3]), a, bytes_of(*layouts[0])) ||
      overlap(d, bytes_of(*layouts[3]), b, bytes_of(*layouts[1])))
    return wrong("the result overlaps an operand");
  fornax::device::KernelLaunch launch{};
  launch.name = "cublaslt_twin";
  launch.function = reinterpret_cast<const void*>(&Product::run);
  launch.invoke = &Product::run;
  launch.arguments = &product, launch.argument_bytes = sizeof product;
  queue->table->launch(*queue, launch);
  ++twin().products;
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
