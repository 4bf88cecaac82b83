// Embedding: rows of a table.
#pragma once
#include <fornax/graph.h>

namespace fornax {

/// y[..., :] = table[indices[...], :]. table [V, C] floating, indices [...] i32, y [..., C].
/// An index outside [0, V) gives a row of zeros, has no gradient, and is reported at the next read
/// of the step's results. The gradient of a table row sums the rows of dy that took it, in order of
/// their positions: chunks of 128 of them, chunk sums in order. No atomics on floats.
/// Throws Error{shape} unless table has rank 2, Error{dtype} unless table floats and indices are
/// i32.
FORNAX_API Value embedding(Value table, Value indices);

}  // namespace fornax
