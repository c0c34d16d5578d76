#include "study/simulate/cost.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace moescope::study {
namespace {

RowColumns Rows(int n) {
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "a", "u");
  builder.BeginSequence();
  for (int i = 0; i < n; ++i) builder.AddRow(i, i, false);
  return builder.Finish();
}

LayerColumns Layer(std::vector<int16_t> experts, int k, int n_experts) {
  LayerColumns layer;
  layer.n_experts = n_experts;
  layer.experts_per_token = k;
  layer.experts = std::move(experts);
  return layer;
}

// Eight rows in two halves: 0 0 0 0 1 1 1 1, second choices 2 3 2 3 2 3 2 -1.
LayerColumns TwoHalves() {
  return Layer({0, 2, 0, 3, 0, 2, 0, 3, 1, 2, 1, 3, 1, 2, 1, -1}, 2, 4);
}

TEST(DistinctExperts, PrefillBatchesAreRunsAndDecodeBatchesTakeARowOfEachStream) {
  const CostOptions options{.experts_per_token = {1, 2}, .batches = {1, 2, 4}};
  const auto prefill = DistinctExperts(Rows(8), TwoHalves(), BatchKind::kPrefill, options);
  EXPECT_EQ(prefill, (std::vector<double>{1, 1, 1, 15 / 8.0, (3 + 3 + 3 + 2) / 4.0, 3}));
  // Two streams: rows i and 4 + i. Four: rows 0 2 4 6, then 1 3 5 7.
  const auto decode = DistinctExperts(Rows(8), TwoHalves(), BatchKind::kDecode, options);
  EXPECT_EQ(decode, (std::vector<double>{1, 2, 2, 15 / 8.0, 3, 3}));
}

TEST(UniformDistinct, IsTheExpectedNumberOfDifferentDraws) {
  EXPECT_DOUBLE_EQ(UniformDistinct(8, 2, 1), 2);
  EXPECT_DOUBLE_EQ(UniformDistinct(8, 2, 2), 8 * (1 - 0.75 * 0.75));
  EXPECT_DOUBLE_EQ(UniformDistinct(8, 8, 5), 8);
  EXPECT_NEAR(UniformDistinct(8, 2, 64), 8, 1e-6);
}

ModelSize Model() {
  return {.n_layers = 2,
          .n_experts = 4,
          .layers = {1000, 10},
          .one_expert = {500, 20},
          .head = {300, 30},
          .kv_bytes_per_position = 2,
          .score_flops_per_position = 3};
}

const CostCell& Find(const std::vector<CostCell>& cells, BatchKind kind, CostRouting routing, int k,
                     int batch) {
  for (const CostCell& cell : cells) {
    if (cell.kind == kind && cell.routing == routing && cell.experts_per_token == k &&
        cell.batch == batch) {
      return cell;
    }
  }
  throw std::logic_error("no such cell");
}

TEST(PredictCosts, CountsBytesOncePerStepAndArithmeticPerRow) {
  const CostOptions options{.experts_per_token = {1, 2}, .batches = {1, 2}, .context = 10};
  // Memory so slow that it is all that counts.
  const auto cells =
      PredictCosts(Rows(8), {TwoHalves(), TwoHalves()}, Model(),
                   {.dram_gb_per_s = 1e-6, .gflops = 1e3, .dram_share = 0.5}, options);
  const CostCell& one = Find(cells, BatchKind::kDecode, CostRouting::kObserved, 1, 1);
  EXPECT_DOUBLE_EQ(one.bytes_per_token, 1000 + 20 + 2 * 500 + 300);
  EXPECT_DOUBLE_EQ(one.flops_per_token, 10 + 30 + 2 * 20 + 30);
  EXPECT_DOUBLE_EQ(one.bound, 1e3 / 2320);
  EXPECT_DOUBLE_EQ(one.predicted, one.bound / 2);
  EXPECT_EQ(one.limit, "dram");
  const CostCell& two = Find(cells, BatchKind::kDecode, CostRouting::kObserved, 2, 2);
  EXPECT_DOUBLE_EQ(two.distinct, 3);
  EXPECT_DOUBLE_EQ(two.bytes_per_token, (1000 + 2 * 20 + 2 * 3 * 500 + 300) / 2.0);
  const CostCell& prompt = Find(cells, BatchKind::kPrefill, CostRouting::kObserved, 2, 2);
  EXPECT_DOUBLE_EQ(prompt.bytes_per_token, (1000 + 20 + 2 * 2.75 * 500 + 300) / 2.0);
  EXPECT_DOUBLE_EQ(prompt.flops_per_token, (2 * (10 + 30 + 2 * 2 * 20) + 30) / 2.0);
  const CostCell& dense = Find(cells, BatchKind::kDecode, CostRouting::kDense, 2, 2);
  EXPECT_DOUBLE_EQ(dense.bytes_per_token, (1000 + 2 * 20 + 2 * 2 * 500 + 300) / 2.0);
  EXPECT_DOUBLE_EQ(dense.flops_per_token, two.flops_per_token);
}

TEST(PredictCosts, EachPartTakesTheLongerOfItsBytesAndItsArithmetic) {
  const CostOptions options{.experts_per_token = {1}, .batches = {1}, .context = 0};
  ModelSize model = Model();
  model.layers = {1000, 1};     // a second of bytes
  model.one_expert = {1, 250};  // half a second of arithmetic a layer
  model.head = {};
  const MachineRates machine{.dram_gb_per_s = 1e-6, .gflops = 0.5e-6, .flops_share = 0.5};
  const auto cells = PredictCosts(Rows(8), {TwoHalves()}, model, machine, options);
  EXPECT_DOUBLE_EQ(cells[0].bound, 1 / (1 + 1.0));
  EXPECT_DOUBLE_EQ(cells[0].predicted, 1 / (1 + 2.0));
  EXPECT_EQ(cells[0].limit, "arithmetic");
}

TEST(PredictCosts, RefusesMoreThanTheRunHas) {
  const MachineRates machine{.dram_gb_per_s = 1, .gflops = 1};
  EXPECT_THROW(PredictCosts(Rows(8), {TwoHalves()}, Model(), machine,
                            {.experts_per_token = {3}, .batches = {1}}),
               Error);
  EXPECT_THROW(PredictCosts(Rows(8), {TwoHalves()}, Model(), machine,
                            {.experts_per_token = {1}, .batches = {9}}),
               Error);
}

TEST(ParseCounts, ReadsListsAndRanges) {
  EXPECT_EQ(ParseCounts("1-3,8", 8, "--batch"), (std::vector<int>{1, 2, 3, 8}));
  for (const char* wrong : {"", "0", "9", "2,1", "1-", "3-2", "x", "1,,2"}) {
    EXPECT_THROW(ParseCounts(wrong, 8, "--batch"), Error) << wrong;
  }
}

}  // namespace
}  // namespace moescope::study
