// Fibers: one stack with a guard page for each thread of a block, and the switches between them.
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>

#include "block.h"
#include "grid.h"

namespace fornax::simt {

namespace {

constexpr std::size_t kPage = 4096;
#ifdef SIMT_THREAD
constexpr int kSets = 2;
#else
constexpr int kSets = 1;
#endif

[[maybe_unused]] void drop_pages(char* from, std::size_t bytes) {
  mmap(from, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
       -1, 0);
}

void thread_main(context::transfer_t from) {
  block->scheduler = from.fctx;
#ifdef SIMT_ADDRESS
  __sanitizer_finish_switch_fiber(nullptr, &block->scheduler_stack, &block->scheduler_stack_bytes);
#endif
  for (;;) {
    acquire(&block->launch_tag);
    acquire(&block->block_tag);
    const device::KernelLaunch& launch = *block->grid->launch;
    launch.invoke(launch.arguments);
    thread_ended(*block->current);
    leave();
  }
}

context::fcontext_t fresh_context(char* low) {
  return context::make_fcontext(low + kStackBytes, kStackBytes, thread_main);
}

}  // namespace

void make_stacks() {
  for (int set = 0; set < kSets; ++set) {
    std::vector<Stack>& stacks = block->stacks[set];
    while (stacks.size() < static_cast<std::size_t>(block->count)) {
      void* mapped = mmap(nullptr, kStackBytes + kPage, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (mapped == MAP_FAILED) throw std::bad_alloc();
      mprotect(mapped, kPage, PROT_NONE);
      Stack stack;
      stack.low = static_cast<char*>(mapped) + kPage;
      stack.context = fresh_context(stack.low);
      stacks.push_back(stack);
    }
  }
}

void abandon_stacks() {
  for (auto& set : block->stacks) {
    for (Stack& stack : set) {
      unpoison(stack.low, kStackBytes);
#ifdef SIMT_THREAD
      if (stack.tsan) {  // what it did happened before the launch failed
        __tsan_switch_to_fiber(stack.tsan, 1);
        __tsan_release(&block->done_tag);
        __tsan_switch_to_fiber(block->scheduler_tsan, 1);
        __tsan_destroy_fiber(stack.tsan);
        stack.tsan = nullptr;
      }
      drop_pages(stack.low, kStackBytes);
#endif
      stack.fake = nullptr;
      stack.context = fresh_context(stack.low);
    }
  }
}

void leave() {
  [[maybe_unused]] Stack& stack = *block->current->stack;
#ifdef SIMT_ADDRESS
  __sanitizer_start_switch_fiber(block->current->state == State::done ? nullptr : &stack.fake,
                                 block->scheduler_stack, block->scheduler_stack_bytes);
#endif
#ifdef SIMT_THREAD
  __tsan_switch_to_fiber(block->scheduler_tsan, 1);
#endif
  block->scheduler = context::jump_fcontext(block->scheduler, nullptr).fctx;
#ifdef SIMT_ADDRESS
  __sanitizer_finish_switch_fiber(stack.fake, &block->scheduler_stack,
                                  &block->scheduler_stack_bytes);
#endif
}

void resume(Thread& thread) {
  Stack& stack = *thread.stack;
  block->current = &thread;
  threadIdx = thread.id;
  ++block->switches;
#ifdef SIMT_ADDRESS
  __sanitizer_start_switch_fiber(&block->scheduler_fake, stack.low, kStackBytes);
#endif
#ifdef SIMT_THREAD
  if (!stack.tsan) stack.tsan = __tsan_create_fiber(0);
  __tsan_switch_to_fiber(stack.tsan, 1);
#endif
  stack.context = context::jump_fcontext(stack.context, nullptr).fctx;
#ifdef SIMT_ADDRESS
  __sanitizer_finish_switch_fiber(block->scheduler_fake, nullptr, nullptr);
#endif
}

void spin(Site site) {
  Thread& me = *block->current;
  me.state = State::spinning, me.site = site;
  block->warp_of(me).yielded |= 1u << me.index % 32;
  leave();
  me.state = State::ready;
}

void fail(Site site, const char* format, ...) {
  const Dim3 &b = blockIdx, &t = block->current->id;
  char what[400];
  va_list words;
  va_start(words, format);
  std::vsnprintf(what, sizeof what, format, words);
  va_end(words);
  std::snprintf(block->failure, sizeof block->failure,
                "%s: kernel of %s, block (%u,%u,%u) thread (%u,%u,%u) at %s:%u", what,
                block->grid->launch->name, b.x, b.y, b.z, t.x, t.y, t.z, site.file, site.line);
  for (;;) leave();
}

void fail_misaligned(const void* address, std::size_t alignment, Site site) {
  fail(site, "misaligned access: address %p, needs a multiple of %zu", address, alignment);
}

int lane() { return block->current->index % 32; }

}  // namespace fornax::simt
