// Caches of experts on a stored run: how many lookups of each policy hit, beside the same decisions
// in shuffled order and Belady's bound.
// Source: Eliseev and Mazur, arXiv 2312.17238. Definitions: docs/simulate.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "routing/eviction_order.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

enum class CacheBudget { kLayer, kGlobal };     // a cache a layer, or one for all
enum class CacheOrder { kStream, kSequences };  // carried over sequences, or emptied at each

struct CacheOptions {
  std::vector<routing::EvictionRule> rules;
  std::vector<int> sizes;  // experts; increasing
  CacheBudget budget = CacheBudget::kLayer;
  CacheOrder order = CacheOrder::kStream;
  BootstrapOptions bootstrap;  // its seed also draws the shuffle and the random policy
};

inline constexpr int kAllLayers = -1;

// One policy and size on one data set, which starts with an empty cache. Ratios are of lookups; NaN
// without any.
struct CacheCell {
  std::string dataset;
  int layer = kAllLayers;
  routing::EvictionRule rule = routing::EvictionRule::kLru;
  int size = 0;
  int64_t lookups = 0;
  int64_t hits = 0;
  int64_t cold_misses = 0;  // first uses, which no demand policy can hit
  double hit = 0;
  double warm_hit = 0;  // hits of lookups that are not first uses
  double shuffled = 0;  // hit ratio of the null: decisions in random order within their sequences
  double belady = 0;    // the most hits any demand policy can have
  int64_t n_units = 0;
  std::optional<Interval> interval;  // of `hit`
  std::string why_no_interval;
};

// "lru,lfu" or "all". Throws Error(kBadInput) naming the policy that is not there.
std::vector<routing::EvictionRule> ParsePolicies(const std::string& text);
// "1-8" or "1,2,4"; "": 1 to 16 one by one, from there in steps that double, up to `n_experts`.
// Increasing. Throws Error(kBadInput) naming a size that is not in 1..n_experts.
std::vector<int> ParseCacheSizes(const std::string& text, int n_experts);

// How many experts the pinned policy keeps for good in a cache of `size`: half of them, as long as
// a row's experts still fit beside them.
int NumberOfPinned(int size, int experts_per_token);

// Data set by data set, policy by policy, size by size, of one layer; of all `layers` together
// where they share a cache. The same for any number of threads.
// Requires: layers not empty, sizes up to the experts of `layers` together.
std::vector<CacheCell> SimulateCaches(const RowColumns& rows, std::span<const LayerColumns> layers,
                                      const CacheOptions& options, ThreadPool& pool);

}  // namespace moescope::study
