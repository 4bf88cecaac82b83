// A sum over blocks by fences and a ticket, named barriers, and mistakes put in on purpose.
#pragma once
#include "kernels/device/launch.cuh"

namespace fornax::simt_test {

enum class TicketFault { none, no_fence_before, no_fence_after, no_ticket, waits_forever };

struct TicketArguments {
  const int* x;  // [blocks, 64]
  int* partial;  // [blocks]
  int* sum;      // [1]
  unsigned* tickets;
  int blocks;
};

/// sum = the sum of x: the block that takes the last ticket adds the partial sums.
template <TicketFault fault = TicketFault::none>
void sum_by_ticket(const device::Queue& queue, const TicketArguments& arguments);

}  // namespace fornax::simt_test
