// linear_cublaslt.cpp on the twin of cublasLt: every call that fails is named, every spoiled
// description is refused or seen in the values, and nothing that was made is left.
#include "tests/kernels/library_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "kernels/numeric/convert.h"
#include "tests/end_to_end/process.h"
#include "tests/kernels/guarded_memory.h"
#include "tests/runtime/expect_error.h"
#ifdef FORNAX_SIMT_KERNELS
#include "runtime/cuda/simt/machine.h"
#endif

namespace fornax {
namespace {

using Fault = CublasLtTwin::Fault;
using kernels::Kernel;
using kernels::Offer;
using kernels::TensorType;

/// y = gelu_tanh(x w^T + b) in bf16, the value before it saved; [M, K] and [N, K]. Elements are
/// small integers over 8, so the products are exact.
class Layer {
 public:
  Layer(std::int64_t M, std::int64_t N, std::int64_t K, std::int64_t shift = 0)
      : in_types_{{DType::bf16, {M, K}}, {DType::bf16, {N, K}}, {DType::bf16, {N}}},
        out_types_{{DType::bf16, {M, N}}, {DType::bf16, {M, N}}} {
    for (const TensorType& type : in_types_) memory_.emplace_back(make(type, shift));
    for (const TensorType& type : out_types_) memory_.emplace_back(make(type, shift));
    for (std::size_t i = 0; i < 3; ++i) {
      in_[i] = {memory_[i]->data() + shift, &in_types_[i]};
      auto* x = static_cast<std::uint16_t*>(const_cast<void*>(in_[i].data));
      for (std::int64_t e = 0; e < in_types_[i].shape.elements(); ++e)
        x[e] = numeric::to_bf16(static_cast<float>((e * 7 + static_cast<int>(i) * 3) % 11 - 5) / 8);
    }
    for (std::size_t i = 0; i < 2; ++i) out_[i] = {memory_[3 + i]->data() + shift, &out_types_[i]};
  }

  kernels::Signature signature() const { return {in_types_, out_types_, attributes_}; }
  Offer offer() const { return kernel().offer(signature(), kernels::DeviceModel::h100()); }
  void bind() {
    offer_ = offer();
    kernels::require(offer_.refusal.empty(), ErrorCode::internal, offer_.refusal);
    bound_ = kernel().bind(signature(), offer_, kernels::DeviceModel::h100());
    workspace_ = std::make_unique<GuardedMemory>(offer_.workspace_bytes);
  }
  void launch(std::int64_t workspace_missing = 0) {
    kernels::KernelArgs args;
    args.in = in_, args.out = out_, args.attributes = &attributes_, args.bound = bound_.get();
    args.workspace = {workspace_->data(),
                      workspace_->bytes() - static_cast<std::size_t>(workspace_missing)};
    args.queue = queue();
    kernel().launch(args);
    EXPECT_TRUE(workspace_->intact());
  }
  /// Elements of the saved value and of y that are not what they should be.
  int wrong() const {
    const std::int64_t M = in_types_[0].shape[0], K = in_types_[0].shape[1];
    const std::int64_t N = in_types_[1].shape[0];
    int count = 0;
    for (std::int64_t m = 0; m < M; ++m)
      for (std::int64_t n = 0; n < N; ++n) {
        float z = at(in_[2].data, n);
        for (std::int64_t k = 0; k < K; ++k)
          z += at(in_[0].data, m * K + k) * at(in_[1].data, n * K + k);
        const double y = 0.5 * z * (1 + std::tanh(0.7978845608 * (z + 0.044715 * z * z * z)));
        count += at(out_[1].data, m * N + n) != numeric::from_bf16(numeric::to_bf16(z));
        count += !(std::abs(at(out_[0].data, m * N + n) - y) <= 4e-3 * std::abs(y) + 1e-6);
      }
    return count;
  }

 private:
  static const Kernel& kernel() { return library_kernels()[0]; }
  static device::Queue queue() {
#ifdef FORNAX_SIMT_KERNELS
    return {nullptr, &simt::launch_table(), nullptr};
#else
    return {};
#endif
  }
  static std::unique_ptr<GuardedMemory> make(const TensorType& type, std::int64_t shift) {
    return std::make_unique<GuardedMemory>(type.bytes() + shift);
  }
  static float at(const void* x, std::int64_t i) {
    return numeric::from_bf16(static_cast<const std::uint16_t*>(x)[i]);
  }

  Attributes attributes_{{"activation", std::string("gelu_tanh")}, {"save", std::int64_t{1}}};
  std::vector<TensorType> in_types_, out_types_;
  std::vector<std::unique_ptr<GuardedMemory>> memory_;
  kernels::ConstTensorView in_[3];
  kernels::TensorView out_[2];
  Offer offer_;
  std::shared_ptr<const void> bound_;
  std::unique_ptr<GuardedMemory> workspace_;
};

class LibraryKernels : public testing::Test {
 protected:
  void SetUp() override {
    if (library_kernels().empty()) GTEST_SKIP() << "the headers of cublasLt were not found";
    library_twin() = {};
  }
  void TearDown() override {
    if (library_kernels().empty()) return;
    EXPECT_EQ(library_twin().objects, 0) << "not destroyed";
  }
};

TEST_F(LibraryKernels, TakeTheirOperandsAnywhere) {
  for (const std::int64_t shift : {0, 2, 6, 16}) {
    Layer layer(9, 16, 5, shift);
    layer.bind();
    layer.launch();
    EXPECT_EQ(layer.wrong(), 0) << shift << " bytes behind a multiple of 256";
  }
  EXPECT_EQ(library_twin().products, 4);
}

TEST_F(LibraryKernels, NameTheCallThatFails) {
  struct Call {
    const char *name, *what;
  };
  for (const Call& call : {Call{"cublasLtCreate", "making a handle"},
                           Call{"cublasLtMatmulDescCreate", "describing a product"},
                           Call{"cublasLtMatmulDescSetAttribute", "describing a product"},
                           Call{"cublasLtMatrixLayoutCreate", "describing a matrix"},
                           Call{"cublasLtMatmulPreferenceCreate", "choosing an algorithm"},
                           Call{"cublasLtMatmulPreferenceSetAttribute", "choosing an algorithm"},
                           Call{"cublasLtMatmulAlgoGetHeuristic", "choosing an algorithm"},
                           Call{"cublasLtMatmul", "a product"}}) {
    SCOPED_TRACE(call.name);
    library_twin().failing_call = call.name;
    expect_error(ErrorCode::device,
                 std::string("cublasLt: ") + call.what + ": CUBLAS_STATUS_INTERNAL_ERROR", [] {
                   Layer layer(9, 16, 5);
                   layer.bind();
                   layer.launch();
                 });
    EXPECT_EQ(library_twin().objects, 0);
    EXPECT_EQ(library_twin().products, 0);
  }
}

TEST_F(LibraryKernels, AWrongTranspositionIsSeen) {
  library_twin().fault = Fault::transposed_a;
  expect_error(ErrorCode::device, "choosing an algorithm: CUBLAS_STATUS_INVALID_VALUE",
               [] { Layer(9, 16, 5).bind(); });
  EXPECT_STREQ(library_twin().problem, "a has other extents");
  Layer square(9, 8, 8);  // its extents do not tell
  square.bind();
  square.launch();
  EXPECT_GT(square.wrong(), 0);
}

TEST_F(LibraryKernels, AShortLeadingDimensionIsRefused) {
  library_twin().fault = Fault::short_leading_dimension;
  expect_error(ErrorCode::device, "describing a matrix: CUBLAS_STATUS_INVALID_VALUE",
               [] { Layer(9, 16, 5).bind(); });
  EXPECT_STREQ(library_twin().problem, "the leading dimension is shorter than a column");
}

TEST_F(LibraryKernels, AMissingPointerOfTheEpilogueIsRefused) {
  for (const Fault fault : {Fault::no_bias_pointer, Fault::no_saved_pointer}) {
    library_twin().fault = fault;
    expect_error(ErrorCode::device, "a product: CUBLAS_STATUS_INVALID_VALUE", [] {
      Layer layer(9, 16, 5);
      layer.bind();
      layer.launch();
    });
    EXPECT_STREQ(library_twin().problem, fault == Fault::no_bias_pointer
                                             ? "the bias pointer is missing"
                                             : "the auxiliary pointer is missing");
  }
}

TEST_F(LibraryKernels, WithoutAnAlgorithmTheProductIsDescribed) {
  library_twin().fault = Fault::no_algorithm;
  expect_error(ErrorCode::unsupported,
               "cublasLt: there is no algorithm for bf16 [16, 5] times [5, 9] column-major with "
               "epilogue 164 in 33554432 bytes of workspace",
               [] { Layer(9, 16, 5).bind(); });
}

TEST_F(LibraryKernels, WithoutAnAlgorithmForOperandsAnywhereAlignedOnesAreTaken) {
  library_twin().fault = Fault::no_algorithm_anywhere;
  Layer aligned(9, 16, 5);
  aligned.bind();
  aligned.launch();
  EXPECT_EQ(aligned.wrong(), 0);
  expect_error(ErrorCode::unsupported,
               "there is no algorithm for operands that begin between multiples of 16 bytes", [] {
                 Layer shifted(9, 16, 5, 2);
                 shifted.bind();
                 shifted.launch();
               });
}

TEST_F(LibraryKernels, ASmallWorkspaceIsRefused) {
  Layer layer(9, 16, 5);
  layer.bind();
  layer.launch(std::int64_t{16} << 20);  // the twin wants the other half
  expect_error(ErrorCode::device, "a product: CUBLAS_STATUS_INVALID_VALUE",
               [&] { layer.launch((std::int64_t{16} << 20) + 1); });
  EXPECT_STREQ(library_twin().problem, "the workspace is too small");
}

TEST_F(LibraryKernels, OfferWithTheirLibrary) { EXPECT_EQ(Layer(9, 16, 5).offer().refusal, ""); }

TEST_F(LibraryKernels, SayWhyTheirLibraryDoesNotServe) {
  const std::string again = std::filesystem::read_symlink("/proc/self/exe").string() +
                            " --gtest_filter=LibraryKernels.OfferWithTheirLibrary";
  EXPECT_EQ(run_process("", again).status, 0);
  const auto absent = run_process("FORNAX_CUBLASLT=/no/such/library.so", again);
  EXPECT_NE(absent.output.find("linear_cublaslt: FORNAX_CUBLASLT does not load: /no/such/library"),
            std::string::npos)
      << absent.output;
  const auto other = run_process("FORNAX_CUBLASLT=libm.so.6", again);
  EXPECT_NE(other.output.find("linear_cublaslt: libcublasLt has no cublasLt"), std::string::npos)
      << other.output;
}

}  // namespace
}  // namespace fornax
