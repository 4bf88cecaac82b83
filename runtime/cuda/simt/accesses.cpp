// Counts what warps ask of memory, by kernel and source line. A lane's n-th access at a line
// belongs to the warp's n-th request there: lanes run one after another, so requests are put
// together when their block ends.
#include <algorithm>
#include <map>
#include <tuple>

#include "block.h"
#include "grid.h"
#include "machine.h"

namespace fornax::simt {

namespace {

constexpr unsigned kSectorBytes = 32, kBankBytes = 4, kBanks = 32;
constexpr std::uint32_t kLargestAccess = 16;  // a larger struct goes word by word

struct LaneAccess {
  std::uintptr_t address;
  std::uint32_t bytes;
  int lane;
};
using Request = std::vector<LaneAccess>;

// Names by their text: one file's name has an address of its own in every object that includes it.
struct Place {
  std::string_view kernel, file;
  unsigned line;
  std::string_view kind;
  auto operator<=>(const Place&) const = default;
};
struct OpenRequests {
  std::vector<Request> requests;
  std::size_t next[32] = {};
};

std::map<std::pair<Place, int>, OpenRequests> open_requests;  // by place and warp
std::map<Place, AccessCount> counts;

// Distinct units of `size` bytes that [address, address + bytes) of any lane touches.
std::vector<std::uintptr_t> units_of(const Request& request, unsigned size) {
  std::vector<std::uintptr_t> units;
  for (const LaneAccess& access : request)
    for (std::uintptr_t u = access.address / size; u * size < access.address + access.bytes; ++u)
      units.push_back(u);
  std::sort(units.begin(), units.end());
  units.erase(std::unique(units.begin(), units.end()), units.end());
  return units;
}

std::int64_t distinct_bytes(const Request& request) {
  return static_cast<std::int64_t>(units_of(request, 1).size());
}

// One pass of the banks takes one word of each: the fullest bank decides.
std::int64_t wavefronts(const Request& request) {
  std::int64_t words[kBanks] = {};
  for (const std::uintptr_t word : units_of(request, kBankBytes)) ++words[word % kBanks];
  return *std::max_element(words, words + kBanks);
}

// Lanes of 8 bytes go in halves of a warp, of 16 bytes in quarters.
void count_shared(const Request& request, AccessCount& count) {
  const std::uint32_t widest =
      std::max_element(request.begin(), request.end(), [](const auto& a, const auto& b) {
        return a.bytes < b.bytes;
      })->bytes;
  const int group = widest <= 4 ? 32 : widest <= 8 ? 16 : 8;
  for (int first = 0; first < 32; first += group) {
    Request part;
    for (const LaneAccess& access : request)
      if (access.lane >= first && access.lane < first + group) part.push_back(access);
    if (part.empty()) continue;
    count.units += wavefronts(part);
    const auto words = static_cast<std::int64_t>(units_of(part, kBankBytes).size());
    count.ideal += (words + kBanks - 1) / kBanks;
  }
}

void count_global(const Request& request, AccessCount& count) {
  count.units += static_cast<std::int64_t>(units_of(request, kSectorBytes).size());
  count.ideal += (distinct_bytes(request) + kSectorBytes - 1) / kSectorBytes;
}

AccessCount& count_of(const Place& place) {
  const auto found = counts.find(place);
  if (found != counts.end()) return found->second;
  const std::string_view name = place.file.substr(place.file.rfind('/') + 1);
  return counts[place] = {std::string(place.kernel), std::string(name), place.line,
                          std::string(place.kind),   0,                 0,          0};
}

bool in_shared(const void* address) {
  const auto* at = static_cast<const char*>(address);
  return at >= block->shared && at < block->shared + kSharedBytes;
}

}  // namespace

void count_access(Access access, const void* address, std::size_t bytes, Site site) {
  const bool write = access == Access::write;
  const char* kind = in_shared(address) ? (write ? "shared_write" : "shared_read")
                                        : (write ? "global_write" : "global_read");
  const int index = block->current->index;
  const Place place{block->grid->launch->name, site.file, site.line, kind};
  OpenRequests& open = open_requests[{place, index / 32}];
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  const auto size = static_cast<std::uint32_t>(bytes);
  const std::uint32_t step = size > kLargestAccess ? kBankBytes : std::max(size, 1u);
  for (std::uint32_t at = 0; at == 0 || at < size; at += step) {
    const std::size_t which = open.next[index % 32]++;
    if (open.requests.size() <= which) open.requests.resize(which + 1);
    if (size) open.requests[which].push_back({first + at, step, index % 32});
  }
}

void count_matrix_rows(const char* const (&rows)[32], int matrices, Site site) {
  AccessCount& count = count_of({block->grid->launch->name, site.file, site.line, "load_matrices"});
  ++count.requests;
  for (int q = 0; q < matrices; ++q) {
    Request request;
    for (int i = 0; i < 8; ++i)
      request.push_back({reinterpret_cast<std::uintptr_t>(rows[q * 8 + i]), 16, i});
    count_shared(request, count);
  }
}

void finish_block_counts() {
  if (!counting) return;
  for (const auto& [key, open] : open_requests) {
    AccessCount& count = count_of(key.first);
    const bool shared = key.first.kind.starts_with("shared");
    for (const Request& request : open.requests) {
      if (request.empty()) continue;
      ++count.requests;
      shared ? count_shared(request, count) : count_global(request, count);
    }
  }
  open_requests.clear();
}

void count_accesses() {
  open_requests.clear();
  counts.clear();
#ifndef SIMT_THREAD
  counting = true;
#endif
}

std::vector<AccessCount> access_report() {
  counting = false;
  std::vector<AccessCount> report;
  for (const auto& [place, count] : counts) report.push_back(count);
  std::sort(report.begin(), report.end(), [](const AccessCount& a, const AccessCount& b) {
    return std::tie(a.kernel, a.file, a.line, a.kind) < std::tie(b.kernel, b.file, b.line, b.kind);
  });
  return report;
}

}  // namespace fornax::simt
