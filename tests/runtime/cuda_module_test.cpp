// Modules opened at run time: the simt module as Device::simt(), and what is said when one is
// missing. A device that was asked for is never replaced by another.
#include <fornax/error.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "runtime/device/module.h"

namespace {

using namespace fornax;

/// Sets an environment variable for one scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() {
    if (before_)
      setenv(name_, before_->c_str(), 1);
    else
      unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

std::string refusal(const Device& device) {
  try {
    open_backend(device);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported) << error.what();
    return error.what();
  }
  return {};
}

TEST(CudaModule, SimtIsADevice) {
  const auto backend = open_backend(Device::simt());
  EXPECT_EQ(backend->model().module, "simt");
  EXPECT_EQ(backend->model().backend, kernels::Backend::cuda);
  const std::vector<int> sent{1, 2, 3};
  std::vector<int> back(3);
  DeviceMemory memory(backend, 12);
  backend->upload(memory.get(), sent.data(), 12);
  backend->download(back.data(), memory.get(), 12);
  EXPECT_EQ(sent, back);
}

TEST(CudaModule, ErrorsCrossTheModulesBorder) {
  ScopedVariable limit("FORNAX_MEMORY_LIMIT", "4096");
  const auto backend = open_backend(Device::simt());
  try {
    backend->allocate(8192);
    FAIL() << "the limit was passed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
  }
  ScopedVariable nonsense("FORNAX_MEMORY_LIMIT", "4k");
  EXPECT_THROW(open_backend(Device::simt()), Error);
}

TEST(CudaModule, KernelsAreKeyedByTheirModule) {
  open_backend(Device::simt());
  kernels::DeviceModel model;
  model.backend = kernels::Backend::cuda, model.module = "no such module";
  for (const kernels::OpDefinition* op : kernels::all_ops())
    EXPECT_TRUE(kernels::find_kernels(op->name, model).empty()) << op->name;
  static const kernels::Kernel kernel{"an op", "a kernel", nullptr, nullptr, nullptr};
  kernels::register_cuda_kernels("a module", {&kernel, 1});
  model.module = "a module";
  EXPECT_EQ(kernels::find_kernels("an op", model), std::vector{&kernel});
  model.module = "simt";
  EXPECT_TRUE(kernels::find_kernels("an op", model).empty());
}

TEST(CudaModule, AMissingModuleIsNamedAndNeverReplaced) {
  const std::filesystem::path empty = testing::TempDir() + "fornax_no_modules";
  std::filesystem::create_directories(empty);
  ScopedVariable folder("FORNAX_MODULE_DIR", empty.string());
  EXPECT_THROW(open_module_backend("absent", 0), Error);
  const std::string text = refusal(Device::cuda());
  EXPECT_NE(text.find("libfornax_cuda.so"), std::string::npos) << text;
  EXPECT_NE(text.find("FORNAX_MODULE_DIR"), std::string::npos) << text;
  ScopedVariable device("FORNAX_DEVICE", "cuda");
  EXPECT_FALSE(refusal(Device::automatic()).empty()) << "FORNAX_DEVICE=cuda asks for cuda";
}

TEST(CudaModule, AFileThatIsNoModuleIsRefused) {
  const std::filesystem::path folder = testing::TempDir() + "fornax_bad_modules";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "libfornax_cuda.so") << "not a library";
  ScopedVariable variable("FORNAX_MODULE_DIR", folder.string());
  const std::string text = refusal(Device::cuda());
  EXPECT_NE(text.find("does not load"), std::string::npos) << text;
  std::filesystem::remove_all(folder);
}

}  // namespace
