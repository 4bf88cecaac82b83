// The one hash: SHA-256 of a State.
#include "runtime/execution/state_data.h"
#include "runtime/support/sha256.h"

namespace fornax {

std::string State::sha256() const {
  Sha256 hash;
  const auto add_text = [&](const std::string& text) { hash.update(text); };
  add_text("fornax state 1\nstep " + std::to_string(data_->step) + '\n');
  for (const auto& [entry, value] : data_->values) {
    add_text(entry + ' ' + name(value.dtype) + ' ' + to_string(value.shape) + '\n');
    const Tensor tensor = get(entry);
    hash.update(tensor.bytes().data(), tensor.bytes().size());
  }
  return hash.hex();
}

}  // namespace fornax
