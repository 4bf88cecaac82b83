// Batches in a reproducible order.
#include <fornax/data.h>
#include <fornax/error.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <numeric>

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

}  // namespace

DataLoader::DataLoader(Dataset dataset, const DataLoaderOptions& options)
    : dataset_(std::move(dataset)), options_(options) {
  check(dataset_, options_);
  const std::int64_t n = dataset_.size();
  order_.resize(static_cast<std::size_t>(n));
  if (n >= options_.batch_size) full_ = make_batch(dataset_, options_.batch_size);
  if (n % options_.batch_size != 0) last_ = make_batch(dataset_, n % options_.batch_size);
}

std::int64_t DataLoader::batches_per_epoch() const noexcept {
  const std::int64_t n = dataset_.size(), size = options_.batch_size;
  return options_.drop_last ? n / size : n / size + (n % size != 0);
}

void DataLoader::order_epoch() {
  if (ordered_epoch_ == epoch_) return;
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
  if (options_.shuffle) shuffle(order_, options_.seed, "loader", epoch_);
  ordered_epoch_ = epoch_;
}

void DataLoader::fill(Batch& batch) const {
  const auto rows =
      std::span(order_).subspan(static_cast<std::size_t>(first_), batch.indices.size());
  std::copy(rows.begin(), rows.end(), batch.indices.begin());
  gather(dataset_.features, batch.features, rows);
  gather(dataset_.targets, batch.targets, rows);
  batch.epoch = epoch_;
  batch.first = first_;
}

const Batch* DataLoader::next() {
  const std::int64_t end =
      options_.drop_last ? batches_per_epoch() * options_.batch_size : dataset_.size();
  if (end == 0) return nullptr;
  if (first_ >= end) ++epoch_, first_ = 0;
  if (epoch_ >= options_.epochs) return nullptr;
  order_epoch();
  Batch& batch = dataset_.size() - first_ >= options_.batch_size ? full_ : last_;
  fill(batch);
  first_ += static_cast<std::int64_t>(batch.indices.size());
  return &batch;
}

void DataLoader::rewind() { epoch_ = 0, first_ = 0; }

std::string DataLoader::identity() const {
  return "rows=" + std::to_string(dataset_.size()) +
         " batch_size=" + std::to_string(options_.batch_size) +
         " seed=" + std::to_string(options_.seed) + " shuffle=" + std::to_string(options_.shuffle) +
         " drop_last=" + std::to_string(options_.drop_last);
}

std::string DataLoader::position() const {
  return "epoch=" + std::to_string(epoch_) + " first=" + std::to_string(first_) + ' ' + identity();
}

void DataLoader::seek(std::string_view position) {
  std::string_view rest = position;
  std::int64_t epoch = 0, first = 0;
  const bool fields = take_field(rest, "epoch=", epoch) && take_field(rest, "first=", first);
  if (!fields || rest != identity())
    throw Error(ErrorCode::invalid_argument, "DataLoader: position '" +
                                                 std::string(position.substr(0, 200)) +
                                                 "' is not of this loader, which is " + identity());
  const bool on_batch = first % options_.batch_size == 0 || first == dataset_.size();
  if (epoch < 0 || epoch > options_.epochs || first < 0 || first > dataset_.size() || !on_batch)
    throw Error(ErrorCode::invalid_argument, "DataLoader: epoch " + std::to_string(epoch) +
                                                 ", sample " + std::to_string(first) +
                                                 " is no place where a batch begins");
  epoch_ = epoch, first_ = first;
}

}  // namespace fornax
