// The exact f32 matrix product of the CPU backend: packed operands, register tiles, one fma chain
// per output element, so that no tile size, instruction set or thread count shows in a bit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace fornax::host {

/// A matrix of f32 in memory: element (i, k) is data[i * row_stride + k * column_stride].
struct GemmOperand {
  const float* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 1;
};

/// A block of c: rows [row, row + rows) and columns [column, column + columns).
struct GemmBlock {
  std::int64_t row, rows;
  std::int64_t column, columns;
};

struct TileArguments;

/// With outputs that are not kept: how the epilogue of a strip of rows goes on between the products
/// of the thread's next strip, where its memory and its divisions take little of their time. Used
/// where a strip is contiguous, in place of GemmEpilogue::apply. `state` is the thread's own.
struct GemmBetween {
  static constexpr std::int64_t state_bytes = 1024;  ///< aligned to a cache line
  static constexpr std::int64_t least_rows = 7, most_rows = 12;
  static constexpr std::int64_t depth_of_vector = 3;  ///< steps of k beside a vector of outputs
  /// The work on `count` outputs of c from `at` on, which lie in `outputs`.
  void (*begin)(const void* context, void* state, float* outputs, std::int64_t at,
                std::int64_t count);
  /// Tiles of so many rows, as GemmKernels::rows_together has them, and the work.
  void (*tiles[most_rows + 1])(const TileArguments&, void* state);
  /// What is left of the work.
  void (*finish)(void* state);
};

/// What happens to finished outputs while they are in cache. `apply` gets the address of the
/// block's first element. Blocks cover c exactly once, each after its whole sum over K; they may
/// come from several threads at once and in any order but that of Gemm::row_unit.
struct GemmEpilogue {
  void (*apply)(const void* context, float* c_block, std::int64_t c_stride,
                const GemmBlock& block) = nullptr;
  const void* context = nullptr;
  /// Matrices like c that apply() reads, what is farthest first; null: none. Some of them are asked
  /// for beside the product: with outputs that are kept the first, which may be one that it writes.
  static constexpr std::int64_t most_beside = 3;
  const float* beside[most_beside] = {};
  bool writes_beside = false;            ///< apply() writes the first
  const GemmBetween* between = nullptr;  ///< used where not null
};

/// c[m, n] = sum over k of a[m, k] * b[n, k], f32; then the epilogue.
/// sum_chunk == 0: acc = +0.0; for k = 0 .. K-1: acc = fma(a[m, k], b[n, k], acc).
/// sum_chunk > 0 (weight gradients, where K is the batch): K is cut into chunks of sum_chunk (the
/// last may be short), each is such a chain from +0.0, and total = c0; total = total + c1; ...
/// Operands may be transposed (row_stride == 1): linear forward a = x[M, K], b = w[N, K]; dgrad
/// a = dy, b = w seen transposed; wgrad a = dy and b = x both seen transposed. c overlaps neither.
struct Gemm {
  std::int64_t M = 0, N = 0, K = 0;
  GemmOperand a;  ///< [M, K]
  GemmOperand b;  ///< [N, K]
  float* c = nullptr;
  std::int64_t c_stride = 0;
  std::int64_t sum_chunk = 0;
  /// A thread takes rows from a multiple of this on; the epilogue gets the blocks of a column in
  /// the order of their rows among those of one thread.
  std::int64_t row_unit = 1;
  GemmEpilogue epilogue;
  bool resumes = false;  ///< band products: chains go on from c
  /// false: c is null, outputs are there for the epilogue alone; K <= sum_chunk, one chain;
  /// row_unit 1.
  bool keeps_outputs = true;
};

/// Chunk of weight gradients: K is the batch there.
inline constexpr std::int64_t gemm_sum_chunk = 512;

/// Bytes that gemm() needs for these extents, strides and sum_chunk on at most `threads` threads
/// with any instruction set: of workspace, and for each thread. The pointers of `gemm` are not
/// read.
struct GemmBytes {
  std::int64_t workspace = 0, thread = 0;
};
GemmBytes gemm_bytes(const Gemm& gemm, int threads);

/// Scratch of a product, which holds nothing afterwards: equal parts of `threads` are the threads'
/// own (KernelArgs::thread_space). Of any alignment.
struct GemmSpace {
  std::span<std::byte> workspace, threads;
};

/// Whether b, [N, K], is so small that products by bands of a's rows keep it packed in a cache.
bool is_band_operand(std::int64_t N, std::int64_t K);
/// Bytes for multiply_band() with these N and K, or for add_band() with these M and N, for any
/// instruction set.
std::int64_t band_workspace_bytes(std::int64_t N, std::int64_t K);

/// The product of some rows of a, contiguous in k, on the caller; b stays packed in `space` for the
/// next call, which says so. One chain; K and N as is_band_operand() wants them.
void multiply_band(const Gemm& gemm, std::byte* space, bool packed);
/// A weight gradient's product over some rows of the batch, K, at most gemm_sum_chunk of them, on
/// the caller: one chain from +0.0, or from c where it resumes.
void add_band(const Gemm& gemm, std::byte* space);

/// Computes it on at most `threads` threads. Allocates nothing. Throws Error{internal} when the
/// space is too small.
void gemm(const Gemm& gemm, const GemmSpace& space, int threads);

}  // namespace fornax::host
