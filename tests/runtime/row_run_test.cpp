// Launches that go by bands of rows leave what they leave one after another: on random sequences
// over memory that is used again and again, and in the cases that decide what a run may hold.
#include <gtest/gtest.h>

#include <optional>

#include "runtime/device/inputs_in_place.h"
#include "tests/runtime/command_list.h"

namespace fornax::testing {
namespace {

using Place = CommandList::Place;

struct Counts {
  std::size_t runs = 0, members = 0, values = 0, inputs = 0;
};
Counts count(const std::vector<Stage>& stages) {
  Counts counts;
  for (const Stage& stage : stages) {
    const auto* run = std::get_if<RowRunPlan>(&stage);
    if (run == nullptr) continue;
    ++counts.runs;
    counts.members += run->members.size(), counts.values += run->values.size();
    counts.inputs += run->inputs.size();
  }
  return counts;
}

std::size_t inputs_in_place(std::vector<Stage> stages) {
  std::vector<std::vector<ConstTensorView>> operands;
  return take_inputs_in_place(stages, operands).size();
}

class RowRuns : public ::testing::Test {
 protected:
  RowRuns() { banded_bytes = 0, in_place_bytes = 0; }
  ~RowRuns() override { banded_bytes = before_, in_place_bytes = in_place_before_; }

 private:
  std::int64_t before_ = banded_bytes, in_place_before_ = in_place_bytes;
};

constexpr std::int64_t kRows = 1100;  // three tasks, the last one short
Place matrix(std::int64_t offset, std::int64_t columns = 2) { return {offset, {kRows, columns}}; }
Place whole(std::int64_t offset, std::int64_t elements = 5) { return {offset, {elements}}; }
constexpr std::int64_t kK = 1024;

TEST_F(RowRuns, AChainIsOneRunWhoseValuesNeedNoMemory) {
  CommandList s;
  s.upload(matrix(0));
  s.launch({matrix(0), whole(CommandList::kArena)}, {matrix(100 * kK)});
  s.launch({matrix(100 * kK)}, {matrix(200 * kK, 3), whole(300 * kK)});
  s.launch({matrix(200 * kK, 3)}, {matrix(310 * kK)});
  s.download(matrix(310 * kK));
  s.download(whole(300 * kK));
  const Counts counts = count(s.stages(1));
  EXPECT_EQ(counts.runs, 1u);
  EXPECT_EQ(counts.members, 3u);
  EXPECT_EQ(counts.values, 2u) << "what is downloaded stays";
  EXPECT_EQ(counts.inputs, 1u);
  EXPECT_EQ(s.run(1), s.run_in_order());
}

TEST_F(RowRuns, WhoReadsWholeWhatARunMakesComesAfterIt) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(0)});
  s.launch({matrix(0)}, {matrix(100 * kK), whole(200 * kK)});
  s.launch({matrix(100 * kK), whole(200 * kK)}, {matrix(210 * kK)});
  s.launch({matrix(210 * kK)}, {matrix(310 * kK)});
  s.download(matrix(310 * kK));
  const Counts counts = count(s.stages(1));
  EXPECT_EQ(counts.runs, 2u);
  EXPECT_EQ(counts.members, 4u);
  EXPECT_EQ(s.run(1), s.run_in_order());
}

TEST_F(RowRuns, MemoryThatLastsIsWritten) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(CommandList::kArena + kK)});
  s.launch({matrix(CommandList::kArena + kK)}, {matrix(0)});
  s.download(matrix(0));
  EXPECT_EQ(count(s.stages(1)).values, 0u);
  EXPECT_EQ(s.run(1), s.run_in_order());
}

TEST_F(RowRuns, AnInputThatOthersReadIsUploaded) {
  CommandList s;
  s.upload(matrix(0));
  s.launch({matrix(0)}, {matrix(100 * kK)});
  s.launch({matrix(100 * kK)}, {matrix(200 * kK)});
  s.launch({matrix(0)}, {matrix(300 * kK)}, false);
  s.download(matrix(200 * kK));
  s.download(matrix(300 * kK));
  const Counts counts = count(s.stages(1));
  EXPECT_EQ(counts.runs, 1u);
  EXPECT_EQ(counts.inputs, 0u);
  EXPECT_EQ(s.run(1), s.run_in_order());
}

TEST_F(RowRuns, AnInputOfWhichAPieceIsReadWholeIsUploaded) {
  CommandList s;
  s.upload(matrix(0));
  s.launch({matrix(0)}, {matrix(100 * kK)});
  s.launch({matrix(100 * kK), whole(kK, 3)}, {matrix(200 * kK)});
  s.download(matrix(200 * kK));
  const Counts counts = count(s.stages(1));
  EXPECT_EQ(counts.members, 2u);
  EXPECT_EQ(counts.inputs, 0u);
  EXPECT_EQ(s.run(1), s.run_in_order());
}

TEST_F(RowRuns, AStrangerThatDependsOnNothingComesBefore) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(0)});
  s.launch({whole(CommandList::kArena)}, {whole(100 * kK)}, false);
  s.launch({matrix(0), whole(100 * kK)}, {matrix(200 * kK)});
  s.download(matrix(200 * kK));
  EXPECT_EQ(count(s.stages(1)).members, 2u);
  EXPECT_EQ(s.run(1), s.run_in_order());
}

// Of a value that another launch wrote over in part, the rest is still read.
TEST_F(RowRuns, AValueThatLiesOverAPartOfAResultIsWritten) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(0)});
  s.launch({matrix(0)}, {matrix(100 * kK, 3)});
  s.launch({matrix(0)}, {matrix(108 * kK)});
  s.download(matrix(100 * kK, 3));
  EXPECT_EQ(s.run(1), s.run_in_order());
}

// The element that is there before all bands is not all that the reader wants.
TEST_F(RowRuns, WhoReadsMoreThanTheBeginningWroteComesAfter) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(0)});
  s.launch({matrix(0)}, {whole(kK, 1), matrix(100 * kK)});
  s.launch({matrix(100 * kK), whole(kK, 4)}, {matrix(200 * kK)});
  s.download(matrix(200 * kK));
  EXPECT_EQ(s.run(1), s.run_in_order());
}

TEST_F(RowRuns, FewRowsOrFewBytesGoOneAfterAnother) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(0)});
  s.launch({matrix(0)}, {matrix(200 * kK)});
  s.download(matrix(200 * kK));
  EXPECT_EQ(count(s.stages(1)).runs, 1u);
  EXPECT_EQ(count(s.stages(2)).runs, 0u) << "three tasks are too few for two threads";
  banded_bytes = 1 << 20;
  EXPECT_EQ(count(s.stages(1)).runs, 0u);
}

TEST_F(RowRuns, LaunchesThatShareNothingGoOneAfterAnother) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(0)});
  s.launch({whole(CommandList::kArena)}, {matrix(200 * kK)});
  s.download(matrix(0));
  s.download(matrix(200 * kK));
  banded_bytes = 1;
  EXPECT_EQ(count(s.stages(1)).runs, 0u);
  EXPECT_EQ(s.run(1), s.run_in_order());
}

// What nobody in the run reads again may go past the caches: a band's launch knows of how many it
// is one.
TEST_F(RowRuns, BandsOfAResultThatLeavesSayHowManyTheyAre) {
  CommandList s;
  s.launch({whole(CommandList::kArena)}, {matrix(0)});
  s.launch({matrix(0)}, {matrix(200 * kK)});
  s.download(matrix(0));
  s.download(matrix(200 * kK));
  records_bands = true;
  s.run(1);
  records_bands = false;
  ASSERT_EQ(bands_seen.size(), 2u) << "two salts";
  EXPECT_EQ(bands_seen.at(1), (std::set<std::int64_t>{1})) << "the second launch reads it";
  EXPECT_EQ(bands_seen.at(2),
            (std::set<std::int64_t>{kRows / host::kTaskRows, kRows / (kRows % host::kTaskRows)}));
}

TEST_F(RowRuns, ALaunchThatReadsAnotherRowIsFound) {
  CommandList s;
  s.upload(matrix(0));
  s.launch({matrix(0)}, {matrix(100 * kK)});
  Mix liar;
  liar.reads_the_next_row = true;
  s.launch({matrix(100 * kK)}, {matrix(200 * kK)}, true, liar);
  s.download(matrix(200 * kK));
  EXPECT_NE(s.run(1), s.run_in_order());
}

/// A sequence whose launches read what was written, from memory that is used again and again.
class Random {
 public:
  Random(unsigned seed, std::int64_t rows) : random_(seed), rows_(rows) {
    written_.assign(CommandList::kArena / 256, 0);
    for (std::size_t i = 0, count = 1 + below(2); i < count; ++i) {
      const Place place = fresh(rank(2));
      sequence_.upload(place);
      note(place);
    }
    for (std::size_t i = 0, count = 3 + below(9); i < count; ++i) add_launch();
    for (std::size_t i = 0; i < 3; ++i)
      if (const auto place = readable()) sequence_.download(*place);
  }
  CommandList& sequence() { return sequence_; }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }

  Shape rank(int of) {
    const auto columns = static_cast<std::int64_t>(1 + below(3));
    if (of == 1) return Shape{below(3) ? 2 + columns : 1};
    return of == 2 ? Shape{rows_, columns} : Shape{rows_, 1, columns};
  }
  Place fresh(const Shape& shape) {
    const auto slots = static_cast<std::size_t>(6 + below(20));  // few: much is written over
    return {static_cast<std::int64_t>(below(slots)) * 12 * 1024 + 256 * std::int64_t(below(3)),
            shape};
  }
  Place in_state(const Shape& shape) {
    return {CommandList::kArena + 1024 * static_cast<std::int64_t>(below(100)), shape};
  }

  bool is_written(const Place& place) const {
    if (place.offset >= CommandList::kArena) return true;
    for (std::int64_t at = place.offset / 256; at < (place.offset + place.bytes() + 255) / 256;
         ++at)
      if (!written_[static_cast<std::size_t>(at)]) return false;
    return true;
  }
  /// Whole pieces of 256 bytes count as written, the last one of a value when it is read so too.
  void note(const Place& place) {
    places_.push_back(place);
    if (place.offset >= CommandList::kArena) return;
    for (std::int64_t at = place.offset / 256; at < (place.offset + place.bytes()) / 256; ++at)
      written_[static_cast<std::size_t>(at)] = 1;
  }

  /// Most often the newest value, at times an older one, or other bytes of theirs.
  std::optional<Place> readable() {
    for (int attempt = 0; attempt < 20; ++attempt) {
      Place place = places_[places_.size() - 1 - below(std::min<std::size_t>(places_.size(), 5))];
      if (below(8) == 0) place.shape = rank(static_cast<int>(1 + below(3)));
      if (below(8) == 0) place = in_state(rank(static_cast<int>(1 + below(2))));
      if (below(2) == 0 && place.shape.rank() == 1)
        place.offset += 256 * static_cast<std::int64_t>(below(16));
      if (below(6) == 0 && place.shape.rank() == 2)
        place.shape = Shape{place.shape[0], 1, place.shape[1]};
      const bool exact = std::any_of(places_.begin(), places_.end(), [&](const Place& p) {
        return p.offset == place.offset && p.shape.elements() == place.shape.elements() &&
               newest_over(p);
      });
      if (exact || is_written(place)) return place;
    }
    return std::nullopt;
  }
  /// Whether no later value lies over a part of p; all of it is as it was written then.
  bool newest_over(const Place& p) const {
    for (auto at = places_.rbegin(); at != places_.rend(); ++at) {
      if (at->offset == p.offset && at->bytes() == p.bytes()) return true;
      if (at->overlaps(p)) return false;
    }
    return false;
  }

  void add_launch() {
    std::vector<Place> in, out;
    for (std::size_t i = 0, count = 1 + below(3); i < count; ++i)
      if (const auto place = readable()) in.push_back(*place);
    const auto clear = [&](const Place& place) {
      for (const Place& other : in) {
        const bool in_place = other.offset == place.offset && other.shape == place.shape;
        if (other.overlaps(place) && !(in_place && place.shape.rank() == 2)) return false;
      }
      return std::none_of(out.begin(), out.end(),
                          [&](const Place& other) { return other.overlaps(place); });
    };
    for (std::size_t i = 0, count = 1 + below(2); i < count; ++i) {
      Place place = fresh(rank(static_cast<int>(1 + (below(4) > 0))));
      if (below(4) == 0) place = places_[below(places_.size())];
      if (below(10) == 0) place = in_state(place.shape);
      if (place.shape.rank() < 3 && clear(place)) out.push_back(place);
    }
    const auto is_matrix = [](const Place& place) { return place.shape.rank() > 1; };
    if (out.empty() || (std::none_of(in.begin(), in.end(), is_matrix) &&
                        std::none_of(out.begin(), out.end(), is_matrix)))
      return;
    sequence_.launch(in, out, below(8) > 0);
    for (const Place& place : out) note(place);
  }

  std::mt19937 random_;
  std::int64_t rows_;
  CommandList sequence_;
  std::vector<char> written_;  ///< by 256 bytes of the arena
  std::vector<Place> places_;
};

TEST_F(RowRuns, RandomSequencesLeaveWhatTheyLeaveInOrder) {
  Counts all;
  std::size_t in_place = 0;
  for (unsigned seed = 0; seed < 1200; ++seed) {
    const int threads = seed % 4 == 3 ? 2 : 1;
    Random random(seed, threads == 2 ? 2100 : seed % 2 ? 600 : 1100);
    CommandList& sequence = random.sequence();
    const Counts counts = count(sequence.stages(threads));
    all.runs += counts.runs, all.members += counts.members;
    all.values += counts.values, all.inputs += counts.inputs;
    in_place += inputs_in_place(sequence.stages(threads));
    ASSERT_EQ(sequence.run(threads), sequence.run_in_order()) << "seed " << seed;
  }
  EXPECT_GT(all.runs, 300u);
  EXPECT_GT(all.members, 900u);
  EXPECT_GT(all.values, 200u);
  EXPECT_GT(all.inputs, 50u);
  EXPECT_GT(in_place, 200u);
}

}  // namespace
}  // namespace fornax::testing
