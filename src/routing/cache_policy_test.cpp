#include "routing/cache_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <set>

#include "base/random.h"

namespace moescope::routing {
namespace {

using Rows = std::vector<std::vector<int32_t>>;

Rows RandomRows(int n_rows, int n_experts, int n_chosen, uint64_t seed) {
  Random random(seed);
  Rows rows(static_cast<size_t>(n_rows));
  for (auto& row : rows) {
    while (static_cast<int>(row.size()) < n_chosen) {
      // The product of two draws: low experts are more popular.
      const int32_t expert = static_cast<int32_t>(random.Uniform() * random.Uniform() * n_experts);
      if (std::find(row.begin(), row.end(), expert) == row.end()) row.push_back(expert);
    }
  }
  return rows;
}

std::vector<int32_t> NextUse(const Rows& rows) {
  std::vector<int32_t> lookups, next;
  for (const auto& row : rows) lookups.insert(lookups.end(), row.begin(), row.end());
  for (size_t i = 0; i < lookups.size(); ++i) {
    const auto at =
        std::find(lookups.begin() + static_cast<int64_t>(i) + 1, lookups.end(), lookups[i]);
    next.push_back(at == lookups.end() ? BeladyOrder::kNever
                                       : static_cast<int32_t>(at - lookups.begin()));
  }
  return next;
}

std::unique_ptr<EvictionOrder> MakeOrder(EvictionRule rule, int n_experts,
                                         const std::vector<int32_t>& next_use, int n_pinned = 0) {
  std::vector<int32_t> pinned;
  for (int32_t expert = 0; expert < n_pinned; ++expert) pinned.push_back(expert);
  switch (rule) {
    case EvictionRule::kLru:
      return std::make_unique<LruOrder>(n_experts);
    case EvictionRule::kLfu:
      return std::make_unique<LfuOrder>(n_experts);
    case EvictionRule::kFifo:
      return std::make_unique<FifoOrder>(n_experts);
    case EvictionRule::kRandom:
      return std::make_unique<RandomOrder>(n_experts, 7);
    case EvictionRule::kBelady:
      return std::make_unique<BeladyOrder>(n_experts, next_use);
    case EvictionRule::kPinnedLru:
      return std::make_unique<PinnedLruOrder>(n_experts, pinned);
  }
  return nullptr;
}

int Hits(const Rows& rows, int capacity, std::unique_ptr<EvictionOrder> order) {
  CachePolicy cache(capacity, std::move(order));
  int hits = 0;
  for (const auto& row : rows) hits += cache.Touch(row);
  return hits;
}

std::set<int32_t> Resident(const CachePolicy& cache) {
  return {cache.resident().begin(), cache.resident().end()};
}

// The most hits any demand policy reaches: dynamic programming over all sets that may be resident.
int MostHits(const Rows& rows, int n_experts, int capacity) {
  std::map<uint32_t, int> best = {{0, 0}};
  for (const auto& row : rows) {
    uint32_t chosen = 0;
    for (int32_t expert : row) chosen |= 1u << expert;
    std::map<uint32_t, int> next;
    for (const auto& [held, hits] : best) {
      const int now = hits + std::popcount(held & chosen);
      const uint32_t all = held | chosen;
      for (uint32_t kept = 0; kept < 1u << n_experts; ++kept) {
        const bool keeps_row =
            std::popcount(chosen) > capacity ? (kept & ~chosen) == 0 : (chosen & ~kept) == 0;
        if ((kept & ~all) != 0 || !keeps_row || std::popcount(kept) > capacity) continue;
        int& place = next.try_emplace(kept, -1).first->second;
        place = std::max(place, now);
      }
    }
    best = std::move(next);
  }
  int most = 0;
  for (const auto& [held, hits] : best) most = std::max(most, hits);
  return most;
}

TEST(CachePolicy, LruKeepsTheLastUsedAndReportsWhatLeaves) {
  CachePolicy cache(3, std::make_unique<LruOrder>(6));
  EXPECT_EQ(cache.Touch(std::vector<int32_t>{0, 1}), 0);
  EXPECT_EQ(cache.Touch(std::vector<int32_t>{2, 0}), 1);
  EXPECT_EQ(Resident(cache), (std::set<int32_t>{0, 1, 2}));
  EXPECT_TRUE(cache.evicted().empty());
  EXPECT_EQ(cache.Touch(std::vector<int32_t>{3, 2}), 1);  // 1 was used longest ago
  EXPECT_EQ(cache.evicted().size(), 1u);
  EXPECT_EQ(cache.evicted()[0], 1);
  EXPECT_EQ(cache.admitted()[0], 3);
  EXPECT_EQ(cache.Touch(std::vector<int32_t>{4, 5}), 0);  // then 0 and, of {3, 2}, the first choice
  EXPECT_EQ(Resident(cache), (std::set<int32_t>{2, 4, 5}));
  EXPECT_FALSE(cache.IsResident(3));
}

TEST(CachePolicy, ARowsOwnExpertsLeaveOnlyWhereTheRowAloneIsTooLarge) {
  // First in, first out would give up 0, which the row uses.
  CachePolicy fifo(2, std::make_unique<FifoOrder>(3));
  fifo.Touch(std::vector<int32_t>{0, 1});
  EXPECT_EQ(fifo.Touch(std::vector<int32_t>{2, 0}), 1);
  EXPECT_EQ(Resident(fifo), (std::set<int32_t>{0, 2}));
  CachePolicy one(1, std::make_unique<LruOrder>(3));
  EXPECT_EQ(one.Touch(std::vector<int32_t>{0, 1}), 0);
  EXPECT_EQ(Resident(one), (std::set<int32_t>{1}));
  EXPECT_EQ(one.Touch(std::vector<int32_t>{1, 2}), 1);
  EXPECT_EQ(Resident(one), (std::set<int32_t>{2}));
}

TEST(CachePolicy, LfuCountsUsesOutsideTheCacheAndGivesUpTheHigherOfEquals) {
  CachePolicy cache(2, std::make_unique<LfuOrder>(4));
  for (int32_t expert : {3, 3, 0, 1}) cache.Touch(std::vector<int32_t>{expert});
  EXPECT_EQ(Resident(cache), (std::set<int32_t>{1, 3}));  // 0 went: 1 was the row's own
  cache.Touch(std::vector<int32_t>{0});                   // its second use: 1 goes, used once
  cache.Touch(std::vector<int32_t>{2});                   // of 0 and 3, used twice, 3 goes
  EXPECT_EQ(Resident(cache), (std::set<int32_t>{0, 2}));
}

TEST(CachePolicy, PinnedExpertsStayOnceTheyCame) {
  CachePolicy cache(2, std::make_unique<PinnedLruOrder>(4, std::vector<int32_t>{0}));
  EXPECT_EQ(cache.Touch(std::vector<int32_t>{1}), 0);
  EXPECT_EQ(cache.Touch(std::vector<int32_t>{0}), 0);  // on demand: the first use misses
  for (int32_t expert : {1, 2, 3, 1, 2}) cache.Touch(std::vector<int32_t>{expert});
  EXPECT_TRUE(cache.IsResident(0));
  EXPECT_EQ(cache.Touch(std::vector<int32_t>{0}), 1);
}

TEST(CachePolicy, RandomEvictionChoosesAllCandidatesAlike) {
  int evicted[4] = {};
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    CachePolicy cache(4, std::make_unique<RandomOrder>(5, seed));
    for (int32_t expert : {0, 1, 2, 3, 4}) cache.Touch(std::vector<int32_t>{expert});
    ++evicted[cache.evicted()[0]];
  }
  // Four standard errors of a share of a quarter.
  for (int count : evicted) EXPECT_NEAR(count, 1000, 4 * 27.4);
}

TEST(CachePolicy, BeladyHasTheMostHitsThatAnyPolicyCanHave) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (int n_chosen : {1, 2, 3}) {
      const Rows rows = RandomRows(14, 5, n_chosen, seed);
      const auto next_use = NextUse(rows);
      for (int capacity = 1; capacity <= 5; ++capacity) {
        EXPECT_EQ(Hits(rows, capacity, MakeOrder(EvictionRule::kBelady, 5, next_use)),
                  MostHits(rows, 5, capacity))
            << "seed " << seed << ", " << n_chosen << " of 5, capacity " << capacity;
      }
    }
  }
}

TEST(CachePolicy, NoDemandPolicyBeatsBelady) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Rows rows = RandomRows(300, 8, 2, seed);
    const auto next_use = NextUse(rows);
    for (int capacity = 1; capacity <= 8; ++capacity) {
      const int bound = Hits(rows, capacity, MakeOrder(EvictionRule::kBelady, 8, next_use));
      for (EvictionRule rule : AllEvictionRules()) {
        const int n_pinned = std::min(capacity / 2, std::max(0, capacity - 2));
        EXPECT_LE(Hits(rows, capacity, MakeOrder(rule, 8, next_use, n_pinned)), bound)
            << NameOf(rule) << " " << capacity;
      }
    }
  }
}

TEST(CachePolicy, AFullSizedCacheMissesOnlyFirstUses) {
  const Rows rows = RandomRows(200, 8, 2, 3);
  const auto next_use = NextUse(rows);
  std::set<int32_t> used;
  for (const auto& row : rows) used.insert(row.begin(), row.end());
  for (EvictionRule rule : AllEvictionRules()) {
    EXPECT_EQ(Hits(rows, 8, MakeOrder(rule, 8, next_use, 4)), 400 - static_cast<int>(used.size()))
        << NameOf(rule);
  }
}

// The stack against the policy objects, size by size, row by row.
TEST(CacheStack, HoldsEveryCacheOfAStackRule) {
  for (EvictionRule rule : AllEvictionRules()) {
    if (!IsStackRule(rule)) continue;
    for (int n_chosen : {1, 2, 3, 6}) {
      const int n_experts = 11;
      const Rows rows = RandomRows(400, n_experts, n_chosen, static_cast<uint64_t>(n_chosen));
      const auto next_use = NextUse(rows);
      CacheStack stack(MakeOrder(rule, n_experts, next_use, 3));
      std::vector<CachePolicy> caches;
      for (int capacity = 1; capacity <= n_experts; ++capacity) {
        caches.emplace_back(capacity, MakeOrder(rule, n_experts, next_use, 3));
      }
      std::vector<int32_t> depth(static_cast<size_t>(n_chosen));
      for (size_t r = 0; r < rows.size(); ++r) {
        stack.Touch(rows[r], depth);
        for (CachePolicy& cache : caches) {
          const auto is_hit = [&](int32_t d) { return d >= 0 && d < cache.capacity(); };
          const auto hits = std::count_if(depth.begin(), depth.end(), is_hit);
          ASSERT_EQ(cache.Touch(rows[r]), hits)
              << NameOf(rule) << ", " << n_chosen << " chosen, row " << r << ", capacity "
              << cache.capacity();
        }
      }
    }
  }
}

TEST(EvictionRule, NamesAreReadBack) {
  for (EvictionRule rule : AllEvictionRules()) EXPECT_EQ(EvictionRuleNamed(NameOf(rule)), rule);
  EXPECT_FALSE(EvictionRuleNamed("mru").has_value());
}

}  // namespace
}  // namespace moescope::routing
