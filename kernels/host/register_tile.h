// The register tile of the matrix product, and tiles that do other work between their products. For
// kernel files: see dispatch.h. Included again for every instruction set: a toggled guard.
#if defined(FORNAX_REGISTER_TILE_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_REGISTER_TILE_TOGGLE
#undef FORNAX_REGISTER_TILE_TOGGLE
#else
#define FORNAX_REGISTER_TILE_TOGGLE
#endif
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/gemm_tile.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::host::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
static_assert(HWY_NATIVE_FMA, "a chain of fma needs a target that fuses multiply and add");

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int lanes = HWY_LANES(float);

/// `place`, which the compiler must read again: for constants that a tile has no registers for.
template <class T>
HWY_INLINE const T& read_again(const T& place) {
  const T* at = &place;
  asm volatile("" : "+r"(at)::"memory");
  return *at;
}

/// __builtin_prefetch asks for the right to write only where every processor of the target has it;
/// x86-64 processors without it take the instruction for none.
HWY_INLINE void prefetch_to_write(const float* line) {
#if HWY_ARCH_X86_64
  asm volatile("prefetchw %0" ::"m"(*line));
#else
  __builtin_prefetch(line, 1);
#endif
}

/// A row of accumulators from c, or into it; the columns beyond t.columns are not touched.
template <int vectors>
HWY_INLINE void load_row(const TileArguments& t, const float* from, V (&acc)[vectors]) {
  const D d;
  HWY_ALIGN float edge[vectors * lanes] = {};
  if (t.columns != vectors * lanes) {
    for (std::int64_t j = 0; j < t.columns; ++j) edge[j] = from[j];
    from = edge;
  }
#pragma GCC unroll 4
  for (int j = 0; j < vectors; ++j) acc[j] = hn::LoadU(d, from + j * lanes);
}

template <int vectors>
HWY_INLINE void store_row(const TileArguments& t, V (&acc)[vectors], float* to) {
  const D d;
  if (t.columns == vectors * lanes) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      V v = acc[j];
      if (t.start == TileStart::add) v = hn::Add(hn::LoadU(d, to + j * lanes), v);
      hn::StoreU(v, d, to + j * lanes);
    }
    return;
  }
  HWY_ALIGN float edge[vectors * lanes];
#pragma GCC unroll 4
  for (int j = 0; j < vectors; ++j) hn::Store(acc[j], d, edge + j * lanes);
  for (std::int64_t j = 0; j < t.columns; ++j)
    to[j] = t.start == TileStart::add ? to[j] + edge[j] : edge[j];
}

/// Four rows that lie apart share a pointer, so that pointers and strides fit the registers.
constexpr int groups_of(int rows, bool apart) { return apart ? (rows + 3) / 4 : 1; }

/// acc[i][j] = fma(a of row i, b[j], acc[i][j]) for one k.
template <int rows, int vectors, bool apart>
HWY_INLINE void add_products(const float* const (&a)[groups_of(rows, apart)],
                             const std::int64_t (&stride)[4], const float* b,
                             V (&acc)[rows][vectors]) {
  const D d;
  constexpr int groups = groups_of(rows, apart);
  V bv[vectors];
#pragma GCC unroll 4
  for (int j = 0; j < vectors; ++j) bv[j] = hn::LoadU(d, b + j * lanes);
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    const V av = hn::Set(d, apart ? a[(i / 4) % groups][stride[i % 4]] : a[0][i]);
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) acc[i][j] = hn::MulAdd(av, bv[j], acc[i][j]);
  }
}

/// Tiles between whose products `Work` goes on: three parts of it in three steps of k, since the
/// registers of a processor hold no more of its instructions' results while it waits for one.
///   Work(void* state), save(): what it keeps from tile to tile
///   bool begins(): whether there is work; may put some of it off
///   part<0>(), part<1>(), part<2>(): in this order, with few registers
///   between_tiles(): with all of them
/// As tiles of rows that stand side by side, two vectors wide, from zero, nothing asked for.
template <int rows, class Work>
void tiles_between(const TileArguments& t, void* state) {
  constexpr int vectors = gemm_tile_vectors;
  const D d;
  Work work(state);
  const float* a_tile = t.a;
  float* c = t.c;
  const std::int64_t apart[4] = {};
  for (std::int64_t i = 0; i < t.tiles; ++i, a_tile += t.a_tile, c += rows * t.c_stride) {
    V acc[rows][vectors];
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row)
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) acc[row][j] = hn::Zero(d);
    const float* a[1] = {a_tile};
    const float* b = t.b;
    const auto step = [&]() FORNAX_LAMBDA {
      add_products<rows, vectors, false>(a, apart, b, acc);
      a[0] += t.a_stride, b += t.b_stride;
    };
    for (std::int64_t k = t.depth; k > 0;) {
      step();
      if (k < 3 || !work.begins()) {
        --k;
        continue;
      }
      work.template part<0>();
      step();
      work.template part<1>();
      step();
      work.template part<2>();
      k -= 3;
    }
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row)
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j)
        hn::StoreU(acc[row][j], d, c + row * t.c_stride + j * lanes);
    work.between_tiles();
  }
  work.save();
}

}  // namespace fornax::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
