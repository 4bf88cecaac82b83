// launch(queue, kernel, config, arguments...): the one way to start a kernel, for every driver.
#pragma once
#include <type_traits>
#include <utility>

#include "simt_machine.h"
#include "target.cuh"

namespace fornax::device {

struct Config {
  Dim3 grid, block;
  std::size_t shared_bytes = 0;
  Dim3 cluster{};
  const char* name = __builtin_FUNCTION();  ///< the function that makes the Config
};

/// The kernel's arguments in order, trivially copyable (std::tuple is not).
template <class... P>
struct ArgumentPack {};
template <class First, class... Rest>
struct ArgumentPack<First, Rest...> {
  First first;
  ArgumentPack<Rest...> rest;
};

template <class Kernel, class... P>
struct KernelCall {
  Kernel kernel;
  ArgumentPack<P...> arguments;
};

inline void point_at_arguments(ArgumentPack<>&, void**) {}
template <class First, class... Rest>
void point_at_arguments(ArgumentPack<First, Rest...>& pack, void** pointers) {
  pointers[0] = &pack.first;
  point_at_arguments(pack.rest, pointers + 1);
}

template <class Pack>
struct PackMaker {
  static Pack make() { return {}; }
};
template <class First, class... Rest>
struct PackMaker<ArgumentPack<First, Rest...>> {
  template <class A, class... B>
  static ArgumentPack<First, Rest...> make(const A& first, const B&... rest) {
    return {static_cast<First>(first), PackMaker<ArgumentPack<Rest...>>::make(rest...)};
  }
};

#if FORNAX_TWIN
template <class Kernel, class... Done>
void call_with(Kernel kernel, const ArgumentPack<>&, const Done&... done) {
  kernel(done...);
}
template <class Kernel, class First, class... Rest, class... Done>
void call_with(Kernel kernel, const ArgumentPack<First, Rest...>& pack, const Done&... done) {
  call_with(kernel, pack.rest, done..., pack.first);
}
template <class Call>
void invoke_kernel(const void* bytes) {
  const Call& call = *static_cast<const Call*>(bytes);
  call_with(call.kernel, call.arguments);
}
#endif

/// Enqueues kernel(arguments...) on the queue's stream. Throws what the driver's launch throws.
template <class... P, class... A>
void launch(const Queue& queue, void (*kernel)(P...), const Config& config, const A&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
  static_assert((std::is_trivially_copyable_v<P> && ...), "a driver copies arguments as bytes");
  using Call = KernelCall<void (*)(P...), P...>;
  Call call{kernel, PackMaker<ArgumentPack<P...>>::make(arguments...)};
  static_assert(std::is_trivially_copyable_v<Call>);
  void* pointers[sizeof...(P) + 1];
  point_at_arguments(call.arguments, pointers);
  KernelLaunch description{};
  description.name = config.name;
  description.function = reinterpret_cast<const void*>(kernel);
#if FORNAX_TWIN
  description.invoke = &invoke_kernel<Call>;
#endif
  description.arguments = &call;
  description.argument_bytes = sizeof call;
  description.argument_pointers = pointers;
  description.argument_count = static_cast<int>(sizeof...(P));
  description.grid = config.grid, description.block = config.block;
  description.cluster = config.cluster, description.shared_bytes = config.shared_bytes;
  queue.table->launch(queue, description);
}

}  // namespace fornax::device
