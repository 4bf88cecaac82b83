// Warp-wide operations: every lane of the mask brings a slot, the last one computes for all.
#include <bit>

#include "block.h"
#include "multiply.h"

namespace fornax::simt {

namespace {

struct ShuffleSlot {
  unsigned char value[16];
  int from_lane, unused[3];
};
struct BallotSlot {
  std::uint32_t result, predicate, unused[2];
};
struct MatrixSlot {
  std::uint32_t fragment[4];
  const char* row;
  std::uint32_t matrices, line;
};
struct MultiplySlot {
  std::uint32_t c[4], a[4], b[2], unused[2];
};

template <class Slot>
Slot& slot(Warp& warp, int lane) {
  return reinterpret_cast<Slot&>(warp.slots[lane]);
}

void finish_shuffle(Warp& warp) {
  unsigned char values[32][16];
  for (int i = 0; i < 32; ++i) copy_16(values[i], warp.slots[i].bytes);
  for (int i = 0; i < 32; ++i) {
    const int from = slot<ShuffleSlot>(warp, i).from_lane & 31;
    if ((warp.arrived >> i & 1) && (warp.arrived >> from & 1))
      copy_16(slot<ShuffleSlot>(warp, i).value, values[from]);
  }
}

void finish_ballot(Warp& warp) {
  std::uint32_t result = 0;
  for (int i = 0; i < 32; ++i)
    if (warp.arrived >> i & 1 && slot<BallotSlot>(warp, i).predicate) result |= 1u << i;
  for (int i = 0; i < 32; ++i)
    if (warp.arrived >> i & 1) slot<BallotSlot>(warp, i).result = result;
}

void finish_load_matrices(Warp& warp, bool transposed) {
  const char* rows[32];
  for (int i = 0; i < 32; ++i) rows[i] = slot<MatrixSlot>(warp, i).row;
  const int matrices = static_cast<int>(slot<MatrixSlot>(warp, 0).matrices);
  if (counting) count_matrix_rows(rows, matrices, warp.site);
  for (int i = 0; i < 32; ++i) {
    for (int q = 0; q < matrices; ++q) {
      std::uint32_t& to = slot<MatrixSlot>(warp, i).fragment[q];
      const int across = i % 4 * 2, along = i / 4;
      if (!transposed) {
        __builtin_memcpy(&to, rows[q * 8 + along] + across * 2, 4);
        continue;
      }
      std::uint16_t pair[2];
      __builtin_memcpy(&pair[0], rows[q * 8 + across] + along * 2, 2);
      __builtin_memcpy(&pair[1], rows[q * 8 + across + 1] + along * 2, 2);
      to = pair[0] | static_cast<std::uint32_t>(pair[1]) << 16;
    }
  }
}

// Fragments of 16-bit elements to matrices: two elements in a register, the low one first.
void gather_halves(Warp& warp, MultiplyOperands& to) {
  for (int i = 0; i < 32; ++i) {
    const int group = i / 4, pair = i % 4 * 2;
    const MultiplySlot& s = slot<MultiplySlot>(warp, i);
    for (int r = 0; r < 4; ++r) {
      std::uint32_t* element = &to.a[group + r % 2 * 8][pair + r / 2 * 8];
      element[0] = s.a[r] & 0xffffu, element[1] = s.a[r] >> 16;
    }
    for (int r = 0; r < 2; ++r) {
      to.b[pair + r * 8][group] = s.b[r] & 0xffffu;
      to.b[pair + r * 8 + 1][group] = s.b[r] >> 16;
    }
  }
}

void gather_tf32(Warp& warp, MultiplyOperands& to) {
  for (int i = 0; i < 32; ++i) {
    const int group = i / 4, column = i % 4;
    const MultiplySlot& s = slot<MultiplySlot>(warp, i);
    for (int r = 0; r < 4; ++r) to.a[group + r % 2 * 8][column + r / 2 * 4] = s.a[r];
    for (int r = 0; r < 2; ++r) to.b[column + r * 4][group] = s.b[r];
  }
}

void finish_multiply(Warp& warp) {
  MultiplyOperands operands;
  const auto c_of = [&](int i, int r) -> std::uint32_t& {
    return operands.c[i / 4 + r / 2 * 8][i % 4 * 2 + r % 2];
  };
  for (int i = 0; i < 32; ++i)
    for (int r = 0; r < 4; ++r) c_of(i, r) = slot<MultiplySlot>(warp, i).c[r];
  const Architecture architecture = options().architecture;
  if (warp.operation == Operation::multiply_tf32) {
    gather_tf32(warp, operands);
    multiply_tf32(operands, architecture);
  } else {
    gather_halves(warp, operands);
    const bool bf16 = warp.operation == Operation::multiply_bf16;
    (bf16 ? multiply_bf16 : multiply_f16)(operands, architecture);
  }
  for (int i = 0; i < 32; ++i)
    for (int r = 0; r < 4; ++r) slot<MultiplySlot>(warp, i).c[r] = c_of(i, r);
}

void finish_operation(Warp& warp) {
  switch (warp.operation) {
    case Operation::none:
    case Operation::sync_warp: return;
    case Operation::shuffle: return finish_shuffle(warp);
    case Operation::ballot: return finish_ballot(warp);
    case Operation::load_matrices: return finish_load_matrices(warp, false);
    case Operation::load_transposed: return finish_load_matrices(warp, true);
    case Operation::multiply_bf16:
    case Operation::multiply_f16:
    case Operation::multiply_tf32: return finish_multiply(warp);
  }
}

void check_together(const Warp& warp, std::uint32_t mask, Operation operation, Site site) {
  if (warp.mask == mask && warp.operation == operation && warp.site == site) return;
  fail(site, "divergent warp operation: other lanes are in %s at line %u with mask %08x",
       name(warp.operation), warp.site.line, warp.mask);
}

void collective(std::uint32_t mask, Operation operation, void* data, int bytes16, Site site) {
  Thread& me = *block->current;
  Warp& warp = block->warp_of(me);
  const int own = me.index % 32;
  void* tag = &block->tags().warp[me.index / 32];
  if (!(mask >> own & 1)) fail(site, "the calling lane is not in the mask %08x", mask);
  if (warp.arrived == 0)
    warp.mask = mask, warp.operation = operation, warp.site = site;
  else
    check_together(warp, mask, operation, site);
  unsigned char* bytes = warp.slots[own].bytes;
  for (int i = 0; i < bytes16; ++i) copy_16(bytes + 16 * i, static_cast<char*>(data) + 16 * i);
  warp.arrived |= 1u << own;
  ++block->progress;
  me.state = State::in_warp, me.site = site;
  if (operation == Operation::sync_warp) release(tag);
  complete_operation_if_all_arrived(warp);
  leave();
  me.state = State::ready;
  for (int i = 0; i < bytes16; ++i) copy_16(static_cast<char*>(data) + 16 * i, bytes + 16 * i);
  if (operation == Operation::sync_warp) acquire(tag);
}

}  // namespace

const char* name(Operation operation) {
  constexpr const char* names[] = {"nothing",   "shuffle",  "ballot",
                                   "sync_warp", "ldmatrix", "ldmatrix transposed",
                                   "mma bf16",  "mma f16",  "mma tf32"};
  return names[static_cast<int>(operation)];
}

void complete_operation_if_all_arrived(Warp& warp) {
  if (warp.arrived == 0 || warp.arrived != (warp.mask & warp.live)) return;
  finish_operation(warp);
  warp.ready |= warp.arrived;
  warp.arrived = 0;
}

void shuffle(std::uint32_t mask, void* value, std::size_t bytes, int from_lane, Site site) {
  ShuffleSlot data{};
  auto* v = static_cast<volatile unsigned char*>(value);
  for (std::size_t i = 0; i < bytes; ++i) data.value[i] = v[i];
  data.from_lane = from_lane;
  collective(mask, Operation::shuffle, &data, 2, site);
  for (std::size_t i = 0; i < bytes; ++i) v[i] = data.value[i];
}

std::uint32_t ballot(std::uint32_t mask, bool predicate, Site site) {
  BallotSlot data{0, predicate, {}};
  collective(mask, Operation::ballot, &data, 1, site);
  return data.result;
}

void sync_warp(std::uint32_t mask, Site site) {
  collective(mask, Operation::sync_warp, nullptr, 0, site);
}

void load_matrices(const void* row, std::uint32_t* fragment, int matrices, bool transposed,
                   Site site) {
  if (lane() < matrices * 8 && reinterpret_cast<std::uintptr_t>(row) % 16)
    fail(site, "ldmatrix: a row not aligned to 16");
  MatrixSlot data{{}, static_cast<const char*>(row), static_cast<std::uint32_t>(matrices), 0};
  collective(~0u, transposed ? Operation::load_transposed : Operation::load_matrices, &data, 2,
             site);
  for (int q = 0; q < matrices; ++q) fragment[q] = data.fragment[q];
}

void multiply(Fragment kind, float* c, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  MultiplySlot data{};
  copy_16(data.c, c), copy_16(data.a, a);
  data.b[0] = b[0], data.b[1] = b[1];
  const Operation operation = kind == Fragment::bf16  ? Operation::multiply_bf16
                              : kind == Fragment::f16 ? Operation::multiply_f16
                                                      : Operation::multiply_tf32;
  collective(~0u, operation, &data, 3, site);
  copy_16(c, data.c);
}

}  // namespace fornax::simt
