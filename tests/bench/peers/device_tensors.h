// What a peer on a GPU keeps in its memory, by the run time of CUDA.
#pragma once
#include <cuda_runtime_api.h>

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/operand_case.h"

namespace fornax::bench {

/// Throws std::runtime_error that says what failed and why.
inline void check(const std::string& what, cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(what + ": " + cudaGetErrorString(status));
}

/// Zero-filled bytes in device memory; at least one, so that there is an address.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t bytes) : bytes_(bytes > 0 ? bytes : 1) {
    check("allocating " + std::to_string(bytes) + " bytes of device memory",
          cudaMalloc(&data_, bytes_));
    check("filling device memory", cudaMemset(data_, 0, bytes_));
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_), std::swap(bytes_, other.bytes_);
    return *this;
  }
  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }
  std::int64_t bytes() const { return static_cast<std::int64_t>(bytes_); }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// The f32 tensors of a case: operands from data=FILE, and results, on device=cuda:N.
class DeviceTensors {
 public:
  explicit DeviceTensors(const Settings& settings) {
    const Device device = settings.device();
    if (device.kind != Device::Kind::cuda) throw std::runtime_error("device=cuda:N expected");
    check("device " + to_string(device), cudaSetDevice(device.index));
    for (const auto& [name, tensor] : load_safetensors(settings.text("data", ""))) {
      if (tensor.dtype() != DType::f32) throw std::runtime_error(name + ": f32 expected");
      void* const to = add(name, tensor.shape());
      check("copying " + name,
            cudaMemcpy(to, tensor.bytes().data(), tensor.bytes().size(), cudaMemcpyHostToDevice));
    }
  }

  /// A tensor of zeros.
  float* add(const std::string& name, const Shape& shape) {
    const auto elements = static_cast<std::size_t>(shape.elements());
    all_[name] = {shape, DeviceBuffer(elements * sizeof(float))};
    return at(name);
  }
  float* at(const std::string& name) const { return find(name).second.floats(); }
  const Shape& shape(const std::string& name) const { return find(name).first; }
  bool contains(const std::string& name) const { return all_.count(name) > 0; }
  void remove(const std::string& name) { all_.erase(name); }

  /// Waits for the device. As operand_case.h says of a digest.
  std::vector<double> digest(const std::string& name) const {
    Tensor copy(DType::f32, shape(name));
    check("copying " + name,
          cudaMemcpy(copy.bytes().data(), at(name), copy.bytes().size(), cudaMemcpyDeviceToHost));
    return bench::digest(copy);
  }
  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const auto& [name, tensor] : all_) sum += tensor.second.bytes();
    return sum;
  }

 private:
  using Entry = std::pair<Shape, DeviceBuffer>;
  const Entry& find(const std::string& name) const {
    const auto found = all_.find(name);
    if (found == all_.end()) throw std::runtime_error(name + ": no such tensor");
    return found->second;
  }
  std::map<std::string, Entry> all_;
};

/// A case that serves steps of `work`, a shared pointer to what has run(), digests() and bytes().
template <class Work>
Case queued_case(const std::shared_ptr<Work>& work, std::string version) {
  Case loaded;
  work->run();
  loaded.check = work->digests();
  loaded.step = [work] { work->run(); };
  loaded.finish = [] { check("a step", cudaDeviceSynchronize()); };
  loaded.device_bytes = work->bytes();
  loaded.version = std::move(version);
  return loaded;
}

}  // namespace fornax::bench
