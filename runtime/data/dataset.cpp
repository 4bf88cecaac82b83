// Choosing rows: selection, permutations, splits and folds.
#include <fornax/data.h>
#include <fornax/error.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "kernels/numeric/philox.h"
#include "runtime/data/shuffle.h"

namespace fornax {

namespace {

Tensor select_rows(const Tensor& from, std::span<const std::int64_t> rows) {
  if (from.empty()) return {};
  std::vector<std::int64_t> extents(from.shape().begin(), from.shape().end());
  const auto row_bytes =
      extents[0] == 0 ? 0 : from.bytes().size() / static_cast<std::size_t>(extents[0]);
  extents[0] = static_cast<std::int64_t>(rows.size());
  Tensor to(from.dtype(), Shape(extents));
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::memcpy(to.bytes().data() + i * row_bytes,
                from.bytes().data() + static_cast<std::size_t>(rows[i]) * row_bytes, row_bytes);
  return to;
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::invalid_argument, what);
}

/// Rows by class in ascending order of class, or all in one group.
std::vector<std::vector<std::int64_t>> groups_of(const Dataset& dataset, bool stratified) {
  std::map<std::int32_t, std::vector<std::int64_t>> groups;
  if (stratified && dataset.targets.dtype() != DType::i32)
    refuse(std::string("split: stratified needs i32 class labels; the targets are ") +
           name(dataset.targets.dtype()));
  for (std::int64_t row = 0; row < dataset.size(); ++row)
    groups[stratified ? dataset.targets.as<std::int32_t>()[static_cast<std::size_t>(row)] : 0]
        .push_back(row);
  std::vector<std::vector<std::int64_t>> result;
  for (auto& [label, rows] : groups) result.push_back(std::move(rows));
  return result;
}

/// The rows of one group in random order.
std::vector<std::int64_t> shuffled(const std::vector<std::int64_t>& rows, std::uint64_t seed,
                                   std::string_view purpose, std::size_t group) {
  std::vector<std::int64_t> order = permutation(static_cast<std::int64_t>(rows.size()), seed,
                                                purpose, static_cast<std::int64_t>(group));
  for (std::int64_t& at : order) at = rows[static_cast<std::size_t>(at)];
  return order;
}

}  // namespace

Dataset select(const Dataset& dataset, std::span<const std::int64_t> rows) {
  for (const std::int64_t row : rows)
    if (row < 0 || row >= dataset.size())
      refuse("select: row " + std::to_string(row) + " of a dataset of " +
             std::to_string(dataset.size()) + " rows");
  return {select_rows(dataset.features, rows), select_rows(dataset.targets, rows),
          dataset.feature_names, dataset.class_names};
}

void shuffle(std::vector<std::int64_t>& values, std::uint64_t seed, std::string_view purpose,
             std::int64_t epoch) noexcept {
  const numeric::RandomStream stream{
      seed, numeric::purpose_id(purpose.data(), static_cast<std::int64_t>(purpose.size())),
      static_cast<std::uint32_t>(epoch)};
  for (std::uint64_t last = values.size(); last > 1; --last) {
    const auto block = numeric::random_block(stream, last);
    const std::uint64_t word = std::uint64_t{block.word[1]} << 32 | block.word[0];
    // The upper half of word * last is uniform in [0, last) but for 2^-64 * last.
    __extension__ using Wide = unsigned __int128;
    const auto chosen = static_cast<std::uint64_t>(Wide{word} * last >> 64);
    std::swap(values[last - 1], values[chosen]);
  }
}

std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::string_view purpose,
                                      std::int64_t epoch) {
  if (n < 0) refuse("permutation: " + std::to_string(n) + " elements");
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  shuffle(order, seed, purpose, epoch);
  return order;
}

Fold split_rows(const Dataset& dataset, const SplitOptions& options) {
  if (!(options.fraction > 0 && options.fraction < 1))
    refuse("split: fraction " + std::to_string(options.fraction) + "; it lies between 0 and 1");
  Fold parts;
  const auto groups = groups_of(dataset, options.stratified);
  for (std::size_t group = 0; group < groups.size(); ++group) {
    const auto order = shuffled(groups[group], options.seed, "split", group);
    const auto cut =
        static_cast<std::ptrdiff_t>(options.fraction * static_cast<double>(order.size()));
    parts.train.insert(parts.train.end(), order.begin(), order.begin() + cut);
    parts.test.insert(parts.test.end(), order.begin() + cut, order.end());
  }
  if (parts.train.empty() || parts.test.empty())
    refuse("split: " + std::to_string(dataset.size()) + " rows at fraction " +
           std::to_string(options.fraction) + " leave a part empty");
  std::sort(parts.train.begin(), parts.train.end());
  std::sort(parts.test.begin(), parts.test.end());
  return parts;
}

std::pair<Dataset, Dataset> split(const Dataset& dataset, const SplitOptions& options) {
  const Fold parts = split_rows(dataset, options);
  return {select(dataset, parts.train), select(dataset, parts.test)};
}

std::vector<Fold> k_folds(const Dataset& dataset, const FoldOptions& options) {
  if (options.folds < 2 || options.folds > dataset.size())
    refuse("k_folds: " + std::to_string(options.folds) + " folds of " +
           std::to_string(dataset.size()) + " rows; 2 or more, at most one a row");
  const auto count = static_cast<std::size_t>(options.folds);
  std::vector<std::size_t> fold_of(static_cast<std::size_t>(dataset.size()));
  // One counter over all groups deals the rows out, so that fold sizes differ by at most one.
  std::size_t dealt = 0;
  const auto groups = groups_of(dataset, options.stratified);
  for (std::size_t group = 0; group < groups.size(); ++group)
    for (const std::int64_t row : shuffled(groups[group], options.seed, "k_folds", group))
      fold_of[static_cast<std::size_t>(row)] = dealt++ % count;
  std::vector<Fold> folds(count);
  for (std::size_t row = 0; row < fold_of.size(); ++row)
    for (std::size_t fold = 0; fold < count; ++fold)
      (fold_of[row] == fold ? folds[fold].test : folds[fold].train)
          .push_back(static_cast<std::int64_t>(row));
  return folds;
}

}  // namespace fornax
