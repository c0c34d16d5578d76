#include "study/simulate/cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/cancellation.h"
#include "base/random.h"
#include "routing/cache_policy.h"
#include "study/simulate/expert_stream.h"

namespace moescope::study {
namespace {

using routing::EvictionOrder;
using routing::EvictionRule;

constexpr int64_t kRowsBetweenChecks = 1 << 16;  // of Ctrl-C: a few milliseconds

// A stream with what its policies need to know about it.
struct Workload {
  ExpertStream stream;
  std::vector<int32_t> next_uses;
  std::vector<int32_t> by_use;  // experts, most used first
};

Workload MakeWorkload(const RowColumns& rows, const DatasetInfo& dataset,
                      std::span<const LayerColumns> layers, std::optional<uint64_t> shuffle_key,
                      bool restarts) {
  Workload workload;
  workload.stream = MakeExpertStream(rows, dataset, layers, shuffle_key);
  workload.next_uses = NextUses(workload.stream, restarts);
  std::vector<int64_t> uses(static_cast<size_t>(workload.stream.n_experts));
  for (int32_t expert : workload.stream.experts) {
    if (expert >= 0) ++uses[static_cast<size_t>(expert)];
  }
  workload.by_use.resize(uses.size());
  std::iota(workload.by_use.begin(), workload.by_use.end(), 0);
  std::stable_sort(workload.by_use.begin(), workload.by_use.end(), [&](int32_t a, int32_t b) {
    return uses[static_cast<size_t>(a)] > uses[static_cast<size_t>(b)];
  });
  return workload;
}

// The order of one policy from a sequence on; `size` matters to pinned + LRU only.
std::unique_ptr<EvictionOrder> MakeOrder(EvictionRule rule, const Workload& workload,
                                         const StreamSequence& sequence, int size, uint64_t seed) {
  const ExpertStream& stream = workload.stream;
  switch (rule) {
    case EvictionRule::kLru:
      return std::make_unique<routing::LruOrder>(stream.n_experts);
    case EvictionRule::kLfu:
      return std::make_unique<routing::LfuOrder>(stream.n_experts);
    case EvictionRule::kFifo:
      return std::make_unique<routing::FifoOrder>(stream.n_experts);
    case EvictionRule::kRandom:
      return std::make_unique<routing::RandomOrder>(
          stream.n_experts, Combine(seed, static_cast<uint64_t>(sequence.first_row)));
    case EvictionRule::kBelady:
      return std::make_unique<routing::BeladyOrder>(
          stream.n_experts,
          std::span(workload.next_uses).subspan(static_cast<size_t>(sequence.first_lookup)));
    case EvictionRule::kPinnedLru: {
      const int n_pinned = NumberOfPinned(size, stream.experts_per_token);
      return std::make_unique<routing::PinnedLruOrder>(
          stream.n_experts, std::span(workload.by_use).first(static_cast<size_t>(n_pinned)));
    }
  }
  return nullptr;
}

// Calls on_sequence(sequence) before each one, on_row(row, unit) for each row.
template <typename OnSequence, typename OnRow>
void ForEachStreamRow(const ExpertStream& stream, OnSequence on_sequence, OnRow on_row) {
  int64_t until_check = 0;
  for (const StreamSequence& sequence : stream.sequences) {
    on_sequence(sequence);
    for (int64_t row = sequence.first_row; row < sequence.first_row + sequence.n_rows; ++row) {
      if (--until_check < 0) {
        ThrowIfCancelled();
        until_check = kRowsBetweenChecks;
      }
      on_row(stream.Row(row), sequence.unit);
    }
  }
}

// Hits of one policy in one stream, for some of the sizes.
struct Task {
  const Workload* workload = nullptr;
  EvictionRule rule = EvictionRule::kLru;
  size_t first_size = 0, n_sizes = 0;    // of CacheOptions::sizes
  std::vector<int64_t>* hits = nullptr;  // [n_units, sizes]
};

// All sizes of the task in one pass: a lookup at depth d hits in the caches larger than d.
void RunStack(const Task& task, const CacheOptions& options) {
  const ExpertStream& stream = task.workload->stream;
  const size_t n_depths = static_cast<size_t>(stream.n_experts);
  std::vector<int64_t> at_depth(static_cast<size_t>(stream.n_units) * n_depths);
  std::vector<int32_t> depth(static_cast<size_t>(stream.experts_per_token));
  std::optional<routing::CacheStack> stack;
  ForEachStreamRow(
      stream,
      [&](const StreamSequence& sequence) {
        if (stack && options.order == CacheOrder::kStream) return;
        stack.emplace(MakeOrder(task.rule, *task.workload, sequence, options.sizes[task.first_size],
                                options.bootstrap.seed));
      },
      [&](std::span<const int32_t> experts, int32_t unit) {
        stack->Touch(experts, depth);
        int64_t* counts = at_depth.data() + static_cast<size_t>(unit) * n_depths;
        for (size_t i = 0; i < experts.size(); ++i) {
          if (depth[i] >= 0) ++counts[depth[i]];
        }
      });
  const size_t n_sizes = options.sizes.size();
  for (size_t unit = 0; unit < static_cast<size_t>(stream.n_units); ++unit) {
    const auto counts = at_depth.begin() + static_cast<int64_t>(unit * n_depths);
    for (size_t s = task.first_size; s < task.first_size + task.n_sizes; ++s) {
      (*task.hits)[unit * n_sizes + s] =
          std::accumulate(counts, counts + options.sizes[s], int64_t{0});
    }
  }
}

void RunOneSize(const Task& task, const CacheOptions& options) {
  const int size = options.sizes[task.first_size];
  const size_t n_sizes = options.sizes.size();
  std::optional<routing::CachePolicy> cache;
  ForEachStreamRow(
      task.workload->stream,
      [&](const StreamSequence& sequence) {
        if (cache && options.order == CacheOrder::kStream) return;
        cache.emplace(size,
                      MakeOrder(task.rule, *task.workload, sequence, size, options.bootstrap.seed));
      },
      [&](std::span<const int32_t> experts, int32_t unit) {
        (*task.hits)[static_cast<size_t>(unit) * n_sizes + task.first_size] +=
            cache->Touch(experts);
      });
}

// Lookups and first uses of each unit.
struct UnitLookups {
  std::vector<int64_t> lookups, cold;  // [n_units]
};

UnitLookups CountLookups(const ExpertStream& stream, bool restarts) {
  UnitLookups units;
  units.lookups.resize(static_cast<size_t>(stream.n_units));
  units.cold.resize(static_cast<size_t>(stream.n_units));
  std::vector<uint8_t> used(static_cast<size_t>(stream.n_experts));
  ForEachStreamRow(
      stream,
      [&](const StreamSequence&) {
        if (restarts) std::fill(used.begin(), used.end(), uint8_t{0});
      },
      [&](std::span<const int32_t> experts, int32_t unit) {
        units.lookups[static_cast<size_t>(unit)] += static_cast<int64_t>(experts.size());
        for (int32_t expert : experts) {
          units.cold[static_cast<size_t>(unit)] += used[static_cast<size_t>(expert)] == 0;
          used[static_cast<size_t>(expert)] = 1;
        }
      });
  return units;
}

double RatioOf(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : std::nan("");
}

// Hits of every policy on one data set, observed and shuffled.
struct RuleHits {
  EvictionRule rule = EvictionRule::kLru;
  std::vector<int64_t> observed, shuffled;  // [n_units, n_sizes]
};

int64_t SumOfSize(const std::vector<int64_t>& hits, size_t size, size_t n_sizes) {
  int64_t sum = 0;
  for (size_t at = size; at < hits.size(); at += n_sizes) sum += hits[at];
  return sum;
}

std::vector<Interval> HitIntervals(const RuleHits& hits, const UnitLookups& units, uint64_t key,
                                   const CacheOptions& options, ThreadPool& pool) {
  const size_t n_sizes = options.sizes.size(), n_columns = n_sizes + 1;
  std::vector<double> sums(units.lookups.size() * n_columns);
  std::vector<Ratio> ratios;
  for (size_t s = 0; s < n_sizes; ++s) {
    ratios.push_back({static_cast<int>(s), static_cast<int>(n_sizes)});
  }
  for (size_t unit = 0; unit < units.lookups.size(); ++unit) {
    double* row = sums.data() + unit * n_columns;
    for (size_t s = 0; s < n_sizes; ++s) {
      row[s] = static_cast<double>(hits.observed[unit * n_sizes + s]);
    }
    row[n_sizes] = static_cast<double>(units.lookups[unit]);
  }
  return BootstrapRatios(sums, static_cast<int>(n_columns), ratios, key, options.bootstrap, pool);
}

// How many sizes from the first-th on one pass gives: pinned + LRU as long as as many are pinned.
size_t SizesTogether(EvictionRule rule, size_t first, std::span<const int> sizes, int n_slots) {
  if (!routing::IsStackRule(rule)) return 1;
  if (rule != EvictionRule::kPinnedLru) return sizes.size() - first;
  const int n_pinned = NumberOfPinned(sizes[first], n_slots);
  size_t end = first + 1;
  while (end < sizes.size() && NumberOfPinned(sizes[end], n_slots) == n_pinned) ++end;
  return end - first;
}

std::vector<RuleHits> RunRules(const Workload& observed, const Workload& shuffled,
                               const std::vector<EvictionRule>& rules, const CacheOptions& options,
                               ThreadPool& pool) {
  const size_t n_sizes = options.sizes.size();
  const int n_slots = observed.stream.experts_per_token;
  const size_t n_hits = static_cast<size_t>(observed.stream.n_units) * n_sizes;
  std::vector<RuleHits> hits;
  for (EvictionRule rule : rules) {
    hits.push_back({rule, std::vector<int64_t>(n_hits), std::vector<int64_t>(n_hits)});
  }
  std::vector<Task> tasks;
  for (RuleHits& of_rule : hits) {
    for (size_t s = 0; s < n_sizes;) {
      const size_t n = SizesTogether(of_rule.rule, s, options.sizes, n_slots);
      tasks.push_back({&observed, of_rule.rule, s, n, &of_rule.observed});
      tasks.push_back({&shuffled, of_rule.rule, s, n, &of_rule.shuffled});
      s += n;
    }
  }
  // Tasks of one policy write different places of its list.
  pool.Run(static_cast<int64_t>(tasks.size()), [&](int64_t t, int) {
    const Task& task = tasks[static_cast<size_t>(t)];
    routing::IsStackRule(task.rule) ? RunStack(task, options) : RunOneSize(task, options);
  });
  return hits;
}

}  // namespace

int NumberOfPinned(int size, int experts_per_token) {
  return std::clamp(size - experts_per_token, 0, size / 2);
}

std::vector<CacheCell> SimulateCaches(const RowColumns& rows, std::span<const LayerColumns> layers,
                                      const CacheOptions& options, ThreadPool& pool) {
  const bool restarts = options.order == CacheOrder::kSequences;
  std::vector<EvictionRule> rules = options.rules;
  const auto bound = std::find(rules.begin(), rules.end(), EvictionRule::kBelady);
  const size_t belady = static_cast<size_t>(bound - rules.begin());
  if (bound == rules.end()) rules.push_back(EvictionRule::kBelady);
  const size_t n_sizes = options.sizes.size();
  std::vector<CacheCell> cells;
  for (const DatasetInfo& dataset : rows.datasets) {
    const uint64_t key = Combine(options.bootstrap.seed, KeyOfName(dataset.name));
    const Workload observed = MakeWorkload(rows, dataset, layers, std::nullopt, restarts);
    const Workload shuffled = MakeWorkload(rows, dataset, layers, Combine(key, 1), restarts);
    const UnitLookups units = CountLookups(observed.stream, restarts);
    const auto hits = RunRules(observed, shuffled, rules, options, pool);
    CacheCell cell;
    cell.dataset = dataset.name;
    cell.layer = options.budget == CacheBudget::kGlobal ? kAllLayers : layers.front().layer;
    cell.n_units = static_cast<int64_t>(dataset.units.size());
    cell.why_no_interval = WhyNoInterval(cell.n_units, dataset.unit_by);
    cell.lookups = std::accumulate(units.lookups.begin(), units.lookups.end(), int64_t{0});
    cell.cold_misses = std::accumulate(units.cold.begin(), units.cold.end(), int64_t{0});
    for (size_t r = 0; r < options.rules.size(); ++r) {
      std::vector<Interval> intervals;
      if (cell.why_no_interval.empty() && options.bootstrap.n_samples > 0) {
        intervals = HitIntervals(hits[r], units, key, options, pool);
      }
      for (size_t s = 0; s < n_sizes; ++s) {
        cell.rule = options.rules[r];
        cell.size = options.sizes[s];
        cell.hits = SumOfSize(hits[r].observed, s, n_sizes);
        cell.hit = RatioOf(cell.hits, cell.lookups);
        cell.warm_hit = RatioOf(cell.hits, cell.lookups - cell.cold_misses);
        cell.shuffled = RatioOf(SumOfSize(hits[r].shuffled, s, n_sizes), cell.lookups);
        cell.belady = RatioOf(SumOfSize(hits[belady].observed, s, n_sizes), cell.lookups);
        cell.interval = intervals.empty() ? std::nullopt : std::optional(intervals[s]);
        cells.push_back(cell);
      }
    }
  }
  return cells;
}

}  // namespace moescope::study
