// Permutations, splits, folds, transforms, the loader, IDX files.
#include <fornax/data.h>
#include <fornax/error.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/allocation_count.h"
#include "tests/runtime/temporary_folder.h"

namespace fornax {
namespace {

Dataset example(std::int64_t rows, int classes = 3) {
  Dataset dataset;
  dataset.features = Tensor(DType::f32, {rows, 2});
  dataset.targets = Tensor(DType::i32, {rows});
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    dataset.features.as<float>()[2 * at] = static_cast<float>(i);
    dataset.features.as<float>()[2 * at + 1] = -1;
    dataset.targets.as<std::int32_t>()[at] = static_cast<std::int32_t>(i * i % classes);
  }
  return dataset;
}

TEST(Permutation, SameBitsEverywhereAndUniform) {
  EXPECT_EQ(permutation(0, 1, "x").size(), 0u);
  EXPECT_NE(permutation(100, 1, "x"), permutation(100, 2, "x"));
  EXPECT_NE(permutation(100, 1, "x"), permutation(100, 1, "y"));
  EXPECT_NE(permutation(100, 1, "x"), permutation(100, 1, "x", 1));
  EXPECT_EQ(permutation(10, 1, "loader"), permutation(10, 1, "loader"));
  std::map<std::vector<std::int64_t>, int> counts;
  for (int epoch = 0; epoch < 24000; ++epoch) ++counts[permutation(4, 3, "x", epoch)];
  ASSERT_EQ(counts.size(), 24u);
  double chi2 = 0;
  for (const auto& [order, count] : counts) chi2 += (count - 1000.) * (count - 1000.) / 1000;
  EXPECT_LT(chi2, 49.7);  // 23 degrees of freedom, p = 0.001
}

/// Worked out by hand from its definition, with a Philox written apart from ours. The first
/// exchange of the first row: block 10 opens with the words 5c6296a4 a0e49f68, and
/// 0xa0e49f685c6296a4 * 10 / 2^64 = 6.28, so elements 9 and 6 change places.
TEST(Permutation, GivesTheKnownOrders) {
  using Order = std::vector<std::int64_t>;
  EXPECT_EQ(permutation(10, 1, "loader"), (Order{8, 1, 2, 7, 5, 0, 3, 4, 9, 6}));
  EXPECT_EQ(permutation(10, 1, "loader", 1), (Order{9, 5, 0, 1, 6, 4, 8, 2, 3, 7}));
  EXPECT_EQ(permutation(8, 0x123456789abcdef0, "split", 7), (Order{5, 4, 1, 6, 7, 0, 2, 3}));
}

TEST(Split, EveryRowOnceAndSharesKept) {
  const Dataset data = example(100);
  for (const bool stratified : {false, true}) {
    const Fold parts = split_rows(data, {.fraction = 0.7, .seed = 5, .stratified = stratified});
    std::set<std::int64_t> rows(parts.train.begin(), parts.train.end());
    rows.insert(parts.test.begin(), parts.test.end());
    EXPECT_EQ(rows.size(), 100u);
    EXPECT_EQ(parts.train.size() + parts.test.size(), 100u);
    EXPECT_NEAR(static_cast<double>(parts.train.size()), 70, 2);
  }
  const auto [train, test] = split(data, {.fraction = 0.5, .stratified = true});
  const auto labels = train.targets.as<std::int32_t>();
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 0), 17);  // 34 of 100 rows
  for (const double fraction : {0.0, 1.0, -1.0, std::nan(""), 0.001})
    EXPECT_THROW(split(data, {.fraction = fraction}), Error) << fraction;
  EXPECT_THROW(select(data, std::vector<std::int64_t>{100}), Error);
}

TEST(KFolds, PartitionTheRows) {
  const Dataset data = example(103);
  for (const bool stratified : {false, true}) {
    std::multiset<std::int64_t> tested;
    for (const Fold& fold : k_folds(data, {.folds = 5, .seed = 2, .stratified = stratified})) {
      EXPECT_EQ(fold.train.size() + fold.test.size(), 103u);
      EXPECT_TRUE(fold.test.size() == 20 || fold.test.size() == 21);
      tested.insert(fold.test.begin(), fold.test.end());
    }
    EXPECT_EQ(tested.size(), 103u);
    EXPECT_EQ(std::set<std::int64_t>(tested.begin(), tested.end()).size(), 103u);
  }
  EXPECT_THROW(k_folds(data, {.folds = 1}), Error);
  EXPECT_THROW(k_folds(data, {.folds = 104}), Error);
}

TEST(Transforms, ConstantsComeFromTrainingRows) {
  Dataset data = example(4);
  Standardize standardize;
  EXPECT_THROW(standardize.apply(data), Error);
  standardize.fit(data);
  EXPECT_EQ(standardize.mean(), (std::vector<double>{1.5, -1}));
  EXPECT_EQ(standardize.deviation(), (std::vector<double>{std::sqrt(1.25), 1}));
  standardize.apply(data);
  EXPECT_EQ(data.features.as<float>()[0], static_cast<float>(-1.5 / std::sqrt(1.25)));
  EXPECT_EQ(data.features.as<float>()[1], 0);
  Dataset holes = example(4);
  holes.features.as<float>()[0] = std::nanf("");
  for (const auto& [statistic, value] :
       {std::pair{Impute::Statistic::mean, 7.f / 3}, std::pair{Impute::Statistic::median, 2.f}}) {
    holes.features.as<float>()[6] = 4;
    Impute impute(statistic);
    impute.fit(holes);
    Dataset filled = holes;
    impute.apply(filled);
    EXPECT_EQ(filled.features.as<float>()[0], value);
  }
  EXPECT_EQ(one_hot(Tensor({2}, {1, 0}), 2).as<float>()[1], 1);
  EXPECT_THROW(one_hot(Tensor({1}, {2}), 2), Error);
  EXPECT_THROW(one_hot(Tensor({1}, {-1}), 2), Error);
}

class DataLoaders : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Gather, DataLoaders, testing::Bool(), [](const auto& prefetch) {
  return prefetch.param ? "AheadOnAThread" : "WhenAsked";
});

TEST_P(DataLoaders, EverySampleOnceAnEpoch) {
  for (const std::int64_t batch_size : {1, 3, 10, 64}) {
    DataLoader loader(example(10),
                      {.batch_size = batch_size, .seed = 4, .epochs = 3, .prefetch = GetParam()});
    std::map<std::int64_t, std::vector<std::int64_t>> epochs;
    for (const Batch& batch : loader) {
      auto& seen = epochs[batch.epoch];
      EXPECT_EQ(batch.first, static_cast<std::int64_t>(seen.size()));
      ASSERT_EQ(batch.features.shape(),
                (Shape{static_cast<std::int64_t>(batch.indices.size()), 2}));
      for (std::size_t i = 0; i < batch.indices.size(); ++i)
        EXPECT_EQ(batch.features.as<float>()[2 * i], static_cast<float>(batch.indices[i]));
      seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
    }
    ASSERT_EQ(epochs.size(), 3u);
    EXPECT_NE(epochs[0], epochs[1]);
    for (auto& [epoch, rows] : epochs) {
      EXPECT_EQ(rows, permutation(10, 4, "loader", epoch));
      EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), 10u);
    }
    EXPECT_EQ(loader.next(), nullptr);
    loader.rewind();
    EXPECT_EQ(loader.next()->first, 0);
  }
}

TEST_P(DataLoaders, ResumeExactlyFromEveryPosition) {
  const DataLoaderOptions options{.batch_size = 4, .seed = 9, .epochs = 3, .prefetch = GetParam()};
  std::vector<std::vector<std::int64_t>> all;
  std::vector<std::string> positions;
  DataLoader loader(example(10), options);
  positions.push_back(loader.position());
  for (const Batch& batch : loader) {
    all.push_back(batch.indices);
    positions.push_back(loader.position());
  }
  ASSERT_EQ(all.size(), 9u);
  for (std::size_t at = 0; at < positions.size(); ++at) {
    DataLoader other(example(10), options);
    loader.seek(positions[at]);  // from wherever it is
    other.seek(positions[at]);
    EXPECT_EQ(loader.position(), positions[at]);
    std::size_t next = at;
    const Batch* again = loader.next();
    ASSERT_EQ(again != nullptr, at < all.size());
    if (again != nullptr) {
      EXPECT_EQ(again->indices, all.at(at));
    }
    for (const Batch& batch : other) EXPECT_EQ(batch.indices, all.at(next++));
    EXPECT_EQ(next, all.size());
  }
  for (const std::string& text : {std::string(), std::string("epoch=1"), positions[1] + " ",
                                  "epoch=1 first=3" + positions[0].substr(15)})
    EXPECT_THROW(loader.seek(text), Error) << text;
  DataLoader another(example(11), options);
  EXPECT_THROW(another.seek(positions[1]), Error);
}

TEST_P(DataLoaders, AllocateNothingInSteadyState) {
  DataLoader loader(example(1000), {.batch_size = 64, .epochs = 5, .prefetch = GetParam()});
  loader.next();
  const std::int64_t before = allocation_count();
  std::int64_t samples = 0;
  while (const Batch* batch = loader.next()) samples += batch->features.shape()[0];
  EXPECT_EQ(allocation_count(), before);
  EXPECT_EQ(samples, 5000 - 64);
}

TEST_P(DataLoaders, MoveWithTheirPosition) {
  DataLoader loader(example(10), {.batch_size = 4, .shuffle = false, .prefetch = GetParam()});
  const Batch* first = loader.next();
  DataLoader moved = std::move(loader);
  EXPECT_EQ(first->indices, (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(moved.next()->first, 4);
  loader = DataLoader(example(3), {.prefetch = GetParam()});
  EXPECT_EQ(loader.next()->indices.size(), 3u);
}

TEST(DataLoader, DropsTheLastAndRefusesWrongOptions) {
  DataLoader loader(example(10),
                    {.batch_size = 4, .shuffle = false, .epochs = 2, .drop_last = true});
  int batches = 0;
  for (const Batch& batch : loader) batches += batch.indices.size() == 4;
  EXPECT_EQ(batches, 4);
  EXPECT_EQ(loader.batches_per_epoch(), 2);
  EXPECT_THROW(DataLoader(example(10), {.batch_size = 0}), Error);
  EXPECT_THROW(DataLoader(example(10), {.epochs = -1}), Error);
  EXPECT_THROW(DataLoader(Dataset{}, {}), Error);
}

class Idx : public TemporaryFolder {
 protected:
  std::string verdict(const std::string& bytes) const {
    try {
      load_idx(file("x", bytes));
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  static std::string bytes(std::initializer_list<int> values) {
    std::string text;
    for (const int value : values) text += static_cast<char>(value);
    return text;
  }
};

TEST_F(Idx, TypesAndBadFiles) {
  const std::string good = bytes({0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255});
  EXPECT_EQ(load_idx(file("g", good)).as<std::uint8_t>()[5], 255);
  EXPECT_EQ(load_idx(file("g", bytes({0, 0, 9, 1, 0, 0, 0, 1, 255}))).as<std::int32_t>()[0], -1);
  EXPECT_EQ(load_idx(file("g", bytes({0, 0, 11, 1, 0, 0, 0, 1, 255, 254}))).as<std::int32_t>()[0],
            -2);
  EXPECT_EQ(load_idx(file("g", bytes({0, 0, 13, 1, 0, 0, 0, 1, 0x3f, 0x80, 0, 0}))).scalar(), 1.0);
  EXPECT_EQ(
      load_idx(file("g", bytes({0, 0, 14, 1, 0, 0, 0, 1, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0}))).scalar(),
      1.0);
  EXPECT_EQ(verdict(bytes({0, 0, 8, 1, 0, 0, 0, 0})), "accepted");
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_NE(verdict(good.substr(0, length)), "accepted") << length;
  const std::map<std::string, std::string> cases = {
      {good + "x", "the extents need 6 bytes after byte 12, there are 7"},
      {bytes({0x1f, 0x8b, 8, 0}), "gzip"},
      {bytes({1, 0, 8, 1}), "two zero bytes"},
      {bytes({0, 0, 10, 1}), "byte 2: type code 10"},
      {bytes({0, 0, 8, 0}), "rank 0"},
      {bytes({0, 0, 8, 255}), "rank 255"},
      {bytes({0, 0, 8, 1, 255, 255, 255, 255}), "need 4294967295 bytes"},
      {bytes({0, 0, 14, 3}) + std::string(12, '\xff'), "overflows"}};
  for (const auto& [text, part] : cases)
    EXPECT_NE(verdict(text).find(part), std::string::npos) << verdict(text) << " / " << part;
}

TEST_F(Idx, ImagesWithLabels) {
  const std::string images =
      file("i", bytes({0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 51, 102, 255}));
  const std::string labels = file("l", bytes({0, 0, 8, 1, 0, 0, 0, 2, 0, 3}));
  const Dataset data = read_idx(images, labels);
  EXPECT_EQ(data.features.shape(), (Shape{2, 1, 2}));
  EXPECT_EQ(data.features.as<float>()[3], 1.f);
  EXPECT_EQ(data.targets.as<std::int32_t>()[1], 3);
  EXPECT_EQ(data.class_names.size(), 4u);
  EXPECT_THROW(read_idx(images, images), Error);
  EXPECT_THROW(read_idx(labels, labels), Error);
  EXPECT_THROW(read_idx(images, file("s", bytes({0, 0, 8, 1, 0, 0, 0, 1, 0}))), Error);
}

}  // namespace
}  // namespace fornax
