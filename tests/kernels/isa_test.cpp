// Which form FORNAX_DISPATCH calls, FORNAX_ISA in a fresh process, and the floating-point state.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/isa_test.cpp"
#include "hwy/foreach_target.h"
#include "kernels/host/dispatch.h"
#include "kernels/host/vector.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace fornax::isa_test::HWY_NAMESPACE {
int lanes() { return numeric::HWY_NAMESPACE::kLanes; }
}  // namespace fornax::isa_test::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "kernels/host/float_environment.h"
#include "kernels/host/parallel.h"
#include "tests/kernels/every_isa.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fornax::isa_test {
namespace {

int expected_lanes(host::Isa isa) {
  switch (isa) {
    case host::Isa::avx512: return 16;
    case host::Isa::avx2: return 8;
    case host::Isa::neon: return 4;
    case host::Isa::portable: return 1;
  }
  return 0;
}

TEST(Isa, DispatchCallsTheFormOfTheActiveIsa) {
  const IsaRestorer restore;
  ASSERT_FALSE(available_isas().empty());
  for (const host::Isa isa : available_isas()) {
    host::use_isa(isa);
    EXPECT_EQ(host::active_isa(), isa);
    EXPECT_EQ(FORNAX_DISPATCH(lanes)(), expected_lanes(isa)) << host::name(isa);
  }
}

TEST(Isa, AnAbsentOneIsRefusedAndNothingChanges) {
  const host::Isa before = host::active_isa();
#if defined(__x86_64__)
  const host::Isa absent = host::Isa::neon;
#else
  const host::Isa absent = host::Isa::avx2;
#endif
  try {
    host::use_isa(absent);
    FAIL() << "use_isa took " << host::name(absent);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find(host::name(before)), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(host::active_isa(), before);
}

/// The variable is read once, so each value needs a process of its own: this test run again by
/// itself.
class IsaEnvironment : public testing::Test {
 protected:
  static int run(const std::string& value, const std::string& probe) {
    const std::string command = "FORNAX_ISA='" + value + "' ISA_TEST_PROBE=1 '" +
                                testing::internal::GetArgvs()[0] + "' --gtest_filter=" + probe +
                                " > /dev/null 2>&1";
    return std::system(command.c_str());
  }
};

TEST(IsaProbe, ActiveIsaIsTheNamedOne) {
  if (std::getenv("ISA_TEST_PROBE") == nullptr) GTEST_SKIP() << "run by IsaEnvironment";
  EXPECT_STREQ(host::name(host::active_isa()), std::getenv("FORNAX_ISA"));
  EXPECT_EQ(FORNAX_DISPATCH(lanes)(), expected_lanes(host::active_isa()));
}

TEST(IsaProbe, ActiveIsaThrows) {
  if (std::getenv("ISA_TEST_PROBE") == nullptr) GTEST_SKIP() << "run by IsaEnvironment";
  EXPECT_THROW(host::active_isa(), Error);
}

TEST_F(IsaEnvironment, NamesTheIsaOrIsRefused) {
  for (const host::Isa isa : available_isas())
    EXPECT_EQ(run(host::name(isa), "IsaProbe.ActiveIsaIsTheNamedOne"), 0) << host::name(isa);
  EXPECT_NE(run("sse9", "IsaProbe.ActiveIsaIsTheNamedOne"), 0);
  EXPECT_EQ(run("sse9", "IsaProbe.ActiveIsaThrows"), 0);
}

TEST(FloatEnvironment, IsExactHereAndInThePool) {
  EXPECT_EQ(host::float_environment_fault(), nullptr);
  volatile float smallest = 0x1p-126f;
  EXPECT_GT(smallest * 0.5f, 0.0f) << "subnormals are flushed";
  host::parallel_for(64, 1, 3, [](std::int64_t, std::int64_t) {
    if (host::float_environment_fault() != nullptr) throw std::runtime_error("flushing worker");
  });
}

#if defined(__x86_64__)
TEST(FloatEnvironment, FaultsAreFoundAndTheScopeCuresThem) {
  const unsigned before = _mm_getcsr();
  for (const unsigned bit : {1u << 15, 1u << 6, 1u << 13}) {
    _mm_setcsr(before | bit);
    const char* fault = host::float_environment_fault();
    const char* cured = "not run";
    {
      const host::ExactFloatScope exact;
      cured = host::float_environment_fault();
    }
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    EXPECT_NE(fault, nullptr) << bit;
    EXPECT_EQ(cured, nullptr) << bit;
    EXPECT_EQ(after & bit, bit) << "the host program's state was not restored";
  }
}
#endif

}  // namespace
}  // namespace fornax::isa_test
#endif
