// Loops over arrays by vectors: fills, maps, sums of columns. Included by vector.h.
#if defined(FORNAX_VECTOR_ARRAY_TOGGLE) == defined(HWY_TARGET_TOGGLE)
#ifdef FORNAX_VECTOR_ARRAY_TOGGLE
#undef FORNAX_VECTOR_ARRAY_TOGGLE
#else
#define FORNAX_VECTOR_ARRAY_TOGGLE
#endif

#include "kernels/host/isa.h"
#include "kernels/host/past_caches.h"

#ifndef FORNAX_PLACES
#define FORNAX_PLACES
namespace fornax::numeric {

using host::kStreams;
constexpr std::int64_t kLine = 16;  ///< elements of a line of f32

/// `count` elements from `first` on of each stream, whole lines.
struct Streams {
  std::int64_t first, count, apart;
};

}  // namespace fornax::numeric
#endif

HWY_BEFORE_NAMESPACE();
namespace fornax::numeric::HWY_NAMESPACE {

// Places and Lines are here, not in fornax::numeric: a compiler does not inline functions of
// another target, and to call them from every loop took 2.4 to 5 times as long on AVX2.

/// Where the elements of a Quad are in arrays that are taken in several streams: 16 from element
/// `at` on of stream number `stream`, 16 of the next, ...; streams begin `apart` elements apart.
struct Places {
  std::int64_t at, stream, apart;
};
/// The same in one array: 16 elements from `first` on, 16 from first + apart on, ...
template <class Number>
struct Lines {
  Number* first;
  std::int64_t apart;
};
template <class Number>
FORNAX_NUMERIC_FN Lines<Number> operator+(Number* array, Places places) {
  return {array + places.at + places.stream * places.apart, places.apart};
}
/// Of an array that is the same for every stream: array + in_every_stream(places).
FORNAX_NUMERIC_FN Places in_every_stream(Places places) { return {places.at, 0, 0}; }
FORNAX_NUMERIC_FN std::int64_t in_every_stream(std::int64_t i) { return i; }

constexpr int kLinesOfQuad = 4 * kLanes / kLine;

/// Where vector v of a Quad is.
template <int v, class Number>
FORNAX_NUMERIC_FN Number* vector_of(Lines<Number> lines) {
  return lines.first + v * kLanes / kLine * lines.apart + v * kLanes % kLine;
}
FORNAX_NUMERIC_FN Quad load(Lines<const float> from, Quad) {
  return {{load(vector_of<0>(from)), load(vector_of<1>(from))},
          {load(vector_of<2>(from)), load(vector_of<3>(from))}};
}
FORNAX_NUMERIC_FN Pair<Pair<VectorInt>> load_halves(Lines<const std::uint16_t> from, Quad) {
  return {{load_u16(vector_of<0>(from)), load_u16(vector_of<1>(from))},
          {load_u16(vector_of<2>(from)), load_u16(vector_of<3>(from))}};
}
FORNAX_NUMERIC_FN void stream(Quad value, Lines<float> to) {
  stream(value.first.first, vector_of<0>(to));
  stream(value.first.second, vector_of<1>(to));
  stream(value.second.first, vector_of<2>(to));
  stream(value.second.second, vector_of<3>(to));
}

/// visit(i, T()) for the elements [begin, end), T from wide to narrow: Quad, Vector, float.
template <class Visit>
FORNAX_NUMERIC_FN void for_vectors(std::int64_t begin, std::int64_t end, const Visit& visit) {
  std::int64_t i = begin;
  for (; i + 4 * kLanes <= end; i += 4 * kLanes) visit(i, Quad());
  for (; i + kLanes <= end; i += kLanes) visit(i, Vector());
  for (; i < end; ++i) visit(i, 0.0f);
}

/// The same without the Quad: each load goes along its array line by line, see ReadAhead::along in
/// isa.h.
template <class Visit>
FORNAX_NUMERIC_FN void for_single_vectors(std::int64_t begin, std::int64_t end,
                                          const Visit& visit) {
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) visit(i, Vector());
  for (; i < end; ++i) visit(i, 0.0f);
}

/// Asks for the lines of a Quad, past the end of an array in vain: hardware that runs ahead of a
/// loop with much arithmetic keeps fewer lines under way than memory needs.
FORNAX_NUMERIC_FN void fetch(Lines<const float> lines) {
  for (int l = 0; l < kLinesOfQuad; ++l) hwy::Prefetch(lines.first + l * lines.apart);
}
FORNAX_NUMERIC_FN void fetch(const float* at) { fetch(Lines<const float>{at, kLine}); }
/// How far ahead of their use, in floats, a loop over an array, or over two, asks for them:
/// measured.
FORNAX_NUMERIC_FN std::int64_t fetched_ahead() { return host::reads_along() ? 768 : 256; }
constexpr std::int64_t kTwoFetchedAhead = 256;

/// fill_array past the caches of kStreams streams, a line of each at a time.
template <class Term, class... Float>
FORNAX_NUMERIC_FN void fill_streams(float* out, Streams streams, const Term& term,
                                    const Float*... fetched) {
  for (std::int64_t at = streams.first; at < streams.first + streams.count; at += kLine) {
    for (std::int64_t s = 0; s < kStreams; s += kLinesOfQuad) {
      const Places places{at, s, streams.apart};
      (fetch(fetched + places), ...);
      stream(term(places, Quad()), out + places);
    }
  }
}

/// out[i] = term(i, T()) for i in [0, count); term gives a T: a Quad, a Vector or, at the ends, a
/// float. `streamed`: past the caches, so that memory does not hand over lines that are overwritten
/// whole, and then those at fetched + i are asked for; end_streams() when the part is done.
template <class Term, class... Float>
FORNAX_NUMERIC_FN void fill_in_order(float* out, std::int64_t count, bool streamed,
                                     const Term& term, const Float*... fetched) {
  std::int64_t i = 0;
  if (streamed) {
    for (; i < count && !host::begins_line(out + i); ++i) out[i] = term(i, 0.0f);
    for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
      (fetch(fetched + i), ...);
      stream(term(i, Quad()), out + i);
    }
    for (; i + kLanes <= count; i += kLanes) stream(term(i, Vector()), out + i);
  }
  for_vectors(i, count,
              [&](std::int64_t at, auto zero) FORNAX_LAMBDA { store(term(at, zero), out + at); });
}

/// The same in streams of the array where it is long: of a Quad i may be Places.
template <class Term, class... Float>
FORNAX_NUMERIC_FN void fill_array(float* out, std::int64_t count, bool streamed, const Term& term,
                                  const Float*... fetched) {
  std::int64_t i = 0;
  if (streamed) {
    for (; i < count && !host::begins_line(out + i); ++i) out[i] = term(i, 0.0f);
    const std::int64_t apart = host::lines_of_stream((count - i) / kLine) * kLine;
    fill_streams(out, {i, apart, apart}, term, fetched...);
    i += kStreams * apart;
  }
  fill_in_order(
      out + i, count - i, streamed,
      [&](std::int64_t at, auto zero) FORNAX_LAMBDA { return term(i + at, zero); },
      (fetched + i)...);
}

/// fill_in_order of `rows` rows of `width` elements, each with the term that term_of(row) gives. Of
/// Places the streams are rows: what is the same for all is in_every_stream.
template <class TermOf, class... Float>
FORNAX_NUMERIC_FN void fill_rows(float* out, std::int64_t rows, std::int64_t width, bool streamed,
                                 const TermOf& term_of, const Float*... fetched) {
  std::int64_t row = 0;
  if (streamed && width % kLine == 0 && host::begins_line(out)) {
    const std::int64_t side_by_side = rows / kStreams;
    for (; row < side_by_side; ++row)
      fill_streams(out + row * width, {0, width, side_by_side * width}, term_of(row),
                   (fetched + row * width)...);
    row = kStreams * side_by_side;
  }
  for (; row < rows; ++row)
    fill_in_order(out + row * width, width, streamed, term_of(row), (fetched + row * width)...);
}

/// What was streamed is in memory before another thread is told.
FORNAX_NUMERIC_FN void end_streams(bool streamed) {
  if (streamed) hwy::FlushStream();
}

/// out[i] = function(in[i]) for i in [0, count); function takes Quad, Vector and float.
/// The last elements go through its float form. `in` may be `out`.
template <class Function>
FORNAX_NUMERIC_FN void map(const float* in, float* out, std::int64_t count,
                           const Function& function, bool streamed = false) {
  fill_array(
      out, count, streamed,
      [&](auto i, auto zero) FORNAX_LAMBDA { return function(load(in + i, zero)); },
      in + fetched_ahead());
}

/// out[c] = the chain of term(row, c, zero) over the rows [begin, end) in order, from -0.0, of
/// every column. A few rows are taken across all columns before the next, so that memory is read in
/// few streams; between, the chains wait in out.
template <class Term>
FORNAX_NUMERIC_FN void column_chains(std::int64_t begin, std::int64_t end, std::int64_t columns,
                                     float* out, const Term& term) {
  constexpr std::int64_t kRows = 8;
  constexpr int kWidth = 4;
  for (std::int64_t c = 0; c < columns; ++c) out[c] = -0.0f;
  for (std::int64_t first = begin; first < end; first += kRows) {
    const std::int64_t last = std::min(end, first + kRows);
    std::int64_t c = 0;
    for (; c + kWidth * kLanes <= columns; c += kWidth * kLanes) {
      Vector sum[kWidth];
      for (int w = 0; w < kWidth; ++w) sum[w] = load(out + c + w * kLanes, Vector());
      for (std::int64_t row = first; row < last; ++row)
        for (int w = 0; w < kWidth; ++w) sum[w] = sum[w] + term(row, c + w * kLanes, Vector());
      for (int w = 0; w < kWidth; ++w) store(sum[w], out + c + w * kLanes);
    }
    const auto rest = [&](auto zero) FORNAX_LAMBDA {
      auto sum = load(out + c, zero);
      for (std::int64_t row = first; row < last; ++row) sum = sum + term(row, c, zero);
      store(sum, out + c);
    };
    for (; c + kLanes <= columns; c += kLanes) rest(Vector());
    for (; c < columns; ++c) rest(0.0f);
  }
}

/// The same of two pieces of `rows` rows, one behind the other, row by row: see ReadAhead::along in
/// isa.h. `out` is two rows.
template <class Term>
FORNAX_NUMERIC_FN void two_column_chains(std::int64_t begin, std::int64_t rows,
                                         std::int64_t columns, float* out, const Term& term) {
  for (std::int64_t c = 0; c < 2 * columns; ++c) out[c] = -0.0f;
  for (std::int64_t row = begin; row < begin + rows; ++row)
    for_single_vectors(0, columns, [&](std::int64_t c, auto zero) FORNAX_LAMBDA {
      float *first = out + c, *second = first + columns;
      const auto sum = load(first, zero) + term(row, c, zero);
      const auto other = load(second, zero) + term(row + rows, c, zero);
      store(sum, first), store(other, second);
    });
}

}  // namespace fornax::numeric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
