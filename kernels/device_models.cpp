// Machines that plans are made for without having them; figures of the vendor's datasheets (SXM
// boards; dense tensor-core rates; memory in 10^9 bytes).
#include "kernels/op.h"

namespace fornax::kernels {

namespace {

DeviceModel cuda_model(std::string name, int architecture, int multiprocessors) {
  DeviceModel model;
  model.backend = Backend::cuda;
  model.name = std::move(name);
  model.architecture = architecture;
  model.multiprocessors = multiprocessors;
  model.streams = 2;
  return model;
}

}  // namespace

DeviceModel DeviceModel::a100() {
  DeviceModel model = cuda_model("a100", 80, 108);
  model.memory_bytes = 80'000'000'000;
  model.shared_bytes_per_block = 163 * 1024;
  model.f32_flops = 19.5e12;
  model.bf16_flops = 312e12;
  model.bytes_per_second = 2.039e12;
  return model;
}

DeviceModel DeviceModel::h100() {
  DeviceModel model = cuda_model("h100", 90, 132);
  model.memory_bytes = 80'000'000'000;
  model.shared_bytes_per_block = 227 * 1024;
  model.f32_flops = 67e12;
  model.bf16_flops = 989e12;
  model.bytes_per_second = 3.35e12;
  return model;
}

DeviceModel DeviceModel::h200() {
  DeviceModel model = h100();
  model.name = "h200";
  model.memory_bytes = 141'000'000'000;
  model.bytes_per_second = 4.8e12;
  return model;
}

}  // namespace fornax::kernels
