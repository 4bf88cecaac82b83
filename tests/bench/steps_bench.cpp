// A server (server.h) of training steps and of what makes them.
//   steps_bench network|build|compile|layer|placement|ceiling KEY=VALUE...   (step_cases.h)
// All take device=cpu:2 and data=FILE, where initial values and inputs are written for the peers.
#include <stdexcept>

#include "tests/bench/step_cases.h"

namespace {

using namespace fornax::bench;

Case load(const std::string& kind, const Settings& settings) {
  if (kind == "network") return load_network(settings);
  if (kind == "build") return load_build(settings);
  if (kind == "compile") return load_compile(settings);
  if (kind == "layer") return load_layer(settings);
  if (kind == "placement") return load_placement(settings);
  if (kind == "ceiling") return load_ceiling(settings);
  throw std::runtime_error(kind + ": no such kind of case");
}

}  // namespace

int main(int count, char** words) { return serve(count, words, load); }
