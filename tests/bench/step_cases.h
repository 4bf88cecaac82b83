// The cases of steps_bench.
#pragma once
#include "tests/bench/server.h"

namespace fornax::bench {

/// A step of widths=784,512,10 batch=64 activation=relu loss=cross_entropy optimizer=adamw
/// rate=1e-3: forward, backward, update. Case::check holds the losses of checked=5 steps.
Case load_network(const Settings& settings);
/// A step builds the graph of that network.
Case load_build(const Settings& settings);
/// A step compiles it.
Case load_compile(const Settings& settings);

/// One part of a layer of rows=64 inputs=784 outputs=512 activation=gelu:
///   forward  y = f(x w^T + b)
///   dgrad    dx = (dy w) f'(h), the gradient of the layer below before its activation, and the
///            column sums of dx, its bias gradient; h is what f saves, of relu its result
///   wgrad    dw = dy^T x
Case load_layer(const Settings& settings);

/// A step places the buffers of trace=NAME; Case::plan has the arena and its lower bound. Throws
/// std::runtime_error when two buffers that are needed at once share bytes.
Case load_placement(const Settings& settings);

/// A step does flops=N of by=fma, or reads read=N bytes and writes written=N of by=bytes, in
/// place with in_place=1, on threads=N, as fast as this machine can (ceilings.h, traffic.h);
/// left_out=N plants a fault. Case::check holds the bytes that a step was seen to read and those
/// that it was seen to write.
Case load_ceiling(const Settings& settings);

}  // namespace fornax::bench
