// Datasets, how they are split and transformed, and the loader that feeds batches.
#pragma once
#include <fornax/export.h>
#include <fornax/tensor.h>

#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fornax {

/// n samples: features f32 [n, ...]; targets i32 [n] (classes 0 .. class_names.size() - 1) or f32
/// [n, ...] (values), or empty.
struct FORNAX_API Dataset {
  Tensor features, targets;
  std::vector<std::string> feature_names;  ///< one per element of a row, or none
  std::vector<std::string> class_names;    ///< none when the targets are values

  std::int64_t size() const { return features.shape().rank() == 0 ? 0 : features.shape()[0]; }
};

/// The rows named, in that order. Throws Error{invalid_argument} for a row outside the dataset.
FORNAX_API Dataset select(const Dataset& dataset, std::span<const std::int64_t> rows);

/// 0 .. n-1 in random order: Fisher and Yates with Philox words of (seed, purpose, epoch). For
/// k = n .. 2, element k - 1 changes places with floor(w k / 2^64), w = words 1 and 0 of block k.
/// The same order on every machine.
FORNAX_API std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed,
                                                 std::string_view purpose, std::int64_t epoch = 0);

/// Row numbers of two disjoint parts, each ascending.
struct Fold {
  std::vector<std::int64_t> train, test;
};

struct SplitOptions {
  double fraction = 0.8;  ///< of the rows go to the first part, rounded down
  std::uint64_t seed = 0;
  bool stratified = false;  ///< keep the share of each class; needs i32 targets
};

/// Every row in exactly one part. Throws Error{invalid_argument} when the fraction is not in (0, 1)
/// or a part would be empty.
FORNAX_API Fold split_rows(const Dataset& dataset, const SplitOptions& options = {});
FORNAX_API std::pair<Dataset, Dataset> split(const Dataset& dataset,
                                             const SplitOptions& options = {});

struct FoldOptions {
  std::int64_t folds = 5;
  std::uint64_t seed = 0;
  bool stratified = false;
};
/// k folds whose test parts are disjoint and cover every row; sizes differ by at most one (by one
/// per class when stratified). Throws Error{invalid_argument} unless 2 <= folds <= n.
FORNAX_API std::vector<Fold> k_folds(const Dataset& dataset, const FoldOptions& options = {});

/// A change of features whose constants come from training rows: fit() on them, apply() to all.
/// Throws Error{invalid_argument} when apply() comes before fit() or the rows' sizes differ.
class FORNAX_API Transform {
 public:
  virtual ~Transform() = default;
  virtual void fit(const Dataset& train) = 0;
  virtual void apply(Dataset& dataset) const = 0;
};

/// x := (x - mean) / deviation per feature; mean and deviation (divisor n) in f64 over the training
/// rows in order. A constant feature is divided by 1.
class FORNAX_API Standardize : public Transform {
 public:
  void fit(const Dataset& train) override;
  void apply(Dataset& dataset) const override;
  const std::vector<double>& mean() const noexcept { return mean_; }
  const std::vector<double>& deviation() const noexcept { return deviation_; }

 private:
  std::vector<double> mean_, deviation_;
};

/// NaN := mean or median of the training rows' other values of that feature (0 if there are none).
class FORNAX_API Impute : public Transform {
 public:
  enum class Statistic { mean, median };
  explicit Impute(Statistic statistic = Statistic::mean) : statistic_(statistic) {}
  void fit(const Dataset& train) override;
  void apply(Dataset& dataset) const override;
  const std::vector<double>& values() const noexcept { return values_; }
  /// Mean or median (of the two middle values when even); 0 of none. Reorders the values.
  static double statistic_of(std::span<float> values, Statistic statistic);

 private:
  Statistic statistic_;
  std::vector<double> values_;
};

/// i32 [n] -> f32 [n, classes]. Throws Error{invalid_argument} for a label outside [0, classes).
FORNAX_API Tensor one_hot(const Tensor& labels, std::int64_t classes);

/// An IDX file: u8, i32, f32 or f64; i8 and i16 are read as i32. Throws Error{io}, and
/// Error{corrupt} with path, byte, expected and found.
FORNAX_API Tensor load_idx(const std::string& path);
/// Images u8 [n, ...] as f32 times `scale`, and labels [n]. Throws as load_idx, and Error{shape}
/// when the numbers of images and labels differ.
FORNAX_API Dataset read_idx(const std::string& images, const std::string& labels,
                            double scale = 1.0 / 255);

/// What a loader hands out; overwritten by the next one.
struct Batch {
  Tensor features, targets;           ///< [m, ...], m = batch_size or what is left
  std::vector<std::int64_t> indices;  ///< rows of the dataset
  std::int64_t epoch = 0;
  std::int64_t first = 0;  ///< samples of this epoch before the batch
};

struct DataLoaderOptions {
  std::int64_t batch_size = 32;
  bool shuffle = true;  ///< a permutation of its own for each (seed, epoch)
  std::uint64_t seed = 0;
  std::int64_t epochs = 1;
  bool drop_last = false;  ///< leave out the short last batch
  /// Gather the next batch on a thread of the loader's own while the last one is used. The batches
  /// and their order stay the same. It pays where a step leaves a CPU free.
  bool prefetch = false;
};

/// Batches of a dataset: every sample once an epoch. Allocates when made and no more.
///   for (const Batch& batch : loader) ...       goes on from the position
/// Move-only. Used by one thread at a time.
/// Throws Error{invalid_argument} for options outside their ranges.
class FORNAX_API DataLoader {
 public:
  DataLoader(Dataset dataset, const DataLoaderOptions& options = {});
  ~DataLoader();
  DataLoader(DataLoader&&) noexcept;
  DataLoader& operator=(DataLoader&&) noexcept;

  const Dataset& dataset() const noexcept;
  std::int64_t batches_per_epoch() const noexcept;
  /// The next batch, or null after the last epoch.
  const Batch* next();
  /// Back to the start of epoch 0.
  void rewind();

  /// Where the batch after the last one handed out begins, as text for State::set_note.
  std::string position() const;
  /// Throws Error{invalid_argument} when the text is none, or of a loader with another dataset
  /// size, seed, order or batch size; the position stays then.
  void seek(std::string_view position);

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(DataLoader* loader = nullptr)
        : loader_(loader), batch_(loader ? loader->next() : nullptr) {}
    const Batch& operator*() const { return *batch_; }
    Iterator& operator++() {
      batch_ = loader_->next();
      return *this;
    }
    bool operator==(const Iterator& other) const { return batch_ == other.batch_; }

   private:
    DataLoader* loader_;
    const Batch* batch_;
  };
  Iterator begin() { return Iterator(this); }
  Iterator end() { return Iterator(); }

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace fornax
