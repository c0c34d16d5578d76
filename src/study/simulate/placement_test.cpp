#include "study/simulate/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "study/analysis/planted_routes.h"
#include "study/simulate/batch_loads.h"

namespace moescope::study {
namespace {

// The example of deepseek-ai/EPLB's README: 12 experts in 4 groups, 16 places on 8 GPUs of 2 nodes.
const std::vector<double> kLoads[] = {{90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86},
                                      {20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27}};
const std::vector<int> kPlaces[] = {{5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1},
                                    {7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1}};
const Cluster kExample = {8, 2, 16, 4};

TEST(PlaceBalanced, PlacesThePublishedExample) {
  const double imbalance[] = {1.208, 1.242};
  for (int layer : {0, 1}) {
    const auto places = PlaceBalanced(kLoads[layer], kExample);
    EXPECT_EQ(places, kPlaces[layer]);
    EXPECT_NEAR(PlannedImbalance(places, kLoads[layer], kExample), imbalance[layer], 0.0005);
  }
}

TEST(PlaceBalanced, CopiesTheBusiestExpertsAndKeepsGroupsOnANode) {
  // Expert 3 does half of all work: with 8 places for 4 experts it gets most copies.
  const std::vector<double> load = {1, 1, 2, 12};
  const auto places = PlaceBalanced(load, {4, 1, 8, 1});
  EXPECT_EQ(CountCopies(places, 4), (std::vector<int>{1, 1, 1, 5}));
  const auto grouped = PlaceBalanced(kLoads[0], kExample);
  for (int group = 0; group < 4; ++group) {
    std::set<int> nodes;
    for (int place = 0; place < 16; ++place) {
      if (grouped[place] / 3 == group) nodes.insert(kExample.NodeOfGpu(kExample.GpuOfPlace(place)));
    }
    EXPECT_EQ(nodes.size(), 1u) << "group " << group;
  }
}

TEST(PlaceBalanced, GivesUpNodesWhereGroupsDoNotDivideAmongThem) {
  const Cluster uneven = {8, 2, 16, 3}, flat = {8, 1, 16, 1};
  EXPECT_EQ(PlaceBalanced(kLoads[0], uneven), PlaceBalanced(kLoads[0], flat));
}

TEST(PlaceBalanced, BeatsPlainAndRandomPlacesOnUnevenLoads) {
  for (const auto& load : kLoads) {
    const double balanced = PlannedImbalance(PlaceBalanced(load, kExample), load, kExample);
    EXPECT_LT(balanced, PlannedImbalance(PlaceInOrder(12, kExample), load, kExample));
    for (uint64_t key = 0; key < 50; ++key) {
      EXPECT_LT(balanced, PlannedImbalance(PlaceAtRandom(12, kExample, key), load, kExample));
    }
  }
}

TEST(PlaceAtRandom, GivesEveryExpertAPlaceAndCopiesAsEvenlyAsTheyGo) {
  for (uint64_t key = 0; key < 50; ++key) {
    const auto copies = CountCopies(PlaceAtRandom(12, kExample, key), 12);
    EXPECT_EQ(*std::min_element(copies.begin(), copies.end()), 1);
    EXPECT_EQ(*std::max_element(copies.begin(), copies.end()), 2);
    EXPECT_EQ(std::accumulate(copies.begin(), copies.end(), 0), 16);
  }
  EXPECT_NE(PlaceAtRandom(12, kExample, 1), PlaceAtRandom(12, kExample, 2));
}

TEST(CheckCluster, RefusesWhatDoesNotDivide) {
  CheckCluster(kExample, 12);
  EXPECT_THROW(CheckCluster({8, 3, 16, 4}, 12), Error);  // nodes
  EXPECT_THROW(CheckCluster({8, 2, 12, 4}, 12), Error);  // replicas on GPUs
  EXPECT_THROW(CheckCluster({8, 2, 8, 4}, 12), Error);   // fewer places than experts
  EXPECT_THROW(CheckCluster({8, 2, 16, 5}, 12), Error);  // groups
  EXPECT_THROW(CheckCluster({8, 0, 16, 4}, 12), Error);
}

// Rows that choose one expert each.
LayerColumns OneChoice(int n_experts, std::vector<int16_t> experts) {
  LayerColumns layer;
  layer.n_experts = n_experts;
  layer.experts_per_token = 1;
  layer.experts = std::move(experts);
  return layer;
}

std::vector<int64_t> FirstRows(int64_t n) {
  std::vector<int64_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

TEST(Batches, PrefillTakesNeighboursAndDecodeOneRowOfEachStream) {
  const auto rows = FirstRows(9);  // the ninth fills no batch
  const Batches prefill = {rows, BatchKind::kPrefill, 4}, decode = {rows, BatchKind::kDecode, 4};
  ASSERT_EQ(prefill.count(), 2);
  EXPECT_EQ(prefill.Row(1, 0), 4);
  EXPECT_EQ(prefill.Row(1, 3), 7);
  EXPECT_EQ(decode.Row(0, 0), 0);
  EXPECT_EQ(decode.Row(0, 1), 2);
  EXPECT_EQ(decode.Row(1, 3), 7);
}

TEST(Batches, ImbalanceIsTheBusiestOverTheMeanOfEachBatch) {
  // Prefill: {0,0,0,1}, {1,1,1,1} of 2 experts: 1.5, 2.
  // Decode, from streams of two: {0,0,1,1}, {0,1,1,1}: 1, 1.5.
  const LayerColumns layer = OneChoice(2, {0, 0, 0, 1, 1, 1, 1, 1});
  const auto rows = FirstRows(8);
  EXPECT_EQ(ExpertLoads(layer, {rows, BatchKind::kPrefill, 4}).imbalances,
            (std::vector<double>{1.5, 2}));
  EXPECT_EQ(ExpertLoads(layer, {rows, BatchKind::kDecode, 4}).imbalances,
            (std::vector<double>{1, 1.5}));
}

TEST(Batches, CopiesTakeTurnsAndWhatLeavesAGpuIsCounted) {
  // Two GPUs on two nodes; expert 0 on both, expert 1 on the second only. Tokens 0, 1 are at home
  // on GPU 0, tokens 2, 3 on GPU 1. Choices 0, 1, 0, 0 go to GPUs 0, 1, 1, 0: tokens 1 and 3
  // travel.
  const Cluster cluster = {2, 2, 4, 1};
  const std::vector<int> places = {0, 2, 0, 1};
  const LayerColumns layer = OneChoice(3, {0, 1, 0, 0});
  const auto rows = FirstRows(4);
  const LoadSums sums = GpuLoads(layer, {rows, BatchKind::kPrefill, 4}, places, cluster);
  EXPECT_EQ(sums.assignments, 4);
  EXPECT_EQ(sums.leave_gpu, 2);
  EXPECT_EQ(sums.leave_node, 2);
  EXPECT_EQ(sums.imbalances, (std::vector<double>{1}));
}

TEST(Batches, CapacityDropsTheExcessOrSendsItToTheLeastLoaded) {
  // 6 assignments on 3 experts, capacity 2: expert 0 has 4. The third goes to expert 1, then the
  // fourth to expert 2; the later 1 still finds room, the later 2 too.
  const auto rows = FirstRows(6);
  const Batches batches = {rows, BatchKind::kPrefill, 6};
  const RefusedSums one = RefusedByCapacity(OneChoice(3, {0, 0, 0, 0, 1, 2}), batches, 1);
  EXPECT_EQ(one.assignments, 6);
  EXPECT_EQ(one.dropped, 2);
  EXPECT_EQ(one.rerouted, 2);
  EXPECT_EQ(one.lost, 0);
  const RefusedSums ample = RefusedByCapacity(OneChoice(3, {0, 0, 0, 0, 1, 2}), batches, 2);
  EXPECT_EQ(ample.dropped + ample.rerouted + ample.lost, 0);
  // Rows that have both experts have nowhere else to go.
  LayerColumns both = OneChoice(2, {0, 1, 0, 1, 0, -1, 0, -1, 0, -1, 0, 1});
  both.experts_per_token = 2;
  const RefusedSums lost = RefusedByCapacity(both, batches, 1);  // 9 assignments: 5 places each
  EXPECT_EQ(lost.dropped, 1);                                    // expert 0 has 6
  EXPECT_EQ(lost.lost, 1);  // the last row's 0: it has 1 already
  EXPECT_EQ(lost.rerouted, 0);
}

TEST(SimulatePlacement, LocalityHurtsPrefillAndShufflingHealsIt) {
  PlantedText text;
  text.n_documents = 40;
  text.rows_per_document = 200;
  const PlantedRoutes routes = PlantRoutes(text, std::vector<double>(8, 0.125), 0.9);
  PlacementOptions options;
  options.cluster = {4, 2, 8, 1};
  options.batch = 64;
  ThreadPool one(1), three(3);
  PlacementResult result, again;
  SimulatePlacement(routes.rows, routes.layer, options, one, result);
  SimulatePlacement(routes.rows, routes.layer, options, three, again);
  EXPECT_TRUE(result.is_split);
  ASSERT_EQ(result.cells.size(), 8u);  // two kinds, four placements
  for (size_t i = 0; i < result.cells.size(); ++i) {
    const PlacementCell& cell = result.cells[i];
    EXPECT_EQ(cell.observed.mean, again.cells[i].observed.mean);
    EXPECT_EQ(cell.shuffled.mean, again.cells[i].shuffled.mean);
    if (cell.kind == BatchKind::kPrefill) {
      EXPECT_GT(cell.observed.mean, 1.1 * cell.shuffled.mean) << cell.placement;
      EXPECT_GE(cell.observed.over[0], cell.observed.over[1]);
    } else {
      EXPECT_NEAR(cell.observed.mean, cell.shuffled.mean, 0.1) << cell.placement;
    }
    // Experts lie evenly on 4 GPUs, and tokens do not know where.
    if (cell.placement == "experts") continue;
    EXPECT_NEAR(cell.observed.leaves_gpu, 0.75, 0.03);
    EXPECT_NEAR(cell.observed.leaves_node, 0.5, 0.04);
  }
  EXPECT_EQ(result.cells[3].n_placements, 10);
  EXPECT_LE(result.cells[3].lowest_mean, result.cells[3].observed.mean);
  for (const CapacityCell& cell : result.capacities) {
    if (cell.kind != BatchKind::kPrefill || cell.capacity > 1.5) continue;
    EXPECT_GT(cell.observed.dropped, cell.shuffled.dropped) << cell.capacity;
    // What is sent on takes up room.
    EXPECT_GE(cell.observed.rerouted + cell.observed.lost, cell.observed.dropped - 1e-12);
  }
}

TEST(SimulatePlacement, PlacementsAreMadeForOtherUnitsAndABatchMustFit) {
  PlantedText text;
  text.n_documents = 2;
  const PlantedRoutes routes = PlantRoutes(text, {0.5, 0.3, 0.1, 0.1}, 0);
  PlacementOptions options;
  options.cluster = {2, 1, 4, 1};
  options.batch = 101;  // each half is one document of 100 rows
  ThreadPool pool(1);
  PlacementResult result;
  EXPECT_THROW(SimulatePlacement(routes.rows, routes.layer, options, pool, result), Error);
  options.batch = 100;
  SimulatePlacement(routes.rows, routes.layer, options, pool, result);
  EXPECT_EQ(result.cells[0].n_batches, 2);
}

TEST(ParseCapacities, ReadsFactorsOfOneOrMore) {
  EXPECT_EQ(ParseCapacities("1,1.25"), (std::vector<double>{1, 1.25}));
  for (const char* wrong : {"", "0.5", "1,", "nan", "inf", "1x"}) {
    EXPECT_THROW(ParseCapacities(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace moescope::study
