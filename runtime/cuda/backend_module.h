// What libfornax_cuda and libfornax_simt share at their entry.
#pragma once
#include "runtime/device/module.h"

namespace fornax::cuda {

std::size_t family_count();
/// Kernels of family `index` of this module; empty beyond the last.
std::span<const kernels::Kernel> family_kernels(std::size_t index);

/// FORNAX_MEMORY_LIMIT in bytes, or 0. Throws Error{invalid_argument} for any other text.
std::int64_t memory_limit();

}  // namespace fornax::cuda

/// How libfornax finds a module: dlsym(handle, "fornax_module").
extern "C" FORNAX_API const fornax::BackendModule fornax_module;
