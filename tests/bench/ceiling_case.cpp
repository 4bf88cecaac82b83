// A step does what a floor is made of: the FLOPs or the bytes of some case, and nothing else.
#include <stdexcept>

#include "tests/bench/ceilings.h"
#include "tests/bench/step_cases.h"
#include "tests/bench/traffic.h"

namespace fornax::bench {

Case load_ceiling(const Settings& settings) {
  const std::string by = settings.text("by", "");
  const int threads = static_cast<int>(settings.integer("threads", 1));
  Case loaded;
  if (by == "fma") {
    loaded.step = fma_work(threads, settings.number("flops", 0));
  } else if (by == "bytes") {
    const Traffic asked{settings.integer("read", 0), settings.integer("written", 0),
                        settings.integer("in_place", 0) != 0, settings.number("operations", 0),
                        settings.number("quotients", 0)};
    const LeftOut left_out{settings.integer("left_out", 0),
                           static_cast<int>(settings.integer("fma_left_out", 0))};
    const TrafficWork work = traffic_work(threads, asked, left_out);
    loaded.step = work.step;
    loaded.check = {{static_cast<double>(work.touched.read)},
                    {static_cast<double>(work.touched.written)}};
  } else {
    throw std::runtime_error("by=" + by + ": fma or bytes");
  }
  return loaded;
}

}  // namespace fornax::bench
