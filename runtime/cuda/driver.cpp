// Driver calls: statuses become errors; the first sticky one is kept.
#include "runtime/cuda/driver.h"

#include <fornax/error.h>

#include <algorithm>
#include <array>

namespace fornax::cuda {

bool sticky(Status status) noexcept {
  // 700 - 720: the context is lost, but for 701 (too many resources asked of one launch) and 704 -
  // 708 and 712 - 713 (peer access and pinned memory registered twice or not at all).
  const int number = static_cast<int>(status);
  constexpr std::array kHarmless{701, 704, 705, 708, 712, 713};
  const bool ecc = number == 214 || number == 220;
  return ecc || (number >= 700 && number <= 720 &&
                 std::find(kHarmless.begin(), kHarmless.end(), number) == kHarmless.end());
}

std::string Driver::describe(const char* what, Status status) {
  std::string text = std::string(calls_.table.name) + ": " + what + ": " +
                     calls_.table.error_name(*calls_.state, status) + " (" +
                     std::to_string(static_cast<int>(status)) + "), " +
                     calls_.table.error_string(*calls_.state, status);
  const std::string_view detail = calls_.table.error_detail(*calls_.state);
  if (!detail.empty()) text += ": " + std::string(detail);
  return text;
}

void Driver::keep(const char* what, Status status) noexcept {
  if (status == Status::success || !sticky(status) || broken()) return;
  try {
    first_ = describe(what, status);
  } catch (...) {
    first_ = "device error";  // short enough to need no memory
  }
}

void Driver::throw_first() const {
  throw Error(ErrorCode::device,
              first_ + "; the device is unusable since; end the process to go on");
}

void Driver::check(const char* what, Status status) {
  if (status == Status::success) return;
  keep(what, status);
  if (broken()) throw_first();
  const std::string text = describe(what, status);
  calls_.table.last_error(*calls_.state);  // else the next call would report it again
  switch (status) {
    case Status::out_of_memory: throw Error(ErrorCode::out_of_memory, text);
    case Status::no_kernel_image:
      throw Error(ErrorCode::unsupported,
                  text +
                      "; this build has no code for the device's architecture: set "
                      "FORNAX_CUDA_ARCHITECTURES when building");
    case Status::insufficient_driver:
      throw Error(
          ErrorCode::unsupported,
          text + "; the NVIDIA driver is missing, or older than this build's CUDA run time");
    case Status::no_device:
      throw Error(ErrorCode::unsupported, text + "; the driver is there, but it sees no device");
    case Status::invalid_device:
    case Status::not_supported: throw Error(ErrorCode::unsupported, text);
    default: throw Error(ErrorCode::device, text);
  }
}

OwnedStream make_stream(const std::shared_ptr<Driver>& driver, int priority) {
  Stream stream = nullptr;
  driver->call("making a stream", &DriverTable::stream_create, &stream, priority);
  return {driver, stream};
}

OwnedEvent make_event(const std::shared_ptr<Driver>& driver) {
  Event event = nullptr;
  driver->call("making an event", &DriverTable::event_create, &event, false);
  return {driver, event};
}

PinnedMemory make_pinned(const std::shared_ptr<Driver>& driver, std::int64_t bytes) {
  void* memory = nullptr;
  driver->call("allocating pinned memory", &DriverTable::allocate_pinned, &memory,
               std::max<std::int64_t>(bytes, 1));
  return {driver, memory};
}

}  // namespace fornax::cuda
