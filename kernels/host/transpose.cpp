// Transposes of squares in registers: 4 x 4 elements within blocks of 128 bits, then the blocks.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/transpose.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/turn_blocks.h"
// clang-format on
#include "kernels/host/transpose.h"

#include <algorithm>

#include "hwy/cache_control.h"

HWY_BEFORE_NAMESPACE();
namespace fornax::host::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int lanes = HWY_LANES(float), line = 16;

/// `parts` vectors of rows, `lanes` columns.
template <int parts, bool streamed>
HWY_INLINE void turn(const float* from, std::int64_t from_stride, float* to,
                     std::int64_t to_stride) {
  const D d;
  V column[parts][lanes];
#pragma GCC unroll 4
  for (int part = 0; part < parts; ++part) {
    const float* first = from + part * lanes * from_stride;
    load_turned([=](int i) FORNAX_LAMBDA { return first + i * from_stride; }, column[part]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < lanes; ++j)
    for (int part = 0; part < parts; ++part) {
      float* at = to + j * to_stride + part * lanes;
      streamed ? hn::Stream(column[part][j], d, at) : hn::StoreU(column[part][j], d, at);
    }
}

/// Rows [i, i + line), fewer where `rows` end before, of the columns [j, j + lanes).
template <bool streamed>
HWY_INLINE void turn_rows(const Transpose& t, std::int64_t i, std::int64_t j, std::int64_t rows) {
  const float* from = t.from + i * t.from_stride + j;
  float* to = t.to + j * t.to_stride + i;
  if (i + line <= rows) return turn<line / lanes, streamed>(from, t.from_stride, to, t.to_stride);
  for (std::int64_t part = 0; part < rows - i; part += lanes)
    turn<1, streamed>(from + part * t.from_stride, t.from_stride, to + part, t.to_stride);
}

/// How far ahead rows are asked for, and how much of each at once: memory hands over 512 bytes of a
/// row quicker than a line of each of many, and 1024 quicker still, on Zen 5 (1.04 to 1.05); with
/// vectors of other sizes they were not tried.
constexpr std::int64_t lines_ahead = lanes == 16 ? 16 : 8, ahead = lines_ahead * line;

/// While columns [column, column + line) of the rows [i, i + line) are turned, some of these rows
/// are asked for, so that all are when their lines before are done.
HWY_INLINE void fetch_ahead(const Transpose& t, std::int64_t i, std::int64_t column) {
  constexpr std::int64_t rows = line / lines_ahead;
  const std::int64_t row = i + column / line % lines_ahead * rows;
  const std::int64_t at = column / ahead * ahead + ahead;
  for (std::int64_t r = row; r < std::min(row + rows, t.rows); ++r)
    for (std::int64_t j = at; j < std::min(at + ahead, t.source_columns); j += line)
      __builtin_prefetch(t.from + r * t.from_stride + j, 0, 2);
}

/// A line of columns goes through all its rows before the next: a line of the source is used up
/// while it is in L1, and neighbours in the result are written one after another, lines whole.
template <bool streamed>
HWY_ATTR void turn_all(const Transpose& t) {
  const std::int64_t rows = t.rows / lanes * lanes, columns = t.columns / lanes * lanes;
  for (std::int64_t first = 0; first < columns; first += line)
    for (std::int64_t i = 0; i < rows; i += line) {
      fetch_ahead(t, i, first);
      for (std::int64_t j = first; j < std::min(first + line, columns); j += lanes)
        turn_rows<streamed>(t, i, j, rows);
    }
  for (std::int64_t j = 0; j < t.columns; ++j)
    for (std::int64_t i = j < columns ? rows : 0; i < t.rows; ++i)
      t.to[j * t.to_stride + i] = t.from[i * t.from_stride + j];
}

void transpose_any(const Transpose& t) { t.streamed ? turn_all<true>(t) : turn_all<false>(t); }

}  // namespace fornax::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fornax::host {

void transpose(const Transpose& t) { FORNAX_DISPATCH(transpose_any)(t); }

}  // namespace fornax::host
#endif
