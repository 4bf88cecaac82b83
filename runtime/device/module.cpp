// Loading backend modules.
#include "runtime/device/module.h"

#include <dlfcn.h>
#include <fornax/error.h>

#include <cstring>
#include <map>
#include <mutex>

#include "runtime/support/environment.h"
#include "runtime/support/log.h"

namespace fornax {

const char* build_id() noexcept { return FORNAX_BUILD_ID; }

namespace {

/// The folder that holds the running libfornax (or the program, when linked statically).
std::string own_folder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void*>(&build_id), &info) || !info.dli_fname) return ".";
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string(1, '.') : path.substr(0, slash);
}

/// A module takes the exported symbols of libfornax from the process; a program that opened
/// libfornax itself as a private library does not show them.
void show_own_symbols() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&build_id), &info) && info.dli_fname)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
}

const BackendModule& load(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, const BackendModule*> loaded;
  const std::lock_guard lock(mutex);
  if (const auto found = loaded.find(name); found != loaded.end()) return *found->second;
  const std::string path =
      environment("FORNAX_MODULE_DIR").value_or(own_folder()) + "/libfornax_" + name + ".so";
  show_own_symbols();
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    throw Error(ErrorCode::unsupported, "device " + name +
                                            ": the module does not load: " + dlerror() +
                                            "; build fornax with it, or set FORNAX_MODULE_DIR");
  const auto* module = static_cast<const BackendModule*>(dlsym(handle, "fornax_module"));
  kernels::require(module && std::strcmp(module->build_id, build_id()) == 0, ErrorCode::unsupported,
                   "device " + name + ": " + path + " belongs to another build of fornax");
  for (std::size_t i = 0; i < module->families; ++i)
    kernels::register_cuda_kernels(name, module->kernels(i));
  return *(loaded[name] = module);
}

}  // namespace

std::shared_ptr<Backend> open_module_backend(const std::string& name, int index) {
  return load(name).open(index);
}

std::shared_ptr<Backend> try_module_backend(const std::string& name, int index) {
  try {
    return open_module_backend(name, index);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    log("device", LogLevel::info, error.what());
    return nullptr;
  }
}

}  // namespace fornax
