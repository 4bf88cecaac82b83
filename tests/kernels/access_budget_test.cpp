// What every CUDA kernel asks of memory, counted by the simt machine and held, number for number,
// to tests/simt/access_budget: global sectors of 32 bytes and shared-memory wavefronts, each with
// the fewest that the same requests could need. The measured table is written to the file
// access_budget in the folder of the test's run: the next budget, if the change is meant.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <sstream>

#include "kernels/device/transfer.h"
#include "runtime/cuda/simt/machine.h"
#include "runtime/graph/graph_data.h"
#include "tests/kernels/access_cases.h"
#include "tests/kernels/kernel_check.h"

namespace fornax {
namespace {

struct Units {
  std::int64_t used = 0, ideal = 0;
  bool operator==(const Units&) const = default;
  std::string text() const { return std::to_string(used) + '/' + std::to_string(ideal); }
};
struct Budget {
  Units sectors, wavefronts;
  std::string reason;  ///< of a line that needs more than the ideal; stands after '#'
};
using Table = std::map<std::string, Budget>;  ///< by "kernel case dtype"
using Lines = std::map<std::string, std::string>;

/// The ragged ends of rows and tensors may cost an eighth more than the ideal; bank conflicts none.
bool needs_reason(const Budget& b) {
  return 8 * b.sectors.used > 9 * b.sectors.ideal || b.wavefronts.used > b.wavefronts.ideal;
}

std::string line_of(const std::string& key, const Budget& b) {
  std::string line = b.sectors.text() + ' ' + b.wavefronts.text() + ' ' + key;
  return b.reason.empty() ? line : line + " # " + b.reason;
}

Table read_budget(std::istream& from) {
  Table table;
  for (std::string line; std::getline(from, line);) {
    if (line.empty() || line[0] == '#') continue;
    Budget b;
    char slash[2] = {};
    std::string kernel, case_name, dtype, hash;
    std::istringstream words(line);
    words >> b.sectors.used >> slash[0] >> b.sectors.ideal;
    words >> b.wavefronts.used >> slash[1] >> b.wavefronts.ideal >> kernel >> case_name >> dtype;
    EXPECT_TRUE(words && slash[0] == '/' && slash[1] == '/') << "not a line of a budget: " << line;
    if (words >> hash) std::getline(words >> std::ws, b.reason);
    table[kernel + ' ' + case_name + ' ' + dtype] = b;
  }
  return table;
}

std::vector<std::string> complaints(const Table& measured, const Table& budget,
                                    const Lines& lines) {
  std::vector<std::string> all;
  for (const auto& [key, now] : measured) {
    const auto found = budget.find(key);
    const auto where = lines.find(key);
    const std::string places = where == lines.end() ? "" : where->second;
    if (found == budget.end()) {
      all.push_back("no line: " + line_of(key, now) + places);
      continue;
    }
    const Budget& held = found->second;
    if (now.sectors != held.sectors || now.wavefronts != held.wavefronts)
      all.push_back("now " + line_of(key, now) + ", the budget says " + held.sectors.text() + ' ' +
                    held.wavefronts.text() + places);
    if (needs_reason(now) && held.reason.empty())
      all.push_back("no reason ('# why' at the end of its line): " + line_of(key, now) + places);
    if (!needs_reason(now) && !held.reason.empty())
      all.push_back("a reason that nothing needs: " + line_of(key, held));
  }
  for (const auto& [key, held] : budget)
    if (!measured.contains(key)) all.push_back("a line that was not measured: " + key);
  return all;
}

/// The names of the functions marked __global__ in the library's .cu files.
std::vector<std::string> kernels_of_sources() {
  const std::regex kernel(
      "__global__\\s+void\\s+(?:__launch_bounds__\\([^)]*\\)\\s+)?(\\w+)\\s*\\(");
  std::vector<std::string> names;
  const std::filesystem::path root = FORNAX_SOURCE_DIR "/kernels";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".cu") continue;
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    for (std::sregex_iterator at(text.begin(), text.end(), kernel), end; at != end; ++at)
      names.push_back((*at)[1]);
  }
  return names;
}

#if defined(FORNAX_SIMT_KERNELS) && !defined(SIMT_ADDRESS) && !defined(SIMT_THREAD)
/// Adds what was counted; `lines` gets the places that lose units, by key.
void add_counts(const std::string& case_name, Table& table, Lines& lines) {
  for (const simt::AccessCount& count : simt::access_report()) {
    const std::string key = count.kernel + ' ' + case_name;
    const bool global = count.kind.starts_with("global");
    Units& units = global ? table[key].sectors : table[key].wavefronts;
    units.used += count.units, units.ideal += count.ideal;
    if (count.units == count.ideal) continue;
    lines[key] += "\n    " + count.file + ':' + std::to_string(count.line) + ' ' + count.kind +
                  ' ' + Units{count.units, count.ideal}.text() + " in " +
                  std::to_string(count.requests) + " requests";
  }
}

void measure(const AccessCase& one, Table& table, Lines& lines) {
  const double tolerance = one.dtype == DType::f32 ? 0 : one.op_case.bounds.bf16;
  visit_nodes(one.op_case, one.dtype,
              [&](const NodeData& node, NodeOperands& operands, const kernels::StepState& step) {
                if (!node.op->name.starts_with(one.op)) return;
                simt::count_accesses();
                check_cuda_kernels(node, operands, step, tolerance, Places::apart);
                add_counts(one.op_case.name + ' ' + name(one.dtype), table, lines);
              });
}

/// What a step takes and gives: no op launches it.
void measure_transfer(Table& table, Lines& lines) {
  struct alignas(256) Memory {
    std::byte bytes[8192];
  };
  auto from = std::make_unique<Memory>(), to = std::make_unique<Memory>();
  const device::Transfer ranges[] = {{to->bytes, from->bytes, 7000},
                                     {to->bytes + 7040, from->bytes + 7040, 13}};
  simt::count_accesses();
  device::transfer({nullptr, &simt::launch_table(), nullptr}, "transfer_chunk_per_block", ranges);
  add_counts("two_ranges bytes", table, lines);
}

bool launched_as(const std::string& key, const std::string& kernel) {
  return key.starts_with(kernel) && (key[kernel.size()] == ' ' || key[kernel.size()] == '_');
}

TEST(AccessBudget, EveryKernelAsksWhatItsLineSays) {
  Table measured;
  Lines lines;
  for (const AccessCase& one : access_cases()) measure(one, measured, lines);
  measure_transfer(measured, lines);
  std::ifstream file(FORNAX_SOURCE_DIR "/tests/simt/access_budget");
  const Table budget = read_budget(file);
  for (const std::string& complaint : complaints(measured, budget, lines))
    ADD_FAILURE() << complaint;
  std::ofstream next("access_budget");
  next << "# Global sectors / the fewest, shared wavefronts / the fewest, kernel, case, dtype,\n"
          "# why more is needed. Held by tests/kernels/access_budget_test.cpp.\n";
  for (auto& [key, now] : measured) {
    if (const auto held = budget.find(key); held != budget.end()) now.reason = held->second.reason;
    next << line_of(key, now) << '\n';
  }
  const auto kernels = kernels_of_sources();
  for (const std::string& kernel : kernels)
    EXPECT_TRUE(std::any_of(measured.begin(), measured.end(),
                            [&](const auto& item) { return launched_as(item.first, kernel); }))
        << kernel << " is not in the budget: add a case to tests/kernels/access_cases.h";
  for (const auto& [key, now] : measured)
    EXPECT_TRUE(
        std::any_of(kernels.begin(), kernels.end(),
                    [&, &key = key](const auto& kernel) { return launched_as(key, kernel); }))
        << key << ": a launch's name (Config::name) must begin with its kernel's";
}
#endif

TEST(AccessBudget, FindsTheKernelsOfTheSources) {
  const auto names = kernels_of_sources();
  EXPECT_GE(names.size(), 30u);
  for (const char* name : {"linear_exact", "linear_mma", "softmax_warp_per_row", "adamw_elements"})
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
}

TEST(AccessBudget, PlantedLinesAreFound) {
  std::istringstream text(
      "# a comment\n"
      "4/4 1/1 kernel same f32\n"
      "4/4 1/1 kernel strided f32\n"
      "4/4 1/1 kernel conflict f32\n"
      "32/4 1/1 kernel unexplained f32\n"
      "32/4 0/0 kernel explained f32 # each lane owns a row\n"
      "4/4 1/1 kernel excused f32 # for nothing\n"
      "4/4 1/1 kernel gone f32\n");
  const Table budget = read_budget(text);
  const Table measured = {{"kernel same f32", {{4, 4}, {1, 1}, ""}},
                          {"kernel strided f32", {{32, 4}, {1, 1}, ""}},
                          {"kernel conflict f32", {{4, 4}, {32, 1}, ""}},
                          {"kernel unexplained f32", {{32, 4}, {1, 1}, ""}},
                          {"kernel explained f32", {{32, 4}, {0, 0}, ""}},
                          {"kernel excused f32", {{4, 4}, {1, 1}, ""}},
                          {"kernel without_line f32", {{4, 4}, {1, 1}, ""}}};
  const auto found = complaints(measured, budget, {{"kernel strided f32", " at line 7"}});
  const char* expected[] = {"now 4/4 32/1 kernel conflict f32, the budget says 4/4 1/1",
                            "no reason .* 4/4 32/1 kernel conflict f32",
                            "a reason that nothing needs: 4/4 1/1 kernel excused f32",
                            "now 32/4 1/1 kernel strided f32, the budget says 4/4 1/1 at line 7",
                            "no reason .* 32/4 1/1 kernel strided f32",
                            "no reason .* 32/4 1/1 kernel unexplained f32",
                            "no line: 4/4 1/1 kernel without_line f32",
                            "a line that was not measured: kernel gone f32"};
  ASSERT_EQ(found.size(), std::size(expected));
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(std::regex_search(found[i], std::regex(expected[i]))) << found[i];
}

}  // namespace
}  // namespace fornax
