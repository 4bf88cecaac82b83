// fill and cast on the CPU. All dtypes; f32 to and from bf16 and f16 by vectors.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pointwise/cast_cpu.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on
#include "kernels/pointwise/cast_cpu.h"

#include <algorithm>

#include "kernels/host/offer.h"
#include "kernels/host/parallel.h"
#include "kernels/host/past_caches.h"
#include "kernels/pointwise/cast_functions.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::cast::HWY_NAMESPACE {
namespace num = numeric::HWY_NAMESPACE;

void widen(bool bf16, const std::uint16_t* x, float* y, std::int64_t count, bool streamed) {
  const auto fill = [&](const auto& convert) FORNAX_LAMBDA {
    num::fill_array(y, count, streamed, [&](auto i, auto zero) FORNAX_LAMBDA {
      return convert(num::load_halves(x + i, zero));
    });
  };
  bf16 ? fill([](auto h) FORNAX_LAMBDA { return num::from_bf16_bits(h); })
       : fill([](auto h) FORNAX_LAMBDA { return num::from_f16_bits(h); });
  num::end_streams(streamed);
}

/// Two vectors of f32 give one of 16-bit numbers, two lines one; streamed as by fill_array.
template <class Convert>
FORNAX_NUMERIC_FN void narrow_array(const float* x, std::uint16_t* y, std::int64_t count,
                                    bool streamed, const Convert& convert) {
  constexpr std::int64_t step = 2 * num::kLanes, line = 2 * numeric::kLine;
  const auto one = [&](std::int64_t i)
                       FORNAX_LAMBDA { y[i] = static_cast<std::uint16_t>(convert(x[i])); };
  std::int64_t i = 0;
  for (; streamed && i < count && !host::begins_line(y + i); ++i) one(i);
  const auto two = [&](std::int64_t at) FORNAX_LAMBDA {
    num::store_halves(convert(num::load(x + at, num::Pair<num::Vector>())), y + at, streamed);
  };
  const float* fetched = x + num::fetched_ahead();
  const auto whole_line = [&](std::int64_t at) FORNAX_LAMBDA {
    for (std::int64_t ahead = 0; ahead < line; ahead += numeric::kLine)
      hwy::Prefetch(fetched + at + ahead);
    for (std::int64_t past = 0; past < line; past += step) two(at + past);
  };
  if (const std::int64_t apart = streamed * host::lines_of_stream((count - i) / line) * line) {
    for (const std::int64_t end = i + apart; i < end; i += line)
      for (std::int64_t s = 0; s < numeric::kStreams; ++s) whole_line(i + s * apart);
    i += (numeric::kStreams - 1) * apart;
  }
  for (; streamed && i + line <= count; i += line) whole_line(i);
  for (; i + step <= count; i += step) two(i);
  for (; i < count; ++i) one(i);
}

void narrow(bool bf16, const float* x, std::uint16_t* y, std::int64_t count, bool streamed) {
  bf16 ? narrow_array(x, y, count, streamed, [](auto v) FORNAX_LAMBDA { return num::bf16_bits(v); })
       : narrow_array(x, y, count, streamed, [](auto v) FORNAX_LAMBDA { return num::f16_bits(v); });
  num::end_streams(streamed);
}

}  // namespace fornax::cast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::kernels {
namespace {

bool is_half(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16; }

/// Calls visit(T()) with the C++ type of a dtype that has one.
template <class Visit>
void with_type(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::f32: return visit(float());
    case DType::f64: return visit(double());
    case DType::i32: return visit(std::int32_t());
    case DType::i64: return visit(std::int64_t());
    case DType::boolean: return visit(bool());
    default: return visit(std::uint8_t());
  }
}

Offer accept(const Signature&, const DeviceModel&) { return {}; }

/// Between a 16-bit dtype and anything but f32 two roundings would be needed.
Offer offer_cast(const Signature& s, const DeviceModel&) {
  const DType from = s.in[0].dtype, to = s.out[0].dtype;
  if ((is_half(from) && to != DType::f32) || (is_half(to) && from != DType::f32))
    return {.refusal = "cast_arrays: a 16-bit dtype pairs with f32, got " +
                       std::string(name(from)) + " to " + name(to)};
  return {};
}

/// y[0 .. count) = number, past the caches: copies of a block of it.
template <class T>
void fill_streamed(T* y, std::int64_t count, T number, const host::Writer& writer) {
  constexpr std::int64_t kBlock = 512;
  alignas(host::kLineBytes) T block[kBlock];
  std::fill_n(block, kBlock, number);
  for (std::int64_t i = 0; i < count; i += kBlock)
    writer.copy(block, y + i, std::min(kBlock, count - i) * std::int64_t{sizeof(T)});
  writer.end();
}

void launch_fill(const KernelArgs& args) {
  const double value = args.attributes->number("value");
  const DType dtype = args.out[0].type->dtype;
  const auto fill = [&]<class T>(T number) {
    T* y = args.out[0].as<T>();
    const bool streamed = host::is_streamed(args, 0);
    const host::Writer writer(streamed);
    host::parallel_for(args.out[0].elements(), host::kElementsOfPart, args.threads,
                       [&](std::int64_t begin, std::int64_t end) {
                         if (streamed) return fill_streamed(y + begin, end - begin, number, writer);
                         std::fill(y + begin, y + end, number);
                       });
  };
  if (dtype == DType::bf16) return fill(numeric::to_bf16(static_cast<float>(value)));
  if (dtype == DType::f16) return fill(numeric::to_f16(static_cast<float>(value)));
  with_type(dtype, [&]<class T>(T) { fill(numeric::cast_to<T>(value)); });
}

void cast_range(const KernelArgs& args, std::int64_t begin, std::int64_t end) {
  using namespace fornax::cast;
  const DType from = args.in[0].type->dtype, to = args.out[0].type->dtype;
  const bool streamed = host::is_streamed(args, 0, args.in[0].as<std::byte>());
  if (is_half(from))
    return FORNAX_DISPATCH(widen)(from == DType::bf16, args.in[0].as<std::uint16_t>() + begin,
                                  args.out[0].as<float>() + begin, end - begin, streamed);
  if (is_half(to))
    return FORNAX_DISPATCH(narrow)(to == DType::bf16, args.in[0].as<float>() + begin,
                                   args.out[0].as<std::uint16_t>() + begin, end - begin, streamed);
  with_type(from, [&]<class From>(From) {
    with_type(to, [&]<class To>(To) {
      const From* x = args.in[0].as<From>();
      std::transform(x + begin, x + end, args.out[0].as<To>() + begin,
                     [](From value) { return numeric::cast_to<To>(value); });
    });
  });
}

void launch_cast(const KernelArgs& args) {
  host::parallel_for(args.out[0].elements(), host::kElementsOfPart, args.threads,
                     [&](std::int64_t begin, std::int64_t end) { cast_range(args, begin, end); });
}

}  // namespace

const Kernel kFillCpu = {"fill", "fill_array", accept, nullptr, launch_fill};
const Kernel kCastCpu = {"cast", "cast_arrays", offer_cast, nullptr, launch_cast};

}  // namespace fornax::kernels
#endif
