// fill and cast on CUDA, all dtypes but f64: a switch over the written dtype around one element.
// Bound by memory.
#include "kernels/device/element.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/launch_plan.h"
#include "kernels/pointwise/cast.cuh"
#include "kernels/pointwise/cast_functions.h"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

constexpr int kBlock = 256;

/// An element: a float or an integer.
struct Number {
  float real;
  std::int64_t whole;
  bool floating;
};

template <class T>
__device__ Number number_of(T value) {
  if constexpr (std::is_integral_v<T>)
    return {0, static_cast<std::int64_t>(value), false};
  else
    return {to_float(value), 0, true};
}

template <class T>
__device__ void write_as(void* y, std::int64_t i, const Number& n) {
  const T value = n.floating ? numeric::cast_to<T>(n.real) : numeric::cast_to<T>(n.whole);
  write(static_cast<T*>(y) + i, value);
}
__device__ void write_number(void* y, DType dtype, std::int64_t i, const Number& n) {
  const float real = n.floating ? n.real : static_cast<float>(n.whole);
  switch (dtype) {
    case DType::f32: return write(static_cast<float*>(y) + i, real);
    case DType::bf16: return write_element(static_cast<bf16*>(y) + i, real);
    case DType::f16: return write_element(static_cast<f16*>(y) + i, real);
    case DType::i32: return write_as<std::int32_t>(y, i, n);
    case DType::i64: return write_as<std::int64_t>(y, i, n);
    case DType::boolean: return write_as<bool>(y, i, n);
    default: return write_as<std::uint8_t>(y, i, n);
  }
}

/// Four elements a thread at a time, a block's width apart.
template <class T>
__global__ void cast_elements(const T* x, void* y, DType to, std::int64_t count) {
  std::int64_t i = std::int64_t{block_index()} * (4 * kBlock) + thread_index();
  for (; i < count; i += std::int64_t{grid_blocks()} * (4 * kBlock)) {
    T v[4] = {};
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (i + j * kBlock < count) v[j] = read(x + i + j * kBlock);
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (i + j * kBlock < count) write_number(y, to, i + j * kBlock, number_of(v[j]));
  }
}
__global__ void fill_elements(void* y, DType to, Number number, std::int64_t count) {
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads())
    write_number(y, to, i, number);
}

Config config_of(const char* kernel, std::int64_t count) {
  Config config;
  config.grid = blocks_for(count, kBlock), config.block = {kBlock, 1, 1};
  config.name = kernel;
  return config;
}

Offer offer_cast(const Signature& s, const DeviceModel&) {
  for (const TensorType& type : {s.in.empty() ? s.out[0] : s.in[0], s.out[0]})
    if (type.dtype == DType::f64) return {.refusal = "cast_elements: f64 is for the reference"};
  return {};
}

template <class T>
void run_cast(const KernelArgs& args) {
  const std::int64_t count = args.out[0].elements();
  if (count == 0) return;
  launch(args.queue, cast_elements<T>, config_of("cast_elements", (count + 3) / 4),
         args.in[0].as<T>(), args.out[0].data, args.out[0].type->dtype, count);
}

void launch_cast(const KernelArgs& args) {
  switch (args.in[0].type->dtype) {
    case DType::f32: return run_cast<float>(args);
    case DType::bf16: return run_cast<bf16>(args);
    case DType::f16: return run_cast<f16>(args);
    case DType::i32: return run_cast<std::int32_t>(args);
    case DType::i64: return run_cast<std::int64_t>(args);
    default: return run_cast<std::uint8_t>(args);
  }
}

void launch_fill(const KernelArgs& args) {
  const std::int64_t count = args.out[0].elements();
  const double value = args.attributes->number("value");
  if (count == 0) return;
  const DType dtype = args.out[0].type->dtype;
  if (is_floating(dtype) && value == 0 && !std::signbit(value))
    return args.queue.table->fill_zero(args.queue, args.out[0].data,
                                       static_cast<std::size_t>(args.out[0].type->bytes()));
  const Number number{static_cast<float>(value),
                      is_floating(dtype) ? 0 : numeric::cast_to<std::int64_t>(value),
                      is_floating(dtype)};
  launch(args.queue, fill_elements, config_of("fill_elements", count), args.out[0].data, dtype,
         number, count);
}

}  // namespace

Kernel fill_cuda_kernel() { return {"fill", "fill_elements", offer_cast, nullptr, launch_fill}; }
Kernel cast_cuda_kernel() { return {"cast", "cast_elements", offer_cast, nullptr, launch_cast}; }

}  // namespace fornax::kernels
