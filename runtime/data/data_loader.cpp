// Batches in a reproducible order.
#include <fornax/data.h>
#include <fornax/error.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>

#include "runtime/data/prefetch.h"
#include "runtime/data/shuffle.h"

namespace fornax {

namespace {

void check(const Dataset& dataset, const DataLoaderOptions& options) {
  const auto refuse = [](const std::string& what) {
    throw Error(ErrorCode::invalid_argument, "DataLoader: " + what);
  };
  if (options.batch_size < 1)
    refuse("batch_size " + std::to_string(options.batch_size) + "; it is 1 or more");
  if (options.epochs < 0 || options.epochs > std::numeric_limits<std::uint32_t>::max())
    refuse("epochs " + std::to_string(options.epochs) + "; 0 to 4294967295");
  if (dataset.size() == 0) refuse("the dataset has no rows");
  if (dataset.features.dtype() != DType::f32)
    refuse(std::string("features are ") + name(dataset.features.dtype()) + "; they must be f32");
  if (dataset.targets.empty()) return;
  if (dataset.targets.shape().rank() == 0 || dataset.targets.shape()[0] != dataset.size())
    refuse("targets " + to_string(dataset.targets.shape()) + " for " +
           std::to_string(dataset.size()) + " rows");
}

Tensor batch_like(const Tensor& data, std::int64_t rows) {
  if (data.empty()) return {};
  std::vector<std::int64_t> extents(data.shape().begin(), data.shape().end());
  extents[0] = rows;
  return {data.dtype(), Shape(extents)};
}

Batch make_batch(const Dataset& dataset, std::int64_t rows) {
  Batch batch;
  batch.features = batch_like(dataset.features, rows);
  batch.targets = batch_like(dataset.targets, rows);
  batch.indices.resize(static_cast<std::size_t>(rows));
  return batch;
}

void gather(const Tensor& from, Tensor& to, std::span<const std::int64_t> rows) {
  if (from.empty()) return;
  const std::size_t row_bytes = to.bytes().size() / rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::memcpy(to.bytes().data() + i * row_bytes,
                from.bytes().data() + static_cast<std::size_t>(rows[i]) * row_bytes, row_bytes);
}

/// Reads "NAME=INTEGER " off the front of `text`.
bool take_field(std::string_view& text, std::string_view field, std::int64_t& value) {
  if (!text.starts_with(field)) return false;
  text.remove_prefix(field.size());
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop == text.data() + text.size() || *stop != ' ') return false;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()) + 1);
  return true;
}

/// Where a batch begins.
struct Position {
  std::int64_t epoch = 0, first = 0;
};

/// Batches of two sizes: full ones, and the last of an epoch.
struct BatchSet {
  Batch full, last;
};

/// Gathers batches in order.
class Gatherer {
 public:
  Gatherer(Dataset dataset, const DataLoaderOptions& options)
      : dataset_(std::move(dataset)),
        options_(options),
        order_(static_cast<std::size_t>(dataset_.size())) {}

  const Dataset& dataset() const noexcept { return dataset_; }
  const DataLoaderOptions& options() const noexcept { return options_; }
  BatchSet make_set() const;
  std::int64_t batches_per_epoch() const noexcept;
  /// The batch at `at`, in `set`; `at` then is where the next one begins. Null after the last.
  const Batch* gather(Position& at, BatchSet& set);

 private:
  void order_epoch(std::int64_t epoch);
  void fill(Batch& batch, const Position& at) const;

  Dataset dataset_;
  DataLoaderOptions options_;
  std::vector<std::int64_t> order_;
  std::int64_t ordered_epoch_ = -1;
};

BatchSet Gatherer::make_set() const {
  const std::int64_t n = dataset_.size(), size = options_.batch_size;
  return {n >= size ? make_batch(dataset_, size) : Batch(),
          n % size != 0 ? make_batch(dataset_, n % size) : Batch()};
}

std::int64_t Gatherer::batches_per_epoch() const noexcept {
  const std::int64_t n = dataset_.size(), size = options_.batch_size;
  return options_.drop_last ? n / size : n / size + (n % size != 0);
}

void Gatherer::order_epoch(std::int64_t epoch) {
  if (ordered_epoch_ == epoch) return;
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  if (options_.shuffle) shuffle(order_, options_.seed, "loader", epoch);
  ordered_epoch_ = epoch;
}

void Gatherer::fill(Batch& batch, const Position& at) const {
  const auto rows =
      std::span(order_).subspan(static_cast<std::size_t>(at.first), batch.indices.size());
  std::copy(rows.begin(), rows.end(), batch.indices.begin());
  fornax::gather(dataset_.features, batch.features, rows);
  fornax::gather(dataset_.targets, batch.targets, rows);
  batch.epoch = at.epoch;
  batch.first = at.first;
}

const Batch* Gatherer::gather(Position& at, BatchSet& set) {
  const std::int64_t end =
      options_.drop_last ? batches_per_epoch() * options_.batch_size : dataset_.size();
  if (end == 0) return nullptr;
  if (at.first >= end) ++at.epoch, at.first = 0;
  if (at.epoch >= options_.epochs) return nullptr;
  order_epoch(at.epoch);
  Batch& batch = dataset_.size() - at.first >= options_.batch_size ? set.full : set.last;
  fill(batch, at);
  at.first += static_cast<std::int64_t>(batch.indices.size());
  return &batch;
}

}  // namespace

/// `at` and `sets` belong to the thread while it prepares; `handed_out` is the caller's.
struct DataLoader::Content {
  Gatherer gatherer;
  Position at, handed_out;
  BatchSet sets[2];
  std::optional<Prefetch<Batch>> prefetch;

  Content(Dataset dataset, const DataLoaderOptions& options)
      : gatherer(std::move(dataset), options) {
    sets[0] = gatherer.make_set();
    if (!options.prefetch) return;
    sets[1] = gatherer.make_set();
    prefetch.emplace([this](int set) { return gatherer.gather(at, sets[set]); });
  }

  const Batch* next() {
    const Batch* batch = prefetch ? prefetch->next() : gatherer.gather(at, sets[0]);
    if (batch)
      handed_out = {batch->epoch, batch->first + static_cast<std::int64_t>(batch->indices.size())};
    else
      handed_out = at;  // the thread does nothing now
    return batch;
  }

  void go_to(const Position& position) {
    if (prefetch) prefetch->forget();
    at = handed_out = position;
  }

  std::string identity() const {
    const DataLoaderOptions& options = gatherer.options();
    return "rows=" + std::to_string(gatherer.dataset().size()) +
           " batch_size=" + std::to_string(options.batch_size) +
           " seed=" + std::to_string(options.seed) + " shuffle=" + std::to_string(options.shuffle) +
           " drop_last=" + std::to_string(options.drop_last);
  }
};

DataLoader::DataLoader(Dataset dataset, const DataLoaderOptions& options) {
  check(dataset, options);
  content_ = std::make_unique<Content>(std::move(dataset), options);
}
DataLoader::~DataLoader() = default;
DataLoader::DataLoader(DataLoader&&) noexcept = default;
DataLoader& DataLoader::operator=(DataLoader&&) noexcept = default;

const Dataset& DataLoader::dataset() const noexcept { return content_->gatherer.dataset(); }
std::int64_t DataLoader::batches_per_epoch() const noexcept {
  return content_->gatherer.batches_per_epoch();
}
const Batch* DataLoader::next() { return content_->next(); }
void DataLoader::rewind() { content_->go_to({}); }

std::string DataLoader::position() const {
  const Position& at = content_->handed_out;
  return "epoch=" + std::to_string(at.epoch) + " first=" + std::to_string(at.first) + ' ' +
         content_->identity();
}

void DataLoader::seek(std::string_view position) {
  const std::string identity = content_->identity();
  const DataLoaderOptions& options = content_->gatherer.options();
  const std::int64_t rows = dataset().size();
  std::string_view rest = position;
  std::int64_t epoch = 0, first = 0;
  const bool fields = take_field(rest, "epoch=", epoch) && take_field(rest, "first=", first);
  if (!fields || rest != identity)
    throw Error(ErrorCode::invalid_argument, "DataLoader: position '" +
                                                 std::string(position.substr(0, 200)) +
                                                 "' is not of this loader, which is " + identity);
  const bool on_batch = first % options.batch_size == 0 || first == rows;
  if (epoch < 0 || epoch > options.epochs || first < 0 || first > rows || !on_batch)
    throw Error(ErrorCode::invalid_argument, "DataLoader: epoch " + std::to_string(epoch) +
                                                 ", sample " + std::to_string(first) +
                                                 " is no place where a batch begins");
  content_->go_to({epoch, first});
}

}  // namespace fornax
