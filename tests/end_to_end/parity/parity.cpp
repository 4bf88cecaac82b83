// The tool behind tests/end_to_end/parity/run: writes what PyTorch starts from, and prints how far
// ours are from its traces.
#include <cstdio>
#include <cstring>

#include "tests/end_to_end/parity/comparison.h"

namespace {

using namespace fornax;
using namespace fornax::parity;

void save_initial(const std::string& folder) {
  for (const Model& model : models())
    Training(model, Device::reference(DType::f64))
        .save_initial(folder + '/' + model.name + ".safetensors");
}

/// Prints the table; true when every bound holds.
bool print_table(const std::string& folder) {
  bool holds = true;
  std::fputs(table_heading().c_str(), stdout);
  for (const Model& model : models())
    for (const Side& side : sides()) {
      const TorchTrace torch =
          load_torch_trace(folder + '/' + model.name + ".safetensors", side.precision);
      const Comparison comparison = compare(Training(model, side.device).run(), torch.trace);
      std::fputs(table_row(model.name, side, comparison).c_str(), stdout);
      holds = holds && comparison.holds(side.bounds);
    }
  return holds;
}

std::string version(const std::string& folder) {
  const TextMap metadata =
      load_safetensors_metadata(folder + '/' + models()[0].name + ".safetensors");
  const auto found = metadata.find("pytorch");
  return found == metadata.end() ? "of unknown version" : found->second;
}

}  // namespace

int main(int count, char** words) {
  const std::string usage =
      "parity export FOLDER     writes initial values and data of every model\n"
      "parity compare FOLDER    trains, and compares with PyTorch's traces in FOLDER\n";
  if (count != 3 || (std::strcmp(words[1], "export") && std::strcmp(words[1], "compare"))) {
    std::fputs(usage.c_str(), stderr);
    return 2;
  }
  try {
    const std::string folder = words[2];
    if (std::strcmp(words[1], "export") == 0) {
      save_initial(folder);
      return 0;
    }
    const bool holds = print_table(folder);
    std::printf("%s with PyTorch %s\n", holds ? "parity" : "NO parity", version(folder).c_str());
    return holds ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parity: %s\n", error.what());
    return 1;
  }
}
