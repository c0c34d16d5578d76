#include "study/simulate/cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "routing/cache_policy.h"
#include "store/import_esft.h"
#include "store/test_directory.h"
#include "study/analysis/locality.h"
#include "study/analysis/planted_routes.h"
#include "study/simulate/expert_stream.h"
#include "study/simulate/prefetch.h"

namespace moescope::study {
namespace {

using routing::EvictionRule;

CacheOptions AllPolicies(std::vector<int> sizes) {
  CacheOptions options;
  options.rules = ParsePolicies("all");
  options.sizes = std::move(sizes);
  options.bootstrap.n_samples = 0;
  return options;
}

PlantedRoutes Sticky(int64_t n_documents = 20) {
  PlantedText text;
  text.n_documents = n_documents;
  return PlantRoutes(text, {0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05}, 0.3);
}

// A run of one sequence a document, rows as given: [first, second] experts of 4.
PlantedRoutes ByHand(const std::vector<std::vector<std::vector<int16_t>>>& documents) {
  PlantedRoutes routes;
  RowColumnsBuilder builder;
  routes.layer.n_experts = 4;
  routes.layer.experts_per_token = 2;
  for (size_t d = 0; d < documents.size(); ++d) {
    builder.BeginDocument(static_cast<int64_t>(d), "hand", std::to_string(d));
    builder.BeginSequence();
    for (const auto& row : documents[d]) {
      builder.AddRow(0, 0, false);
      routes.layer.experts.insert(routes.layer.experts.end(), row.begin(), row.end());
    }
  }
  routes.rows = builder.Finish();
  return routes;
}

std::map<std::pair<EvictionRule, int>, CacheCell> ByRuleAndSize(
    const std::vector<CacheCell>& cells) {
  std::map<std::pair<EvictionRule, int>, CacheCell> index;
  for (const CacheCell& cell : cells) index[{cell.rule, cell.size}] = cell;
  return index;
}

TEST(SimulateCaches, CountsHitsAndFirstUsesByHand) {
  // {0,1}: cold, cold. {1,2}: hit, cold. A second document: {2,1}: hits. {0,3}: 0 went, 3 is new.
  const PlantedRoutes routes = ByHand({{{0, 1}, {1, 2}}, {{2, 1}, {0, 3}}});
  ThreadPool pool(1);
  CacheOptions options = AllPolicies({2});
  options.rules = {EvictionRule::kLru};
  const CacheCell carried = SimulateCaches(routes.rows, {&routes.layer, 1}, options, pool)[0];
  EXPECT_EQ(carried.lookups, 8);
  EXPECT_EQ(carried.hits, 3);
  EXPECT_EQ(carried.cold_misses, 4);
  EXPECT_DOUBLE_EQ(carried.hit, 3.0 / 8);
  EXPECT_DOUBLE_EQ(carried.warm_hit, 3.0 / 4);
  options.order = CacheOrder::kSequences;
  const CacheCell emptied = SimulateCaches(routes.rows, {&routes.layer, 1}, options, pool)[0];
  EXPECT_EQ(emptied.hits, 1);
  EXPECT_EQ(emptied.cold_misses, 7);
}

TEST(SimulateCaches, DroppedSlotsAndRepeatedExpertsAreNotLookedUp) {
  const PlantedRoutes routes = ByHand({{{0, -1}, {-1, 0}, {1, 1}, {-1, -1}}});
  ThreadPool pool(1);
  CacheOptions options = AllPolicies({4});
  options.rules = {EvictionRule::kLru};
  const CacheCell cell = SimulateCaches(routes.rows, {&routes.layer, 1}, options, pool)[0];
  EXPECT_EQ(cell.lookups, 3);
  EXPECT_EQ(cell.hits, 1);
}

TEST(SimulateCaches, LruOfKExpertsHitsTheOverlapOfConsecutiveRows) {
  const PlantedRoutes routes = Sticky();
  const auto& experts = routes.layer.experts;
  int64_t overlap = 0;
  const int64_t n = routes.rows.n_rows();
  for (int64_t row = 0; row + 1 < n; ++row) {
    for (int64_t a = 2 * row; a < 2 * row + 2; ++a) {
      overlap += experts[a] == experts[2 * row + 2] || experts[a] == experts[2 * row + 3];
    }
  }
  ThreadPool pool(2);
  CacheOptions options = AllPolicies({2});
  for (EvictionRule rule : routing::AllEvictionRules()) {
    options.rules = {rule};  // with K places every policy keeps the last row, whatever its order
    const CacheCell cell = SimulateCaches(routes.rows, {&routes.layer, 1}, options, pool)[0];
    EXPECT_EQ(cell.hits, overlap) << routing::NameOf(rule);
    EXPECT_EQ(cell.lookups, 2 * n);
  }
}

TEST(SimulateCaches, BeladyIsABoundStackPoliciesGrowAndAFullCacheOnlyMissesFirstUses) {
  const PlantedRoutes routes = Sticky();
  ThreadPool pool(2);
  for (CacheOrder order : {CacheOrder::kStream, CacheOrder::kSequences}) {
    CacheOptions options = AllPolicies(ParseCacheSizes("", 8));
    options.order = order;
    const auto cells =
        ByRuleAndSize(SimulateCaches(routes.rows, {&routes.layer, 1}, options, pool));
    ASSERT_EQ(cells.size(), 6u * 8u);
    for (const auto& [place, cell] : cells) {
      const auto [rule, size] = place;
      EXPECT_LE(cell.hit, cell.belady) << routing::NameOf(rule) << " " << size;
      if (rule == EvictionRule::kBelady) {
        EXPECT_EQ(cell.hit, cell.belady);
      }
      if (size == 8) {
        EXPECT_EQ(cell.hits, cell.lookups - cell.cold_misses);
        EXPECT_DOUBLE_EQ(cell.warm_hit, 1);
      }
      if (size > 1 && routing::IsStackRule(rule) && rule != EvictionRule::kPinnedLru) {
        EXPECT_GE(cell.hits, cells.at({rule, size - 1}).hits) << routing::NameOf(rule);
      }
    }
  }
}

TEST(SimulateCaches, AgreesWithTheHitsOfLocalityAndWithAnyNumberOfThreads) {
  const PlantedRoutes routes = Sticky();
  ThreadPool one(1), three(3);
  const CacheOptions options = AllPolicies({1, 2, 3, 5, 8});
  const auto cells = SimulateCaches(routes.rows, {&routes.layer, 1}, options, one);
  const auto again = SimulateCaches(routes.rows, {&routes.layer, 1}, options, three);
  const auto locality = ComputeLocality(routes.rows, routes.layer, options.sizes)[0];
  for (size_t i = 0; i < cells.size(); ++i) {
    EXPECT_EQ(cells[i].hits, again[i].hits);
    EXPECT_EQ(cells[i].shuffled, again[i].shuffled);
    if (cells[i].rule == EvictionRule::kLru) {
      EXPECT_EQ(cells[i].hit, locality.lru_hit[i]);
    }
  }
}

// One pass for several sizes against the policy object an engine would use, size by size.
TEST(SimulateCaches, GivesTheHitsOfThePolicyObjects) {
  const PlantedRoutes routes = Sticky();
  ThreadPool pool(2);
  CacheOptions options = AllPolicies({1, 2, 3, 4, 5, 6, 7, 8});
  const auto cells = ByRuleAndSize(SimulateCaches(routes.rows, {&routes.layer, 1}, options, pool));
  const ExpertStream stream =
      MakeExpertStream(routes.rows, routes.rows.datasets[0], {&routes.layer, 1}, std::nullopt);
  std::vector<int64_t> uses(8);
  for (int16_t expert : routes.layer.experts) ++uses[expert];
  std::vector<int32_t> by_use = {0, 1, 2, 3, 4, 5, 6, 7};
  std::stable_sort(by_use.begin(), by_use.end(),
                   [&](int32_t a, int32_t b) { return uses[a] > uses[b]; });
  for (int size = 1; size <= 8; ++size) {
    const auto pinned = std::span(by_use).first(NumberOfPinned(size, 2));
    routing::CachePolicy fifo(size, std::make_unique<routing::FifoOrder>(8));
    routing::CachePolicy lru(size, std::make_unique<routing::PinnedLruOrder>(8, pinned));
    int64_t fifo_hits = 0, pinned_hits = 0;
    for (int64_t row = 0; row < routes.rows.n_rows(); ++row) {
      fifo_hits += fifo.Touch(stream.Row(row));
      pinned_hits += lru.Touch(stream.Row(row));
    }
    EXPECT_EQ(cells.at({EvictionRule::kFifo, size}).hits, fifo_hits);
    EXPECT_EQ(cells.at({EvictionRule::kPinnedLru, size}).hits, pinned_hits);
  }
}

TEST(SimulateCaches, ShufflingTakesTheHitsOfStickyRoutesAndLeavesThoseOfIndependentOnes) {
  ThreadPool pool(2);
  CacheOptions options = AllPolicies({2});
  options.rules = {EvictionRule::kLru};
  PlantedText text;
  text.n_documents = 200;
  const std::vector<double> even(8, 0.125);
  const PlantedRoutes sticky = PlantRoutes(text, even, 0.5), free = PlantRoutes(text, even, 0);
  const auto a = SimulateCaches(sticky.rows, {&sticky.layer, 1}, options, pool)[0];
  const auto b = SimulateCaches(free.rows, {&free.layer, 1}, options, pool)[0];
  // Independent sets of 2 of 8 share half an expert on average: a quarter of lookups hit. 20,000
  // rows: four standard errors are below 0.01.
  EXPECT_NEAR(b.hit, 0.25, 0.01);
  EXPECT_NEAR(b.shuffled, 0.25, 0.01);
  EXPECT_NEAR(a.shuffled, 0.25, 0.01);
  EXPECT_GT(a.hit, 0.4);
}

TEST(SimulateCaches, AGlobalBudgetServesAllLayersFromOneCache) {
  // Two layers that always choose the same: 4 experts in all, so a cache of 4 misses first uses
  // only and one of 2 has always lost what it needs next.
  const PlantedRoutes one = ByHand({{{0, 1}, {0, 1}, {0, 1}}});
  std::vector<LayerColumns> layers = {one.layer, one.layer};
  ThreadPool pool(1);
  CacheOptions options = AllPolicies({2, 4});
  options.rules = {EvictionRule::kLru};
  options.budget = CacheBudget::kGlobal;
  const auto cells = SimulateCaches(one.rows, layers, options, pool);
  EXPECT_EQ(cells[0].layer, kAllLayers);
  EXPECT_EQ(cells[0].lookups, 12);
  EXPECT_EQ(cells[0].hits, 0);
  EXPECT_EQ(cells[1].hits, 8);
}

TEST(SimulateCaches, PinnedExpertsLeaveRoomForARow) {
  EXPECT_EQ(NumberOfPinned(1, 2), 0);
  EXPECT_EQ(NumberOfPinned(2, 2), 0);
  EXPECT_EQ(NumberOfPinned(3, 2), 1);
  EXPECT_EQ(NumberOfPinned(4, 2), 2);
  EXPECT_EQ(NumberOfPinned(8, 2), 4);
}

TEST(SimulatePrefetch, LearnsATransitionFromTheOtherUnits) {
  // The next layer always chooses {first, first + 4 mod 8}: known exactly from the first choice.
  const PlantedRoutes routes = Sticky();
  LayerColumns next = routes.layer;
  for (size_t at = 0; at < next.experts.size(); at += 2) {
    next.experts[at] = routes.layer.experts[at];
    next.experts[at + 1] = static_cast<int16_t>((routes.layer.experts[at] + 4) % 8);
  }
  const auto cells = SimulatePrefetch(routes.rows, routes.layer, next, {2, {1, 2, 8}, 1});
  ASSERT_EQ(cells.size(), 3u);
  for (const PrefetchCell& cell : cells) {
    EXPECT_EQ(cell.recall, 1);
    EXPECT_EQ(cell.hit, 1);
    EXPECT_LT(cell.recall_popular, 0.7);
    EXPECT_GE(cell.hit_popular, cell.lru_hit);
  }
}

TEST(SimulatePrefetch, OneOfTwoNeededExpertsIsHalfTheRecall) {
  const PlantedRoutes routes = Sticky();
  LayerColumns next = routes.layer;  // the first choice comes again, the second is independent
  const auto cells = SimulatePrefetch(routes.rows, routes.layer, next, {1, {1}, 1});
  EXPECT_EQ(cells[0].recall, 0.5);
  // A single unit teaches nothing about others.
  const PlantedRoutes single = Sticky(1);
  EXPECT_TRUE(
      std::isnan(SimulatePrefetch(single.rows, single.layer, single.layer, {1, {1}, 1})[0].recall));
}

TEST(CacheArguments, AreReadOrNamedInOneLine) {
  EXPECT_EQ(ParseCacheSizes("4,1-2,2", 8), (std::vector<int>{1, 2, 4}));
  EXPECT_EQ(ParseCacheSizes("", 3), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(ParseCacheSizes("", 64).back(), 64);
  EXPECT_EQ(ParseCacheSizes("", 64).size(), 18u);  // 1..16, 32, 64
  for (const char* wrong : {"9", "0", "3-2", "1,,2", "x", "-1", "1-", "99999999999"}) {
    EXPECT_THROW(ParseCacheSizes(wrong, 8), Error) << wrong;
  }
  EXPECT_EQ(ParsePolicies("belady,lru,lru").size(), 2u);
  for (const char* wrong : {"", "mru", "lru,", "LRU"}) {
    EXPECT_THROW(ParsePolicies(wrong), Error) << wrong;
  }
}

// Published hit ratios of DeepSeek-V2-Lite's routes (ESFT); percent at 6, 8, 16, 32 experts.
struct Published {
  const char* task;
  int layer;
  double lru_hit[4];
};
constexpr Published kPublished[] = {
    {"intent", 1, {15.78, 20.41, 43.43, 67.92}},
    {"intent", 13, {32.54, 37.09, 56.37, 76.74}},
    {"intent", 26, {22.98, 27.56, 46.97, 73.93}},
    {"law", 13, {34.17, 38.71, 55.80, 78.43}},
};

using EsftCaches = store::TestDirectory;

TEST_F(EsftCaches, HitAsOftenAsPublished) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "skipped: no fixtures";
  ThreadPool pool(2);
  CacheOptions options = AllPolicies({6, 8, 16, 32});
  options.rules = {EvictionRule::kLru};
  for (const char* task : {"intent", "law"}) {
    store::EsftImport import;
    import.path = std::string(fixtures) + "/golden/esft/" + task + "/expert_weights.tar.xz";
    store::ImportEsft(import, Path(task));
    const store::Run run = store::Run::Open(Path(task));
    auto database = run.OpenViews({});
    const RowColumns rows = LoadRows(run, *database);
    for (const Published& published : kPublished) {
      if (std::string(published.task) != task) continue;
      const LayerColumns layer = LoadLayer(run, *database, rows, published.layer);
      const auto cells = SimulateCaches(rows, {&layer, 1}, options, pool);
      for (size_t i = 0; i < 4; ++i) {
        // Equal gate values leave the order of touching open, which moves a hit or two.
        EXPECT_NEAR(100 * cells[i].hit, published.lru_hit[i], 0.01)
            << task << " layer " << published.layer << ", size " << cells[i].size;
      }
    }
  }
}

}  // namespace
}  // namespace moescope::study
