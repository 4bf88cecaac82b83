// Backends in modules of their own: libfornax_cuda.so and libfornax_simt.so, opened at run time.
#pragma once
#include <memory>
#include <string>

#include "runtime/device/backend.h"

namespace fornax {

/// What a module exports as `fornax_module`.
struct BackendModule {
  const char* build_id;  ///< must be that of libfornax
  /// Opens device `index`; throws Error{unsupported} saying what is missing.
  std::shared_ptr<Backend> (*open)(int index);
  std::span<const kernels::Kernel> (*kernels)(std::size_t family);  ///< empty span ends the list
  std::size_t families;
};

const char* build_id() noexcept;

/// Loads libfornax_<name>.so from beside libfornax, or from FORNAX_MODULE_DIR.
/// Throws Error{unsupported}: module, build id, driver or device is missing.
std::shared_ptr<Backend> open_module_backend(const std::string& name, int index);
/// The same, or null. The reason is logged.
std::shared_ptr<Backend> try_module_backend(const std::string& name, int index);

}  // namespace fornax
