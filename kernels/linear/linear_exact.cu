// The matrix product whose every output is one fma chain in order of k, so that its f32 bits are
// those of the reference. Register tiles over a ring of shared stages that cp.async fills (Volkov,
// Demmel 2008, doi:10.1109/SC.2008.5214359); only the order of each sum is our own. On an H100 the
// fma units are 62 to 72 % busy in large products; small ones wait for their chains.
#include "kernels/device/copy_async.cuh"
#include "kernels/device/launch.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/launch_plan.h"
#include "kernels/linear/linear_finish.cuh"

namespace fornax::kernels {
namespace {

using namespace fornax::device;

/// A block makes rows x columns outputs, a thread tm x tn of them; stages are `depth` long in k;
/// `blocks` fit into a multiprocessor.
template <int rows, int columns, int tm, int tn, int depth, int stages, int blocks>
struct Tiling {
  static constexpr int kRows = rows, kColumns = columns, kDepth = depth;
  static constexpr int kStages = stages, kBlocks = blocks;
  static constexpr int kTm = tm, kTn = tn, kSideY = rows / tm, kSideX = columns / tn;
  static constexpr int kBlock = kSideX * kSideY;
};
using Tall = Tiling<128, 64, 8, 8, 16, 3, 3>;
using Medium = Tiling<64, 64, 8, 4, 16, 4, 4>;
using Fine = Tiling<32, 64, 4, 4, 16, 4, 5>;
using Small = Tiling<16, 32, 2, 2, 32, 4, 6>;

/// This thread among kSideX x kSideY: a warp is 8 along x and 4 along y, and lanes of a half-warp
/// share addresses in pairs, so that vectors of 16 bytes are read in half as many wavefronts.
template <class T>
struct ThreadPlace {
  int x, y;
  FORNAX_DEVICE ThreadPlace() {
    const int lane = lane_index(), warp = warp_index();
    constexpr int kAcross = T::kSideX / 8;
    x = warp % kAcross * 8 + lane / 2 % 8;
    y = warp / kAcross * 4 + lane % 2 + lane / 16 * 2;
  }
};

/// A stage of an operand in shared memory is [tile, depth + 4] when it runs along k, so that
/// neighbouring rows begin in other banks, else [depth, tile].
template <class T, bool by_k, int tile>
inline constexpr int kPitchOf = by_k ? T::kDepth + 4 : tile;

/// One operand in shared memory: `tile` rows, of which a thread among `side` has t.
template <class T, bool by_k, int tile, int t>
struct Operand {
  static constexpr int kDepth = T::kDepth, kSide = tile / t, kVector = t < 4 ? t : 4;
  static constexpr int kPitch = kPitchOf<T, by_k, tile>;
  static constexpr int kElements = (by_k ? tile : kDepth) * kPitch;

  /// The row of this thread's i-th: neighbours along k, else vectors of them.
  FORNAX_DEVICE static int row(int place, int i) {
    return by_k ? place + kSide * i : i / kVector * kVector * kSide + kVector * place + i % kVector;
  }

  FORNAX_DEVICE static float one(const float* stage, int place, int i, int k) {
    return read(stage + (by_k ? row(place, i) * kPitch + k : k * kPitch + row(place, i)));
  }
  /// Its rows at k, where they are neighbours.
  FORNAX_DEVICE static void across(float (&v)[t], const float* stage, int place, int k) {
    static_assert(!by_k);
#pragma unroll
    for (int i = 0; i < t; i += kVector) {
      const float* from = stage + k * kPitch + row(place, i);
      if constexpr (kVector == 4) {
        const float4 four = read4(from);
        v[i] = four.x, v[i + 1] = four.y, v[i + 2] = four.z, v[i + 3] = four.w;
      } else {
        const auto two = read_vector<float2>(from);
        v[i] = two.x, v[i + 1] = two.y;
      }
    }
  }
  /// Its row i at k .. k + 3, where those are neighbours.
  FORNAX_DEVICE static void along(float (&v)[4], const float* stage, int place, int i, int k) {
    static_assert(by_k);
    const float4 four = read4(stage + row(place, i) * kPitch + k);
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
  }
};

/// The copies of one operand into a stage that are this thread's: pieces of `piece` elements, each
/// kLines lines of the stage below the one before. 16-bit elements are widened on the way.
template <class T, bool by_k, int tile, int piece, class E>
class Copies {
 public:
  FORNAX_DEVICE Copies(const TileSide<E>& side, std::int64_t k) {
    const int n = thread_index() / kPieces, at = thread_index() % kPieces * piece;
    // Along k, lanes of two rows write to rows l and l + 4, which lie in different banks.
    const int line = by_k && piece == 4 ? n / 8 * 8 + n % 2 * 4 + n % 8 / 2 : n;
    to_ = line * kPitch + at, k_ = by_k ? at : line;
    const std::int64_t row = side.first + (by_k ? line : at), first = k + k_;
    const std::int64_t left = side.extent - row;
    rows_left_ = static_cast<int>(left < tile ? left : tile);
    from_ = side.x + (by_k ? row * side.ld + first : first * side.ld + row);
    step_ = kLines * side.ld;
  }
  /// The next stage; `k_left` of k are left from its beginning on.
  FORNAX_DEVICE void load(float* stage, std::int64_t k_left) {
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const bool inside =
          (by_k ? i * kLines : 0) < rows_left_ && k_ + (by_k ? 0 : i * kLines) < k_left;
      float* to = stage + to_ + i * kLines * kPitch;
      const E* from = from_ + i * step_;
      if constexpr (std::is_same_v<E, float>)
        copy_async<4 * piece>(to, inside ? from : from_, inside ? 4 * piece : 0);
      else
        write(to, inside ? read_element(from) : 0.0f);
    }
    from_ += by_k ? T::kDepth : T::kDepth / kLines * step_;
  }

 private:
  static constexpr int kPitch = kPitchOf<T, by_k, tile>;
  static constexpr int kPieces = (by_k ? T::kDepth : tile) / piece, kLines = T::kBlock / kPieces;
  static constexpr int kCopies = tile * T::kDepth / piece / T::kBlock;
  static_assert(kCopies * piece * T::kBlock == tile * T::kDepth && T::kBlock % kPieces == 0);
  static_assert(by_k ? piece == 1 || kLines % 8 == 0 : T::kDepth % kLines == 0);
  const E* from_;
  std::int64_t step_;
  int to_, k_, rows_left_;
};

/// How one layout of operands is multiplied by one tiling.
template <class T, bool a_by_k, bool b_by_k>
struct Product {
  using A = Operand<T, a_by_k, T::kRows, T::kTm>;
  using B = Operand<T, b_by_k, T::kColumns, T::kTn>;
  static constexpr int kStage = A::kElements + B::kElements;
  static constexpr int kPassRows = T::kRows / (T::kTm > 4 ? T::kTm / 4 : 1);
  /// Neighbours of a half-warp put their sums into other banks.
  static constexpr int kPad = b_by_k ? 8 : a_by_k ? 16 : 16 / A::kVector;
  static constexpr int kOutputPitch = T::kColumns + kPad, kOutputs = kPassRows * kOutputPitch;
  /// The ring; afterwards some rows of finished sums.
  struct Shared {
    SharedArray<float, (T::kStages * kStage > kOutputs ? T::kStages * kStage : kOutputs)> words;
  };
  float sum[T::kTm][T::kTn] = {};

  FORNAX_DEVICE void add(const float (&a)[T::kTm], const float (&b)[T::kTn]) {
#pragma unroll
    for (int i = 0; i < T::kTm; ++i)
#pragma unroll
      for (int j = 0; j < T::kTn; ++j) sum[i][j] = numeric::fma(a[i], b[j], sum[i][j]);
  }

  /// k .. k + 3 of a stage.
  FORNAX_DEVICE void add_four(const float* a, const float* b, ThreadPlace<T> at, int k) {
    float u[T::kTm][4], v[4];
    if constexpr (a_by_k) {
#pragma unroll
      for (int i = 0; i < T::kTm; ++i) A::along(u[i], a, at.y, i, k);
    }
    if constexpr (b_by_k) {
#pragma unroll
      for (int j = 0; j < T::kTn; ++j) {
        B::along(v, b, at.x, j, k);
#pragma unroll
        for (int e = 0; e < 4; ++e)
#pragma unroll
          for (int i = 0; i < T::kTm; ++i) sum[i][j] = numeric::fma(u[i][e], v[e], sum[i][j]);
      }
    } else {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float row[T::kTm], column[T::kTn];
        B::across(column, b, at.x, k + e);
        if constexpr (a_by_k) {
#pragma unroll
          for (int i = 0; i < T::kTm; ++i) row[i] = u[i][e];
        } else {
          A::across(row, a, at.y, k + e);
        }
        add(row, column);
      }
    }
  }

  FORNAX_DEVICE void add_stage(const float* stage) {
    const ThreadPlace<T> at;
#pragma unroll
    for (int k = 0; k < T::kDepth; k += 4) add_four(stage, stage + A::kElements, at, k);
  }
  /// The first `count` of a stage: no step beyond K, since fma(0, 0, -0) would be +0.
  FORNAX_DEVICE void add_rest(const float* stage, int count) {
    const ThreadPlace<T> at;
#pragma unroll 1
    for (int k = 0; k < count; ++k) {
      float row[T::kTm], column[T::kTn];
#pragma unroll
      for (int i = 0; i < T::kTm; ++i) row[i] = A::one(stage, at.y, i, k);
#pragma unroll
      for (int j = 0; j < T::kTn; ++j) column[j] = B::one(stage + A::kElements, at.x, j, k);
      add(row, column);
    }
  }

  /// Through shared memory, kPassRows at a time.
  template <class E>
  FORNAX_DEVICE void store(const TileProduct<E>& p, float* words, std::int64_t m, std::int64_t n) {
    constexpr int kOfPass = T::kTm < 4 ? T::kTm : 4;
#pragma unroll
    for (int pass = 0; pass < T::kTm / kOfPass; ++pass) {
      sync_block();
#pragma unroll
      for (int i = 0; i < kOfPass; ++i) put_row(words, i, sum[pass * kOfPass + i]);
      sync_block();
      finish_tile<kPassRows, T::kColumns, kOutputPitch, T::kBlock>(p, words, m + pass * kPassRows,
                                                                   n);
    }
  }
  /// This thread's columns of its i-th row of a pass.
  FORNAX_DEVICE void put_row(float* words, int i, const float (&v)[T::kTn]) {
    const ThreadPlace<T> at;
    float* row = words + A::row(at.y, i) * kOutputPitch;
#pragma unroll
    for (int j = 0; j < T::kTn; j += B::kVector) {
      if constexpr (b_by_k) {
        for (int e = 0; e < B::kVector; ++e) write(row + B::row(at.x, j + e), v[j + e]);
      } else if constexpr (B::kVector == 4) {
        write_four(row + B::row(at.x, j), {{v[j], v[j + 1], v[j + 2], v[j + 3]}});
      } else {
        write_vector(row + B::row(at.x, j), float2{v[j], v[j + 1]});
      }
    }
  }
};

/// A block owns a tile of c (grid x: columns, y: rows) and a chunk of k (z).
template <class T, class E, bool a_by_k, bool b_by_k, int piece>
__global__ void __launch_bounds__(T::kBlock, T::kBlocks) linear_exact(TileProduct<E> p) {
  using P = Product<T, a_by_k, b_by_k>;
  float* words = &shared_memory<typename P::Shared>().words[0];
  const std::int64_t m = std::int64_t{blockIdx.y} * T::kRows;
  const std::int64_t n = std::int64_t{blockIdx.x} * T::kColumns;
  const std::int64_t begin = (p.first_chunk + blockIdx.z) * p.chunk;
  const std::int64_t end = begin + p.chunk < p.K ? begin + p.chunk : p.K;
  const int whole = static_cast<int>((end - begin) / T::kDepth);
  const int rest = static_cast<int>((end - begin) % T::kDepth), steps = whole + (rest > 0);
  Copies<T, a_by_k, T::kRows, piece, E> a({p.a, p.lda, m, p.M}, begin);
  Copies<T, b_by_k, T::kColumns, piece, E> b({p.b, p.ldb, n, p.N}, begin);
  const auto load = [&](int step) {
    if (step < steps) {
      float* stage = words + step % T::kStages * P::kStage;
      const std::int64_t k_left = end - begin - std::int64_t{step} * T::kDepth;
      a.load(stage, k_left);
      b.load(stage + P::A::kElements, k_left);
    }
    copy_async_commit();  // an empty group at the end keeps the count
  };
  for (int step = 0; step < T::kStages - 1; ++step) load(step);
  P product;
  for (int step = 0; step < whole; ++step) {
    copy_async_wait<T::kStages - 2>();
    sync_block();
    load(step + T::kStages - 1);
    product.add_stage(words + step % T::kStages * P::kStage);
  }
  copy_async_wait<0>();
  sync_block();
  if (rest) product.add_rest(words + whole % T::kStages * P::kStage, rest);
  product.store(p, words, m, n);
}

template <class T>
const char* name_of() {
  if (std::is_same_v<T, Tall>) return "linear_exact_128x64";
  if (std::is_same_v<T, Medium>) return "linear_exact_64x64";
  return std::is_same_v<T, Fine> ? "linear_exact_32x64" : "linear_exact_16x32";
}

template <class T, class E>
std::int64_t blocks_of(const TileProduct<E>& p) {
  return (p.M + T::kRows - 1) / T::kRows * ((p.N + T::kColumns - 1) / T::kColumns);
}

template <class T, int piece, class E>
void launch_tiles(const Queue& queue, TileLayout layout, const TileProduct<E>& p,
                  std::int64_t chunks) {
  Config config;
  config.grid = {static_cast<unsigned>((p.N + T::kColumns - 1) / T::kColumns),
                 static_cast<unsigned>((p.M + T::kRows - 1) / T::kRows),
                 static_cast<unsigned>(chunks)};
  config.block = {T::kBlock, 1, 1};
  config.name = name_of<T>();
  if (layout == TileLayout::forward) {
    config.shared_bytes = sizeof(typename Product<T, true, true>::Shared);
    return launch(queue, linear_exact<T, E, true, true, piece>, config, p);
  }
  if (layout == TileLayout::dgrad) {
    config.shared_bytes = sizeof(typename Product<T, true, false>::Shared);
    return launch(queue, linear_exact<T, E, true, false, piece>, config, p);
  }
  config.shared_bytes = sizeof(typename Product<T, false, false>::Shared);
  launch(queue, linear_exact<T, E, false, false, piece>, config, p);
}

/// What the busiest of a GPU's multiprocessors does, in fmas of a thread block, over how well the
/// tiling does it; to begin and to end a tile takes as long as some steps of k. The numbers were
/// read off an H100.
template <class T>
double time_of(const TileProduct<float>& p, std::int64_t chunks, double rate) {
  constexpr std::int64_t kMultiprocessors = 132, kSteps = T::kRows > 64 ? 160 : 96;
  const std::int64_t blocks = blocks_of<T>(p) * chunks;
  const std::int64_t of_one = (blocks + kMultiprocessors - 1) / kMultiprocessors;
  const std::int64_t steps = std::min(p.chunk, p.K) + kSteps;
  return static_cast<double>(of_one * T::kRows * T::kColumns * steps) / rate;
}

/// The quickest by that measure.
Tile best_tile(const TileProduct<float>& p, std::int64_t chunks) {
  const double medium = time_of<Medium>(p, chunks, 0.93), fine = time_of<Fine>(p, chunks, 0.89);
  const double small = time_of<Small>(p, chunks, 0.66), least = std::min({medium, fine, small});
  if (whole_rows(p) && time_of<Tall>(p, chunks, 1) <= least) return Tile::of_128x64;
  if (medium == least) return Tile::of_64x64;
  return fine == least ? Tile::of_32x64 : Tile::of_16x32;
}

template <int piece>
void launch_tile(const Queue& queue, TileLayout layout, const TileProduct<float>& p,
                 std::int64_t chunks, Tile tile) {
  if constexpr (piece == 4)
    if (tile == Tile::of_128x64) return launch_tiles<Tall, piece>(queue, layout, p, chunks);
  if (tile == Tile::of_64x64) return launch_tiles<Medium, piece>(queue, layout, p, chunks);
  if (tile == Tile::of_32x64) return launch_tiles<Fine, piece>(queue, layout, p, chunks);
  launch_tiles<Small, piece>(queue, layout, p, chunks);
}

}  // namespace

template <class E>
void exact_product(const Queue& queue, TileLayout layout, const TileProduct<E>& p,
                   std::int64_t chunks, Tile tile) {
  if (p.M == 0 || p.N == 0 || chunks == 0) return;
  if constexpr (!std::is_same_v<E, float>) {
    launch_tiles<Medium, 1>(queue, layout, p, chunks);
  } else {
    if (tile == Tile::best) tile = best_tile(p, chunks);
    if (whole_rows(p)) return launch_tile<4>(queue, layout, p, chunks, tile);
    launch_tile<1>(queue, layout, p, chunks, tile);
  }
}

template void exact_product(const Queue&, TileLayout, const TileProduct<float>&, std::int64_t,
                            Tile);
template void exact_product(const Queue&, TileLayout, const TileProduct<bf16>&, std::int64_t, Tile);
template void exact_product(const Queue&, TileLayout, const TileProduct<f16>&, std::int64_t, Tile);

}  // namespace fornax::kernels
