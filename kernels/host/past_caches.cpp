// Bytes in vectors, with what is not aligned to one at both ends.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/past_caches.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
// clang-format on
#include "kernels/host/past_caches.h"

#include <algorithm>
#include <cstring>

#include "hwy/cache_control.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::host::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kStep = HWY_LANES(std::uint8_t);

/// Bytes of `to` before the first vector that is aligned.
std::int64_t unaligned_bytes(const std::byte* to, std::int64_t bytes) {
  const auto past = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(to) % kStep);
  return std::min(past == 0 ? 0 : kStep - past, bytes);
}

void copy_streamed(const std::byte* from, std::byte* to, std::int64_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto* source = reinterpret_cast<const std::uint8_t*>(from);
  auto* target = reinterpret_cast<std::uint8_t*>(to);
  std::int64_t i = unaligned_bytes(to, bytes);
  std::memcpy(to, from, static_cast<std::size_t>(i));
  for (; i + kStep <= bytes; i += kStep) hn::Stream(hn::LoadU(d, source + i), d, target + i);
  std::memcpy(to + i, from + i, static_cast<std::size_t>(bytes - i));
}
void zero_streamed(std::byte* to, std::int64_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  auto* target = reinterpret_cast<std::uint8_t*>(to);
  std::int64_t i = unaligned_bytes(to, bytes);
  std::memset(to, 0, static_cast<std::size_t>(i));
  for (; i + kStep <= bytes; i += kStep) hn::Stream(hn::Zero(d), d, target + i);
  std::memset(to + i, 0, static_cast<std::size_t>(bytes - i));
}

void add_piece(StreamedPieces& pieces, const std::byte* from, std::int64_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  static_assert(kStep <= StreamedPieces::kMostLanes);
  constexpr std::int64_t line = 64;
  for (std::int64_t i = 0; i < bytes; i += line)
    __builtin_prefetch(from + StreamedPieces::kAhead + i);
  const std::int64_t before =
      pieces.held > 0 ? std::min(bytes, kStep - pieces.held) : unaligned_bytes(pieces.next, bytes);
  std::byte* at_once = pieces.held > 0 ? pieces.waiting + pieces.held : pieces.next;
  std::memcpy(at_once, from, static_cast<std::size_t>(before));
  if (pieces.held > 0) {
    pieces.held += before;
    if (pieces.held < kStep) return;
    hn::Stream(hn::Load(d, reinterpret_cast<std::uint8_t*>(pieces.waiting)), d,
               reinterpret_cast<std::uint8_t*>(pieces.next));
    pieces.next += kStep;
  } else {
    pieces.next += before;
  }
  from += before, bytes -= before;
  const auto* source = reinterpret_cast<const std::uint8_t*>(from);
  auto* target = reinterpret_cast<std::uint8_t*>(pieces.next);
  std::int64_t i = 0;
  for (; i + kStep <= bytes; i += kStep) hn::Stream(hn::LoadU(d, source + i), d, target + i);
  pieces.next += i, pieces.held = bytes - i;
  std::memcpy(pieces.waiting, from + i, static_cast<std::size_t>(pieces.held));
}

}  // namespace fornax::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::host {

Writer::Writer(bool streamed) {
  if (!streamed) return;
  copy_ = FORNAX_DISPATCH(copy_streamed);
  zero_ = FORNAX_DISPATCH(zero_streamed);
}

void StreamedPieces::add(const void* piece, std::int64_t bytes) {
  FORNAX_DISPATCH(add_piece)(*this, static_cast<const std::byte*>(piece), bytes);
}

void StreamedPieces::end() {
  std::memcpy(next, waiting, static_cast<std::size_t>(held));
  next += held, held = 0;
  hwy::FlushStream();
}

void Writer::end() const {
  if (copy_) hwy::FlushStream();
}

}  // namespace fornax::host
#endif
