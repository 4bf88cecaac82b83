// Devices by name, and which backend serves one.
#include <fornax/device.h>
#include <fornax/error.h>

#include <charconv>

#include "runtime/device/backend.h"
#include "runtime/device/module.h"
#include "runtime/support/environment.h"

namespace fornax {

namespace {

/// The number behind "cpu:" and its kin; throws for anything but digits.
int number_after(std::string_view text, std::size_t colon) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + colon + 1, end, value);
  kernels::require(error == std::errc() && last == end && value >= 0 && value < 4096,
                   ErrorCode::invalid_argument,
                   "device '" + std::string(text) + "': a number from 0 to 4095 follows the colon");
  return value;
}

}  // namespace

Device Device::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const bool bare = colon == std::string_view::npos;
  if (text == "automatic") return automatic();
  if (kind == "cpu") return cpu(bare ? 0 : number_after(text, colon));
  if (text == "reference" || text == "reference:f32") return reference();
  if (text == "reference:f64") return reference(DType::f64);
  if (kind == "cuda") return cuda(bare ? 0 : number_after(text, colon));
  if (text == "simt") return simt();
  throw Error(ErrorCode::invalid_argument,
              "device '" + std::string(text) +
                  "' is unknown; there are automatic, cpu, cpu:THREADS, reference, reference:f64, "
                  "cuda, cuda:INDEX and simt");
}

std::string to_string(const Device& device) {
  switch (device.kind) {
    case Device::Kind::automatic: return "automatic";
    case Device::Kind::cpu:
      return device.threads ? "cpu:" + std::to_string(device.threads) : std::string("cpu");
    case Device::Kind::reference:
      return device.reference_dtype == DType::f64 ? "reference:f64" : "reference";
    case Device::Kind::cuda: return "cuda:" + std::to_string(device.index);
    case Device::Kind::simt: return "simt";
  }
  return "unknown";
}

std::shared_ptr<Backend> open_backend(const Device& device) {
  if (device.kind == Device::Kind::cuda) return open_module_backend("cuda", device.index);
  if (device.kind == Device::Kind::simt) return open_module_backend("simt", 0);
  if (device.kind != Device::Kind::automatic) return open_host_backend(device);
  const auto wanted = environment("FORNAX_DEVICE");
  if (wanted && *wanted != "automatic") return open_backend(Device::parse(*wanted));
  if (auto backend = try_module_backend("cuda", 0)) return backend;
  return open_host_backend(Device::cpu());
}

}  // namespace fornax
