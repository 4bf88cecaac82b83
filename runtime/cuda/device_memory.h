// Device memory of a driver as a Resource: what the pool stands on.
#pragma once
#include "runtime/cuda/driver.h"
#include "runtime/memory/pool.h"

namespace fornax::cuda {

class DriverMemory final : public memory::Resource {
 public:
  explicit DriverMemory(std::shared_ptr<Driver> driver) : driver_(std::move(driver)) {}
  void* allocate(std::int64_t bytes, memory::Stream) override {
    void* memory = nullptr;
    driver_->call("allocating device memory", &DriverTable::allocate, &memory, bytes);
    return memory;
  }
  void deallocate(void* memory, std::int64_t, memory::Stream) noexcept override {
    driver_->release(&DriverTable::deallocate, memory);
  }
  void order(memory::Stream earlier, memory::Stream later) override {
    const OwnedEvent event = make_event(driver_);
    driver_->call("ordering streams", &DriverTable::event_record, event.get(), earlier);
    driver_->call("ordering streams", &DriverTable::stream_wait_event, later, event.get());
  }

 private:
  std::shared_ptr<Driver> driver_;
};

}  // namespace fornax::cuda
