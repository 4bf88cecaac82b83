// What the CPU kernels of f32 share: their offer, how much work is worth a thread, and which
// outputs go past the caches.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>

#include "kernels/host/past_caches.h"
#include "kernels/offer.h"

namespace fornax::host {

using kernels::offer_f32;

/// Elements that are worth a thread's while.
inline constexpr std::int64_t kElementsOfPart = 16384;
inline std::int64_t rows_of_part(std::int64_t row_elements) {
  return std::max<std::int64_t>(1, kElementsOfPart / std::max<std::int64_t>(1, row_elements));
}

/// Outputs from this size on do not wait for their reader in a cache: elementwise kernels write
/// them past the caches, unless they write in place. Tests lower it.
inline std::atomic<std::int64_t> streamed_bytes{16 << 20};
/// Of rows that share lines with their neighbours only long ones are worth it.
inline constexpr std::int64_t kStreamedRowBytes = 16384;

/// Whether the launch's output is written past the caches, in rows of `row` elements; in: what may
/// be its own memory.
template <class... In>
bool is_streamed(const kernels::KernelArgs& args, std::int64_t row, const In*... in) {
  const kernels::TensorView& out = args.out[0];
  const std::int64_t size = size_bytes(out.type->dtype), bytes = out.elements() * size;
  const bool whole_lines = row * size % kLineBytes == 0 || row * size >= kStreamedRowBytes;
  return bytes * args.bands >= streamed_bytes.load(std::memory_order_relaxed) && whole_lines &&
         ((static_cast<const void*>(in) != out.as<std::byte>()) && ...);
}

}  // namespace fornax::host
