// What CUDA kernels over rows share. 32 lanes walk a row, or as few as hold a narrow one: lane l
// has the elements l + lanes k, which are whole chains of ordered_sum.h, whatever the row's
// alignment.
#pragma once
#include "kernels/device/element.cuh"
#include "kernels/device/warp.cuh"
#include "kernels/numeric/numeric.h"

namespace fornax::kernels {

/// Lanes of a row: a row that needs fewer than 32 has at most four elements a lane.
inline int lanes_of_row(std::int64_t width) {
  int lanes = 32;
  while (lanes > 1 && width <= 2 * lanes) lanes /= 2;
  return lanes;
}

/// The row of this thread and its place there. Lanes past the last row work on the last one, so
/// that their warp stays whole, and write nothing; a warp of such lanes is idle.
struct RowPlace {
  std::int64_t row;
  int lane, lanes;
  bool idle, writes;
};
FORNAX_DEVICE RowPlace row_place(std::int64_t rows, int lanes) {
  const std::int64_t row = device::grid_thread() / lanes;
  const std::int64_t first_of_warp = (device::grid_thread() - device::lane_index()) / lanes;
  return {row < rows ? row : rows - 1, device::lane_index() % lanes, lanes, first_of_warp >= rows,
          row < rows};
}

/// `words` elements of a lane; `whole`: none of them is past the end.
template <int words, bool whole>
struct RowWords {
  std::int64_t first, end;
  int stride;

  FORNAX_DEVICE bool has(int j) const { return whole || first + j * stride < end; }
  /// Element j, or the row's last one where there is none.
  FORNAX_DEVICE std::int64_t at(int j) const { return has(j) ? first + j * stride : end - 1; }
};

/// Calls visit(RowWords) until all of [begin, end) has been visited; word j is of chain j % 4.
template <class Visit>
FORNAX_DEVICE void for_row(const RowPlace& place, std::int64_t begin, std::int64_t end,
                           const Visit& visit) {
  constexpr int kWords = 16;
  std::int64_t i = begin;
  if (place.lanes == 32)
    for (; i + 32 * kWords <= end; i += 32 * kWords)
      visit(RowWords<kWords, true>{i + place.lane, end, 32});
  for (; i < end; i += 4 * place.lanes) visit(RowWords<4, false>{i + place.lane, end, place.lanes});
}

/// The sum of one chunk of term(i); every lane of the row has it.
template <class Term>
FORNAX_DEVICE float row_chunk(const RowPlace& place, std::int64_t begin, std::int64_t end,
                              const Term& term) {
  float c[4] = {-0.0f, -0.0f, -0.0f, -0.0f};
  for_row(place, begin, end, [&]<int words, bool whole>(const RowWords<words, whole>& w) {
    float v[words];
#pragma unroll
    for (int j = 0; j < words; ++j) v[j] = term(w.at(j));
#pragma unroll
    for (int j = 0; j < words; ++j) c[j % 4] = w.has(j) ? c[j % 4] + v[j] : c[j % 4];
  });
  float sum = (c[0] + c[2]) + (c[1] + c[3]);
  for (int mask = place.lanes / 2; mask > 0; mask /= 2) sum = sum + device::shuffle_xor(sum, mask);
  return sum;
}

/// The ordered sum of `count` terms.
template <class Term>
FORNAX_DEVICE float sum_of_row(const RowPlace& place, std::int64_t count, const Term& term) {
  float total = -0.0f;
  for (std::int64_t begin = 0; begin < count; begin += numeric::kSumChunk) {
    const std::int64_t rest = count - begin;
    const std::int64_t end = begin + (rest < numeric::kSumChunk ? rest : numeric::kSumChunk);
    total = total + row_chunk(place, begin, end, term);
  }
  return total;
}

/// The maximum of x[0 .. count); NaN when there is one.
FORNAX_DEVICE float maximum_of_row(const RowPlace& place, const float* x, std::int64_t count) {
  float largest = device::read(x);
  for_row(place, 0, count, [&]<int words, bool whole>(const RowWords<words, whole>& w) {
    float v[words];
#pragma unroll
    for (int j = 0; j < words; ++j) v[j] = device::read(x + w.at(j));
#pragma unroll
    for (int j = 0; j < words; ++j) largest = numeric::max(largest, v[j]);
  });
  for (int mask = place.lanes / 2; mask > 0; mask /= 2)
    largest = numeric::max(largest, device::shuffle_xor(largest, mask));
  return largest;
}

/// The ordered sum of e^(x - shift).
FORNAX_DEVICE float sum_of_exp(const RowPlace& place, const float* x, float shift,
                               std::int64_t count) {
  return sum_of_row(place, count,
                    [=](std::int64_t i) { return numeric::exp(device::read(x + i) - shift); });
}

/// y[i] = map(i) for the row's `count` elements; y may be what map reads.
template <class Map>
FORNAX_DEVICE void map_row(const RowPlace& place, std::int64_t count, float* y, const Map& map) {
  device::sync_warp();  // no lane writes what another has yet to read
  for_row(place, 0, count, [&]<int words, bool whole>(const RowWords<words, whole>& w) {
    float v[words];
#pragma unroll
    for (int j = 0; j < words; ++j) v[j] = map(w.at(j));
    if (!whole) device::sync_warp();
#pragma unroll
    for (int j = 0; j < words; ++j)
      if (w.has(j) && place.writes) device::write(y + w.at(j), v[j]);
  });
}

}  // namespace fornax::kernels
