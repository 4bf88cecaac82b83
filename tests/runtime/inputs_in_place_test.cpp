// Inputs that launches on the host read where the caller has them: which, and that it never shows.
#include "runtime/device/inputs_in_place.h"

#include <gtest/gtest.h>

#include "tests/runtime/command_list.h"

namespace fornax::testing {
namespace {

using Place = CommandList::Place;

constexpr std::int64_t kElements = 3000;
Place whole(std::int64_t offset, std::int64_t elements = kElements) { return {offset, {elements}}; }
/// What a launch makes: it reads all that is whole for each row.
Place rows(std::int64_t offset, std::int64_t elements = kElements) {
  return {offset, {2, elements / 2}};
}

class InputsInPlace : public ::testing::Test {
 protected:
  InputsInPlace() { in_place_bytes = 4 * kElements; }
  ~InputsInPlace() override { in_place_bytes = before_; }

  /// How many are read in place; the results are those of uploads whichever are.
  static std::size_t count(CommandList& list) {
    std::vector<Stage> stages = list.stages(1);
    std::vector<std::vector<ConstTensorView>> operands;
    const std::size_t in_place = take_inputs_in_place(stages, operands).size();
    EXPECT_EQ(list.run(1), list.run_in_order());
    return in_place;
  }

 private:
  std::int64_t before_ = in_place_bytes;
};

TEST_F(InputsInPlace, WhatLaunchesReadIsNotUploaded) {
  CommandList s;
  s.upload(whole(0));
  s.upload(whole(100000));
  s.launch({whole(0), whole(100000), whole(0, 7)}, {rows(200000)}, false);
  s.launch({whole(100400, 100), whole(200000)}, {rows(300000)}, false);
  s.download(whole(300000));
  EXPECT_EQ(count(s), 2u);
}

TEST_F(InputsInPlace, SmallOnesAreUploaded) {
  CommandList s;
  s.upload(whole(0, kElements - 1));
  s.launch({whole(0, kElements - 1)}, {rows(200000)}, false);
  s.download(whole(200000));
  EXPECT_EQ(count(s), 0u);
}

TEST_F(InputsInPlace, AnOutputMayTakeItsPlace) {
  CommandList s;
  s.upload(rows(0));
  s.launch({rows(0)}, {rows(0)}, false);
  s.launch({whole(0)}, {rows(100000)}, false);
  s.download(whole(0));
  s.download(whole(100000));
  EXPECT_EQ(count(s), 1u);
}

TEST_F(InputsInPlace, WhatWasWrittenInPartIsUploaded) {
  CommandList s;
  s.upload(whole(0));
  s.launch({whole(0)}, {rows(400, 200)}, false);
  s.launch({whole(0)}, {rows(100000)}, false);
  s.download(whole(100000));
  EXPECT_EQ(count(s), 0u);
}

TEST_F(InputsInPlace, WhatIsReadBesideAnythingElseIsUploaded) {
  CommandList s;
  s.upload(whole(4000));
  s.upload(whole(4000 + 4 * kElements));
  s.launch({whole(8000)}, {rows(100000)}, false);
  s.download(whole(100000));
  EXPECT_EQ(count(s), 0u);
}

TEST_F(InputsInPlace, WhatIsDownloadedIsUploaded) {
  CommandList s;
  s.upload(whole(0));
  s.launch({whole(0)}, {rows(100000)}, false);
  s.download(whole(40, 5));
  EXPECT_EQ(count(s), 0u);
}

TEST_F(InputsInPlace, WhatMayBeBoundIsUploaded) {
  CommandList s;
  s.upload(whole(0));
  Mix bound;
  bound.is_bound = true;
  s.launch({whole(0)}, {rows(100000)}, false, bound);
  s.download(whole(100000));
  EXPECT_EQ(count(s), 0u);
}

TEST_F(InputsInPlace, WhatResultsAreWrittenOverIsUploaded) {
  CommandList s;
  s.upload(whole(0));
  s.launch({whole(0)}, {rows(100000)}, false);
  s.download(whole(100000));
  s.launch({whole(0)}, {rows(200000)}, false);
  s.download(whole(200000));
  s.feed_back();
  EXPECT_EQ(count(s), 1u) << "which is decided in every step";
}

TEST_F(InputsInPlace, AddressesThatNoElementMayHaveAreUploaded) {
  CommandList s;
  s.upload(whole(0));
  s.launch({whole(0)}, {rows(100000)}, false);
  s.download(whole(100000));
  s.misalign_inputs(4);
  EXPECT_EQ(count(s), 1u) << "which is decided in every step";
  s.misalign_inputs(2);
  EXPECT_EQ(count(s), 1u);
}

}  // namespace
}  // namespace fornax::testing
