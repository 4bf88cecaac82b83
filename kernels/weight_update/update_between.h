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
constexpr std::int64_t fetched_ahead = 128;  // floats; as far as 512 is as good
static_assert(num::kLanes <= StripWork::most_lanes);

FORNAX_NUMERIC_FN num::Vector load(const float* from) { return num::load(from, num::Vector()); }

/// Where the work on a strip stands while a call of tiles goes on; what they have in common.
struct Between {
  StripWork& work;
  const float* g;
  float *p, *m, *v;
  std::int64_t left;

  explicit Between(void* state)
      : work(*static_cast<StripWork*>(state)),
        g(work.at.g),
        p(work.at.new_p),
        m(work.at.new_m),
        v(work.at.new_v),
        left(work.vectors) {}
  void save() {
    work.at = {p, g, m, v, p, m, v};
    work.vectors = left;
  }
  bool begins() const { return left > 0; }
  void between_tiles() {}
  template <bool has_m, bool has_v>
  FORNAX_NUMERIC_FN void advance() {
    g += num::kLanes, --left;
    advance(p);
    if (has_m) advance(m);
    if (has_v) advance(v);
  }

 private:
  FORNAX_NUMERIC_FN static void advance(float*& at) {
    at += num::kLanes;
    gemm::prefetch_to_write(at + fetched_ahead);
  }
};

struct SgdBetween : Between {
  using Between::Between;
  template <int number>
  FORNAX_NUMERIC_FN void part() {
    if constexpr (number == 0) {
      num::Vector parameter = load(p);
      num::sgd_update(gemm::read_again(work.update.sgd), parameter, load(g));
      num::store(parameter, p);
      advance<false, false>();
    }
  }
};

struct SgdMomentumBetween : Between {
  using Between::Between;
  template <int number>
  FORNAX_NUMERIC_FN void part() {
    if constexpr (number == 0) {
      num::Vector parameter = load(p), moment = load(m);
      num::sgd_momentum_update(gemm::read_again(work.update.sgd), parameter, load(g), moment);
      num::store(parameter, p);
      num::store(moment, m);
      advance<true, false>();
    }
  }
};

/// The root's part also moves the parameters of the vector before, whose division has ended.
struct AdamWBetween : Between {
  float* waiting;
  std::int64_t put_off;

  explicit AdamWBetween(void* state)
      : Between(state), waiting(work.waiting), put_off(work.put_off) {}
  void save() {
    Between::save();
    work.waiting = waiting, work.put_off = put_off;
  }

  FORNAX_NUMERIC_FN bool begins() {
    if (left == 0) return false;
    if (!rules::any_subnormal(load(m))) return true;
    if (put_off < StripWork::most_put_off) {
      work.parameters_put_off[put_off++] = p;
      advance<true, true>();
    }
    return false;
  }

  template <int number>
  FORNAX_NUMERIC_FN void part() {
    const numeric::AdamWRates<float>& rates = gemm::read_again(work.update.adamw);
    if constexpr (number == 0) {
      num::Vector first = load(m), second = load(v);
      num::adamw_moments(rates, load(g), first, second);
      num::store(first, m);
      num::store(second, v);
    } else if constexpr (number == 1) {
      num::store(num::sqrt(load(v)), work.root);
      num::Vector parameter = load(waiting);
      num::adamw_move(rates, parameter, load(work.direction));
      num::store(parameter, waiting);
    } else {
      num::store(num::adamw_direction(rates, load(m), load(work.root)), work.direction);
      waiting = p;
      advance<true, true>();
    }
  }

  void between_tiles() {
    for (; put_off > 0; --put_off) {
      const std::ptrdiff_t at = work.parameters_put_off[put_off - 1] - p;
      float *of_p = p + at, *of_m = m + at, *of_v = v + at;
      rules::adamw_subnormal(work.update.adamw, {of_p, g + at, of_m, of_v, of_p, of_m, of_v});
    }
  }
};

}  // namespace fornax::weight_update::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
