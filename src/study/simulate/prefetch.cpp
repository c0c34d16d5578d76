#include "study/simulate/prefetch.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/cancellation.h"
#include "routing/cache_policy.h"
#include "study/analysis/unit_counts.h"
#include "study/analysis/unit_halves.h"

namespace moescope::study {
namespace {

// How often an expert was chosen at the next layer, after each first choice.
class TransitionTable {
 public:
  explicit TransitionTable(int n_experts)
      : n_experts_(static_cast<size_t>(n_experts)), counts_((n_experts_ + 1) * n_experts_) {}

  void Add(int16_t first, std::span<const int16_t> next) {
    for (int16_t expert : next) {
      if (expert < 0) continue;
      if (first >= 0) ++counts_[static_cast<size_t>(first) * n_experts_ + Index(expert)];
      ++counts_[n_experts_ * n_experts_ + Index(expert)];  // of all rows: the popularity
    }
  }

  // The `n` most frequent after each first choice, of equals the lower ones.
  void Choose(int n) {
    fetched_.assign(counts_.size(), 0);
    std::vector<size_t> order(n_experts_);
    for (size_t first = 0; first <= n_experts_; ++first) {
      const auto counts = counts_.begin() + static_cast<int64_t>(first * n_experts_);
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return counts[static_cast<int64_t>(a)] > counts[static_cast<int64_t>(b)];
      });
      for (int i = 0; i < n; ++i) {
        fetched_[first * n_experts_ + order[static_cast<size_t>(i)]] = 1;
      }
    }
  }
  // A dropped first choice tells nothing: the most popular are fetched.
  bool Fetches(int16_t first, int32_t expert) const {
    const size_t row = first < 0 ? n_experts_ : Index(first);
    return fetched_[row * n_experts_ + static_cast<size_t>(expert)] != 0;
  }
  bool IsPopular(int32_t expert) const { return Fetches(-1, expert); }

 private:
  static size_t Index(int16_t expert) { return static_cast<size_t>(expert); }
  size_t n_experts_;
  std::vector<int64_t> counts_;  // [n_experts + 1, n_experts]
  std::vector<uint8_t> fetched_;
};

std::span<const int16_t> ExpertsOf(const LayerColumns& layer, int64_t row) {
  const size_t n_slots = static_cast<size_t>(layer.experts_per_token);
  return std::span(layer.experts).subspan(static_cast<size_t>(row) * n_slots, n_slots);
}

// What the units of one half teach about the other.
std::array<TransitionTable, 2> Learn(const RowColumns& rows, const LayerColumns& from,
                                     const LayerColumns& to, const Halves& halves, int n) {
  std::array<TransitionTable, 2> tables = {TransitionTable(to.n_experts),
                                           TransitionTable(to.n_experts)};
  for (const DocumentRange& document : rows.documents) {
    TransitionTable& table = tables[halves.measured[static_cast<size_t>(document.unit)]];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      table.Add(ExpertsOf(from, row)[0], ExpertsOf(to, row));
    }
  }
  for (TransitionTable& table : tables) table.Choose(n);
  return tables;
}

// Lookups of one data set by their depth in the LRU stack; the last place: not in any cache.
struct DepthCounts {
  std::vector<int64_t> all, fetched, popular;  // [n_experts + 1]
};

DepthCounts CountDepths(const RowColumns& rows, const DatasetInfo& dataset,
                        const LayerColumns& from, const LayerColumns& to, const Halves& halves,
                        const std::array<TransitionTable, 2>& tables) {
  const size_t n_experts = static_cast<size_t>(to.n_experts);
  DepthCounts counts;
  for (auto* list : {&counts.all, &counts.fetched, &counts.popular}) list->resize(n_experts + 1);
  routing::CacheStack stack(std::make_unique<routing::LruOrder>(to.n_experts));
  std::vector<int32_t> experts, depth(static_cast<size_t>(to.experts_per_token));
  for (int32_t d : dataset.documents) {
    ThrowIfCancelled();
    const DocumentRange& document = rows.documents[static_cast<size_t>(d)];
    const auto& table = tables[1 - halves.measured[static_cast<size_t>(document.unit)]];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const auto chosen = ExpertsOf(to, row);
      experts.clear();
      for (size_t slot = 0; slot < chosen.size(); ++slot) {
        if (chosen[slot] < 0 || RepeatsEarlierSlot(chosen.data(), static_cast<int>(slot))) continue;
        experts.push_back(chosen[slot]);
      }
      stack.Touch(experts, depth);
      const int16_t first = ExpertsOf(from, row)[0];
      for (size_t i = 0; i < experts.size(); ++i) {
        const size_t at = depth[i] < 0 ? n_experts : static_cast<size_t>(depth[i]);
        ++counts.all[at];
        counts.fetched[at] += table.Fetches(first, experts[i]);
        counts.popular[at] += table.IsPopular(experts[i]);
      }
    }
  }
  return counts;
}

int64_t SumOf(const std::vector<int64_t>& counts, int first, size_t end) {
  return std::accumulate(counts.begin() + first, counts.begin() + static_cast<int64_t>(end),
                         int64_t{0});
}

}  // namespace

std::vector<PrefetchCell> SimulatePrefetch(const RowColumns& rows, const LayerColumns& from,
                                           const LayerColumns& to, const PrefetchOptions& options) {
  const Halves halves = SplitInHalves(rows, options.seed);
  const auto tables = Learn(rows, from, to, halves, options.n_prefetched);
  std::vector<PrefetchCell> cells;
  for (const DatasetInfo& dataset : rows.datasets) {
    const DepthCounts counts = CountDepths(rows, dataset, from, to, halves, tables);
    const size_t end = counts.all.size();
    const auto lookups = SumOf(counts.all, 0, end);
    const auto share = [&](int64_t part) {
      return lookups > 0 ? static_cast<double>(part) / static_cast<double>(lookups) : std::nan("");
    };
    for (int size : options.sizes) {
      PrefetchCell& cell = cells.emplace_back();
      cell.dataset = dataset.name;
      cell.from_layer = from.layer;
      cell.layer = to.layer;
      cell.size = size;
      cell.n_prefetched = options.n_prefetched;
      cell.lookups = lookups;
      const int64_t hits = SumOf(counts.all, 0, static_cast<size_t>(size));
      cell.lru_hit = share(hits);
      if (!halves.is_split) {
        cell.recall = cell.recall_popular = cell.hit = cell.hit_popular = std::nan("");
        continue;
      }
      cell.recall = share(SumOf(counts.fetched, 0, end));
      cell.recall_popular = share(SumOf(counts.popular, 0, end));
      cell.hit = share(hits + SumOf(counts.fetched, size, end));
      cell.hit_popular = share(hits + SumOf(counts.popular, size, end));
    }
  }
  return cells;
}

}  // namespace moescope::study
