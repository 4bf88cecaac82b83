// libfornax_cuda where it is built: it opens without a card and says what is missing, and its
// cublasLt kernels come after our own and say what they do not do. On a card it opens the device.
#include <fornax/error.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "runtime/device/module.h"

namespace {

using namespace fornax;
using kernels::Kernel;
using kernels::TensorType;

class CudaDevice : public testing::Test {
 protected:
  /// Loads the module; a backend where there is a card.
  void SetUp() override {
    const char* folder = std::getenv("FORNAX_MODULE_DIR");
    const auto file = std::filesystem::path(folder ? folder : ".") / "libfornax_cuda.so";
    if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not built";
    try {
      backend_ = open_module_backend("cuda", 0);
    } catch (const Error& error) {
      code_ = error.code(), message_ = error.what();
    }
  }
  std::shared_ptr<Backend> backend_;
  ErrorCode code_{};
  std::string message_;
};

TEST_F(CudaDevice, OpensOrSaysWhatIsMissing) {
  if (backend_) {
    EXPECT_EQ(backend_->model().module, "cuda");
    EXPECT_GE(backend_->model().architecture, 80);
    return;
  }
  EXPECT_EQ(code_, ErrorCode::unsupported) << message_;
  const bool driver = message_.find("the NVIDIA driver is missing, or older") != std::string::npos;
  const bool device = message_.find("it sees no device") != std::string::npos;
  EXPECT_TRUE(driver || device) << message_;
  EXPECT_EQ(message_.find("module does not load"), std::string::npos) << message_;
}

/// The last kernel of the op, asked about operands of these shapes.
std::string refusal(std::string_view op, std::initializer_list<Shape> in,
                    std::initializer_list<Shape> out, DType dtype, const Attributes& attributes) {
  kernels::DeviceModel model = kernels::DeviceModel::h200();
  model.module = "cuda";
  std::vector<TensorType> ins, outs;
  for (const Shape& shape : in) ins.emplace_back(dtype, shape);
  for (const Shape& shape : out) outs.emplace_back(dtype, shape);
  const std::vector<const Kernel*> list = kernels::find_kernels(op, model);
  EXPECT_GE(list.size(), 2u);
  EXPECT_EQ(list.back()->name, std::string(op) + "_cublaslt");
  return list.back()->offer({ins, outs, attributes}, model).refusal;
}

TEST_F(CudaDevice, CublasLtRefusesWhatIsExact) {
  const Shape x{64, 32}, w{48, 32}, y{64, 48};
  EXPECT_EQ(refusal("linear", {x, w}, {y}, DType::f32, {}),
            "linear_cublaslt: exact f32 needs its own order of sums");
  EXPECT_EQ(refusal("linear_dgrad", {y, w}, {x}, DType::f32, {}),
            "linear_dgrad_cublaslt: exact f32 needs its own order of sums");
  EXPECT_EQ(refusal("linear_wgrad", {y, x}, {w}, DType::f32, {}),
            "linear_wgrad_cublaslt: exact f32 needs its own order of sums");
}

TEST_F(CudaDevice, CublasLtSaysWhichEpiloguesThereAre) {
  const Shape x{64, 32}, w{48, 32}, y{64, 48}, b{48}, sums{32};
  const Attributes gelu{{"activation", std::string("gelu")}};
  const Attributes tanh_form{{"activation", std::string("gelu_tanh")}};
  const Attributes relu{{"activation", std::string("relu")}};
  EXPECT_EQ(refusal("linear", {x, w, b}, {y}, DType::bf16, gelu),
            "linear_cublaslt: there is no epilogue for gelu");
  EXPECT_EQ(refusal("linear", {x, w, b}, {y, y}, DType::bf16, relu),
            "linear_cublaslt: relu's saved values are bits there");
  EXPECT_EQ(refusal("linear_dgrad", {y, w}, {x, sums}, DType::bf16, {}),
            "linear_dgrad_cublaslt: there is no epilogue for the second output without an "
            "activation");
  EXPECT_EQ(refusal("linear", {x, {44, 32}}, {{64, 44}, {64, 44}}, DType::f16, tanh_form),
            "linear_cublaslt: rows of saved values must be a multiple of 8, got 44");
}

TEST_F(CudaDevice, CublasLtTakesTheRestWhereItsLibraryIs) {
  const Shape x{64, 32}, w{48, 32}, y{64, 48}, b{48}, sums{32};
  const Attributes tanh_form{{"activation", std::string("gelu_tanh")}};
  const Attributes relu{{"activation", std::string("relu")}};
  for (const std::string& answer :
       {refusal("linear", {x, w, b}, {y}, DType::bf16, relu),
        refusal("linear", {x, w, b}, {y, y}, DType::f16, tanh_form),
        refusal("linear_dgrad", {y, w, x}, {x, sums}, DType::bf16, tanh_form),
        refusal("linear_wgrad", {y, x}, {w}, DType::bf16, {})}) {
    const bool absent = answer.find("libcublasLt.so.13 and .12 do not load") != std::string::npos;
    EXPECT_TRUE(answer.empty() || absent) << answer;
  }
}

}  // namespace
