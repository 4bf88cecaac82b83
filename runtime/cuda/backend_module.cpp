// The families whose .cu files are part of this module.
#include "runtime/cuda/backend_module.h"

#include <fornax/error.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "kernels/op_table.h"

namespace fornax::cuda {

std::size_t family_count() { return kernels::cuda_kernels_table().size(); }

std::span<const kernels::Kernel> family_kernels(std::size_t index) {
  static const auto table = kernels::cuda_kernels_table();
  return index < table.size() ? table[index] : std::span<const kernels::Kernel>();
}

std::int64_t memory_limit() {
  const char* given = std::getenv("FORNAX_MEMORY_LIMIT");
  if (!given || !*given) return 0;
  const std::string_view text = given;
  std::int64_t bytes = 0;
  const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  kernels::require(error == std::errc() && last == text.data() + text.size() && bytes > 0,
                   ErrorCode::invalid_argument,
                   "FORNAX_MEMORY_LIMIT is '" + std::string(text) +
                       "'; a number of bytes, 1 or more, is expected");
  return bytes;
}

}  // namespace fornax::cuda
