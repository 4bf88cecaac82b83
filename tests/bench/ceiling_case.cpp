// A step does what a floor is made of: the FLOPs or the bytes of some case, and nothing else.
#include <stdexcept>

#include "tests/bench/ceilings.h"
#include "tests/bench/step_cases.h"

namespace fornax::bench {

Case load_ceiling(const Settings& settings) {
  const std::string by = settings.text("by", "");
  const int threads = static_cast<int>(settings.integer("threads", 1));
  Case loaded;
  if (by == "fma")
    loaded.step = fma_work(threads, settings.number("amount", 0));
  else if (by == "bytes")
    loaded.step = traffic_work(threads, static_cast<std::int64_t>(settings.number("amount", 0)));
  else
    throw std::runtime_error("by=" + by + ": fma or bytes");
  return loaded;
}

}  // namespace fornax::bench
