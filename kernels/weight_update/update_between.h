// Updates that go on between the products of the next strip: vector after vector in a few parts, so
// that divisions and roots are under way beside the FMAs. For kernel files: see
// kernels/host/dispatch.h; include it after vector.h. Included again for every instruction set: a
// toggled guard.
#if defined(FORNAX_UPDATE_BETWEEN_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_UPDATE_BETWEEN_TOGGLE
#undef FORNAX_UPDATE_BETWEEN_TOGGLE
#else
#define FORNAX_UPDATE_BETWEEN_TOGGLE
#endif
#include "kernels/host/register_tile.h"
#include "kernels/optimizer_step/update_vector.h"
#include "kernels/weight_update/update.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::weight_update::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;
namespace rules = optimizer_step::HWY_NAMESPACE;
namespace gemm = host::HWY_NAMESPACE;
constexpr std::int64_t fetched_ahead = 512;  // floats: what another core has is 200 ns away
static_assert(num::kLanes <= StripWork::most_lanes);

FORNAX_NUMERIC_FN num::Vector load(const float* from) { return num::load(from, num::Vector()); }

/// Where the work on a strip stands while a call of tiles goes on; what they have in common.
struct Between {
  StripWork& work;
  const float* const g;
  float *const p, *const m, *const v;
  std::int64_t next;  ///< element to begin with

  explicit Between(void* state)
      : work(*static_cast<StripWork*>(state)),
        g(work.strip.g),
        p(work.strip.new_p),
        m(work.strip.new_m),
        v(work.strip.new_v),
        next(work.next) {}
  void save() const { work.next = next; }
  bool begins() const { return next < work.end; }
  void between_tiles() {}
  FORNAX_NUMERIC_FN void fetch(float* tensor) const {
    gemm::prefetch_to_write(tensor + next + fetched_ahead);
  }
};

struct SgdBetween : Between {
  using Between::Between;
  template <int number>
  FORNAX_NUMERIC_FN void part() {
    if constexpr (number == 0) {
      num::Vector parameter = load(p + next);
      num::sgd_update(gemm::read_again(work.update.sgd), parameter, load(g + next));
      num::store(parameter, p + next);
      fetch(p);
      next += num::kLanes;
    }
  }
};

struct SgdMomentumBetween : Between {
  using Between::Between;
  template <int number>
  FORNAX_NUMERIC_FN void part() {
    if constexpr (number == 0) {
      num::Vector parameter = load(p + next), moment = load(m + next);
      num::sgd_momentum_update(gemm::read_again(work.update.sgd), parameter, load(g + next),
                               moment);
      num::store(parameter, p + next);
      num::store(moment, m + next);
      fetch(p), fetch(m);
      next += num::kLanes;
    }
  }
};

/// Four vectors are under way: moments of the first, the root of the second, the division of the
/// third, parameters of the fourth. What waits for a result that is not there yet would keep all
/// later results in their registers.
struct AdamWBetween : Between {
  StripWork::UnderWay at;

  explicit AdamWBetween(void* state) : Between(state), at(work.under_way) {}
  void save() const {
    Between::save();
    work.under_way = at;
  }

  FORNAX_NUMERIC_FN bool begins() {
    if (!Between::begins()) return false;
    if (!rules::any_subnormal(load(m + next))) return true;
    if (work.put_off < StripWork::most_put_off) {
      work.elements_put_off[work.put_off++] = next;
      next += num::kLanes;
    }
    return false;
  }

  template <int number>
  FORNAX_NUMERIC_FN void part() {
    if constexpr (number == 0) {
      num::Vector first = load(m + next), second = load(v + next);
      num::adamw_moments(gemm::read_again(work.update.adamw), load(g + next), first, second);
      num::store(first, m + next);
      num::store(second, v + next);
    } else if constexpr (number == 1) {
      move();
      divide();
    } else {
      take_root();
      at = {next, at.rootless, at.undivided};
      fetch(p), fetch(m), fetch(v);
      next += num::kLanes;
    }
  }

  /// Ends what is under way.
  void end() {
    for (int i = 0; i < 3; ++i) {
      move();
      divide();
      take_root();
      at = {StripWork::none, at.rootless, at.undivided};
    }
  }

  void between_tiles() {
    for (; work.put_off > 0; --work.put_off)
      rules::adamw_subnormal(work.update.adamw,
                             work.strip.from(work.elements_put_off[work.put_off - 1]));
  }

 private:
  FORNAX_NUMERIC_FN void take_root() {
    if (at.rootless >= 0) num::store(num::sqrt(load(v + at.rootless)), work.root);
  }
  FORNAX_NUMERIC_FN void divide() {
    if (at.undivided < 0) return;
    const auto& rates = gemm::read_again(work.update.adamw);
    num::store(num::adamw_direction(rates, load(m + at.undivided), load(work.root)),
               work.direction);
  }
  FORNAX_NUMERIC_FN void move() {
    if (at.unmoved < 0) return;
    num::Vector parameter = load(p + at.unmoved);
    num::adamw_move(gemm::read_again(work.update.adamw), parameter, load(work.direction));
    num::store(parameter, p + at.unmoved);
  }
};

}  // namespace fornax::weight_update::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
