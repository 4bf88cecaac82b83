// Placement of buffers: greedy orders, gap rules, hill climbing, and a linear allocator for huge
// plans.
#include "runtime/passes/place_buffers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

namespace fornax {

namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }
constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

enum class Gap { tightest, lowest };
using Order = std::vector<int>;

class Greedy {
 public:
  explicit Greedy(const Lifetimes& buffers) : buffers_(buffers) {}

  /// Places in the given order; gives up, with a height of at least `limit`, when that is reached.
  Placement place(const Order& order, Gap rule, std::int64_t limit) {
    Placement result;
    result.offset_bytes.assign(buffers_.bytes.size(), 0);
    placed_.clear();
    for (const int id : order) {
      const std::int64_t bytes = buffers_.bytes[at(id)];
      const std::int64_t offset = find_gap(id, bytes, rule);
      result.offset_bytes[at(id)] = offset;
      result.height_bytes = std::max(result.height_bytes, offset + bytes);
      if (result.height_bytes >= limit) return result;
      const Placed item{offset, offset + bytes, buffers_.begin[at(id)], buffers_.end[at(id)], id};
      placed_.insert(
          std::upper_bound(placed_.begin(), placed_.end(), item,
                           [](const Placed& a, const Placed& b) { return a.offset < b.offset; }),
          item);
    }
    return result;
  }

 private:
  struct Placed {
    std::int64_t offset, top;
    int begin, end, id;
  };

  bool before(int a, int b) const {
    const std::size_t width = at(buffers_.streams);
    for (std::size_t k = 0; k < width; ++k)
      if (buffers_.ended[at(a) * width + k] > buffers_.known[at(b) * width + k]) return false;
    return true;
  }

  std::int64_t find_gap(int id, std::int64_t bytes, Gap rule) const {
    const int begin = buffers_.begin[at(id)], end = buffers_.end[at(id)];
    const bool intervals = buffers_.streams == 1;
    std::int64_t free_from = 0, best = -1, best_gap = kUnlimited;
    for (const Placed& other : placed_) {
      // Disjoint list intervals never conflict; overlapping ones may still be ordered.
      if (other.end <= begin || end <= other.begin) continue;
      if (!intervals && (before(other.id, id) || before(id, other.id))) continue;
      const std::int64_t gap = other.offset - free_from;
      if (gap >= bytes && gap < best_gap) {
        best = free_from, best_gap = gap;
        if (rule == Gap::lowest) return best;
      }
      free_from = std::max(free_from, other.top);
    }
    return best < 0 ? free_from : best;
  }

  const Lifetimes& buffers_;
  std::vector<Placed> placed_;  ///< by offset
};

template <class Key>
Order order_by(const Lifetimes& buffers, const Key& key) {
  std::vector<double> keys;
  for (int i = 0; i < buffers.count(); ++i) keys.push_back(key(i));
  Order order(at(buffers.count()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    if (keys[at(a)] != keys[at(b)]) return keys[at(a)] > keys[at(b)];
    return buffers.bytes[at(a)] > buffers.bytes[at(b)];
  });
  return order;
}

/// Buffers of the fullest moment first, each moment's by size (greedy by breadth).
Order order_by_breadth(const Lifetimes& buffers) {
  std::map<int, std::int64_t> change;
  for (int i = 0; i < buffers.count(); ++i) {
    change[buffers.begin[at(i)]] += buffers.bytes[at(i)];
    change[buffers.end[at(i)]] -= buffers.bytes[at(i)];
  }
  std::vector<int> moments;
  std::vector<std::int64_t> live;
  for (const auto& [moment, bytes] : change) {
    moments.push_back(moment);
    live.push_back(bytes + (live.empty() ? 0 : live.back()));
  }
  // A buffer belongs to the fullest moment of its life: a sparse table of range maxima.
  std::vector<std::vector<std::int64_t>> peak{live};
  for (std::size_t step = 1; 2 * step <= live.size(); step *= 2) {
    std::vector<std::int64_t> row;
    for (std::size_t i = 0; i + 2 * step <= live.size(); ++i)
      row.push_back(std::max(peak.back()[i], peak.back()[i + step]));
    peak.push_back(std::move(row));
  }
  const auto index = [&](int moment) {
    return static_cast<std::size_t>(std::lower_bound(moments.begin(), moments.end(), moment) -
                                    moments.begin());
  };
  return order_by(buffers, [&](int i) {
    const std::size_t first = index(buffers.begin[at(i)]), last = index(buffers.end[at(i)]);
    std::size_t level = 0;
    while ((std::size_t{2} << level) <= last - first) ++level;
    const auto& row = peak[level];
    return static_cast<double>(std::max(row[first], row[last - (std::size_t{1} << level)]));
  });
}

std::vector<Order> portfolio(const Lifetimes& buffers) {
  const auto size = [&](int i) { return static_cast<double>(buffers.bytes[at(i)]); };
  const auto life = [&](int i) {
    return static_cast<double>(buffers.end[at(i)] - buffers.begin[at(i)]);
  };
  return {order_by(buffers, size),
          order_by(buffers, [&](int i) { return size(i) * std::sqrt(life(i)); }),
          order_by(buffers, life),
          order_by(buffers, [&](int i) { return size(i) * life(i); }),
          order_by(buffers, [&](int i) { return -static_cast<double>(buffers.begin[at(i)]); }),
          order_by_breadth(buffers)};
}

/// A small generator of its own, so that plans do not depend on the standard library.
class Lcg {
 public:
  std::size_t below(std::size_t limit) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::size_t>(state_ >> 33) % limit;
  }

 private:
  std::uint64_t state_ = 1;
};

/// Moves buffers that touch the top to earlier places in the order and keeps what is no worse.
void hill_climb(const Lifetimes& buffers, Order order, Gap rule, std::int64_t lower_bound,
                Placement& best) {
  Greedy greedy(buffers);
  Lcg random;
  const std::int64_t pairs = std::int64_t{buffers.count()} * buffers.count();
  const std::int64_t trials =
      std::min<std::int64_t>(2000, 100'000'000 / std::max<std::int64_t>(pairs, 1));
  Placement current = best;
  for (std::int64_t trial = 0; trial < trials && best.height_bytes > lower_bound; ++trial) {
    std::vector<std::size_t> tops;
    for (std::size_t p = 0; p < order.size(); ++p)
      if (current.offset_bytes[at(order[p])] + buffers.bytes[at(order[p])] == current.height_bytes)
        tops.push_back(p);
    const std::size_t from = tops[random.below(tops.size())];
    const std::size_t to = random.below(from + 1);
    Order changed = order;
    const auto first = changed.begin() + static_cast<std::ptrdiff_t>(to);
    std::rotate(first, changed.begin() + static_cast<std::ptrdiff_t>(from),
                changed.begin() + static_cast<std::ptrdiff_t>(from) + 1);
    Placement next = greedy.place(changed, rule, current.height_bytes + 1);
    if (next.height_bytes > current.height_bytes) continue;
    current = std::move(next);
    order = std::move(changed);
    if (current.height_bytes < best.height_bytes) best = current;
  }
}

/// Free blocks of an arena that grows at its end.
class FreeList {
 public:
  std::int64_t take(std::int64_t bytes) {
    const auto found = by_size_.lower_bound({bytes, 0});
    if (found == by_size_.end()) return grow(bytes);
    const auto [size, offset] = *found;
    erase(offset, size);
    if (size > bytes) insert(offset + bytes, size - bytes);
    return offset;
  }

  void give(std::int64_t offset, std::int64_t bytes) {
    auto next = by_offset_.lower_bound(offset);
    if (next != by_offset_.end() && next->first == offset + bytes) {
      const auto [next_offset, next_size] = *next;
      erase(next_offset, next_size);
      bytes += next_size;
      next = by_offset_.lower_bound(offset);
    }
    if (next != by_offset_.begin()) {
      const auto [last_offset, last_size] = *std::prev(next);
      if (last_offset + last_size == offset) {
        erase(last_offset, last_size);
        offset = last_offset, bytes += last_size;
      }
    }
    insert(offset, bytes);
  }

  std::int64_t height() const noexcept { return height_; }

 private:
  std::int64_t grow(std::int64_t bytes) {
    std::int64_t offset = height_;
    if (!by_offset_.empty()) {
      const auto [last, size] = *std::prev(by_offset_.end());
      if (last + size == height_) {
        erase(last, size);
        offset = last;
      }
    }
    height_ = offset + bytes;
    return offset;
  }
  void insert(std::int64_t offset, std::int64_t bytes) {
    by_offset_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }
  void erase(std::int64_t offset, std::int64_t bytes) {
    by_offset_.erase(offset);
    by_size_.erase({bytes, offset});
  }

  std::map<std::int64_t, std::int64_t> by_offset_;
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;
  std::int64_t height_ = 0;
};

Placement place_in_program_order(const Lifetimes& buffers) {
  Order starts(at(buffers.count())), ends(at(buffers.count()));
  std::iota(starts.begin(), starts.end(), 0);
  ends = starts;
  const auto by = [](const std::vector<int>& key) {
    return [&key](int a, int b) { return key[at(a)] < key[at(b)]; };
  };
  std::stable_sort(starts.begin(), starts.end(), by(buffers.begin));
  std::stable_sort(ends.begin(), ends.end(), by(buffers.end));
  Placement result;
  result.offset_bytes.assign(buffers.bytes.size(), 0);
  FreeList free;
  std::size_t ended = 0;
  for (const int id : starts) {
    for (; buffers.end[at(ends[ended])] <= buffers.begin[at(id)]; ++ended)
      free.give(result.offset_bytes[at(ends[ended])], buffers.bytes[at(ends[ended])]);
    result.offset_bytes[at(id)] = free.take(buffers.bytes[at(id)]);
  }
  result.height_bytes = free.height();
  return result;
}

}  // namespace

Placement place_buffers(const Lifetimes& buffers, std::int64_t lower_bound_bytes) {
  if (buffers.count() == 0) return {};
  if (buffers.count() > kExactBuffers) return place_in_program_order(buffers);
  Greedy greedy(buffers);
  Placement best;
  best.height_bytes = kUnlimited;
  Order best_order;
  Gap best_rule = Gap::lowest;
  for (const Order& order : portfolio(buffers))
    for (const Gap rule : {Gap::lowest, Gap::tightest}) {
      if (best.height_bytes <= lower_bound_bytes) return best;
      Placement next = greedy.place(order, rule, best.height_bytes);
      if (next.height_bytes >= best.height_bytes) continue;
      best = std::move(next);
      best_order = order;
      best_rule = rule;
    }
  if (best.height_bytes > lower_bound_bytes + lower_bound_bytes / 100)
    hill_climb(buffers, best_order, best_rule, lower_bound_bytes, best);
  return best;
}

}  // namespace fornax
