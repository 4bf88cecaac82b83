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

/// Bytes of `to` before the first that is aligned to `unit`.
std::int64_t unaligned_bytes(const std::byte* to, std::int64_t bytes, std::int64_t unit = kStep) {
  const auto past = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(to)) % unit;
  return std::min(past == 0 ? 0 : unit - past, bytes);
}

/// Nothing is kept in memory between pieces: what is stored there waits behind what is streamed.
void copy_pieces(const Place (&places)[kStreams], const Pieces& pieces) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto [bytes, count, from_step, to_step] = pieces;
  const std::uint8_t* from[kStreams];
  std::uint8_t* to[kStreams];
#pragma GCC unroll 4
  for (std::int64_t s = 0; s < kStreams; ++s) {
    from[s] = reinterpret_cast<const std::uint8_t*>(places[s].from);
    to[s] = reinterpret_cast<std::uint8_t*>(places[s].to);
  }
  std::int64_t from_at = 0, to_at = 0;
  for (std::int64_t n = 0; n < count; ++n, from_at += from_step, to_at += to_step)
    for (std::int64_t line = 0; line < bytes; line += kLineBytes)
#pragma GCC unroll 4
      for (std::int64_t s = 0; s < kStreams; ++s)
#pragma GCC unroll 4
        for (std::int64_t i = line; i < line + kLineBytes; i += kStep)
          hn::Stream(hn::LoadU(d, from[s] + from_at + i), d, to[s] + to_at + i);
}

void copy_streamed(const std::byte* from, std::byte* to, std::int64_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto* source = reinterpret_cast<const std::uint8_t*>(from);
  auto* target = reinterpret_cast<std::uint8_t*>(to);
  std::int64_t i = unaligned_bytes(to, bytes, kLineBytes);
  std::memcpy(to, from, static_cast<std::size_t>(i));
  if (const std::int64_t apart = lines_of_stream((bytes - i) / kLineBytes) * kLineBytes) {
    const auto place = [=](std::int64_t s) {
      return Place{from + i + s * apart, to + i + s * apart};
    };
    const Place places[] = {place(0), place(1), place(2), place(3)};
    copy_pieces(places, {apart});
    i += kStreams * apart;
  }
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

/// The last vector may overlap the one before.
HWY_INLINE void copy_piece(const std::byte* from, std::byte* to, std::int64_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  const auto* source = reinterpret_cast<const std::uint8_t*>(from);
  auto* target = reinterpret_cast<std::uint8_t*>(to);
  if (bytes < kStep) {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
    return;
  }
  for (std::int64_t i = 0; i < bytes - kStep; i += kStep)
    hn::StoreU(hn::LoadU(d, source + i), d, target + i);
  hn::StoreU(hn::LoadU(d, source + bytes - kStep), d, target + bytes - kStep);
}

void stream_waiting(StreamedPieces& p) {
  const hn::ScalableTag<std::uint8_t> d;
  const std::int64_t begin = p.first == 0 ? 0 : kLineBytes;
  std::memcpy(p.line + p.first, p.waiting + p.first, static_cast<std::size_t>(begin - p.first));
  for (std::int64_t i = begin; i < p.kRoom; i += kStep)
    hn::Stream(hn::Load(d, reinterpret_cast<std::uint8_t*>(p.waiting + i)), d,
               reinterpret_cast<std::uint8_t*>(p.line + i));
  p.line += p.kRoom, p.first = p.held = 0;
}

void add_piece(StreamedPieces& p, const std::byte* from, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += kLineBytes) __builtin_prefetch(from + p.kAhead + i);
  while (bytes > 0) {
    const std::int64_t some = std::min(bytes, p.kRoom - p.held);
    copy_piece(from, p.waiting + p.held, some);
    p.held += some, from += some, bytes -= some;
    if (p.held == p.kRoom) stream_waiting(p);
  }
}

}  // namespace fornax::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::host {

Writer::Writer(bool streamed) {
  if (!streamed) return;
  copy_ = FORNAX_DISPATCH(copy_streamed);
  copy_pieces_ = FORNAX_DISPATCH(copy_pieces);
  zero_ = FORNAX_DISPATCH(zero_streamed);
}

StreamedPieces::StreamedPieces(void* to)
    : add_piece(FORNAX_DISPATCH(add_piece)),
      first(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(to) % kLineBytes)),
      held(first) {
  line = static_cast<std::byte*>(to) - first;
}

void StreamedPieces::end() {
  std::memcpy(line + first, waiting + first, static_cast<std::size_t>(held - first));
  line += held, first = held = 0;
  hwy::FlushStream();
}

void Writer::end() const {
  if (copy_) hwy::FlushStream();
}

}  // namespace fornax::host
#endif
