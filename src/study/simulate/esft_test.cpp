#include "study/simulate/esft.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "store/import_esft.h"
#include "store/test_directory.h"
#include "study/analysis/planted_routes.h"

namespace moescope::study {
namespace {

struct Task {
  RowColumns rows;
  LayerColumns layer;
  std::vector<float> weights;
};

// Two data sets of one document each; of "a" four rows, of "b" one.
Task SmallTask() {
  Task task;
  RowColumnsBuilder builder;
  for (const char* name : {"a", "b"}) {
    builder.BeginDocument(name[0] - 'a', name, "unit");
    builder.BeginSequence();
    for (int row = 0; row < (name[0] == 'a' ? 4 : 1); ++row) builder.AddRow(0, row, false);
  }
  task.rows = builder.Finish();
  task.layer.layer = 7;
  task.layer.n_experts = 4;
  task.layer.experts_per_token = 2;
  task.layer.experts = {0, 1, 0, 2, 2, 0, 3, -1, 1, 3};
  task.weights = {0.5f, 0.25f, 0.5f, 0.125f, 0.25f, 0.25f, 0.75f, 0, 1, 1};
  return task;
}

TEST(ComputeEsft, TokenScoresAreSharesOfSlotsAndTheFewestReachTheShare) {
  const Task task = SmallTask();
  const auto result = ComputeEsft(task.rows, task.layer, {}, {1, 0}, EsftScore::kToken, 0.375);
  EXPECT_EQ(result.n_tokens, 4);
  EXPECT_EQ(result.scores, (std::vector<double>{0.375, 0.125, 0.25, 0.125}));
  EXPECT_EQ(result.selected, (std::vector<int>{0}));  // reaching it exactly is enough
  const auto more = ComputeEsft(task.rows, task.layer, {}, {1, 0}, EsftScore::kToken, 0.7);
  EXPECT_EQ(more.selected, (std::vector<int>{0, 2, 1}));  // 1 and 3 are equal: the lower one
  const auto both = ComputeEsft(task.rows, task.layer, {}, {1, 1}, EsftScore::kToken, 0.1);
  EXPECT_EQ(both.n_tokens, 5);
  EXPECT_DOUBLE_EQ(both.scores[0], 0.3);
}

TEST(ComputeEsft, GateScoresAreMeanWeightsOverAllTokens) {
  const Task task = SmallTask();
  const auto result =
      ComputeEsft(task.rows, task.layer, task.weights, {1, 0}, EsftScore::kGate, 0.4);
  EXPECT_EQ(result.scores, (std::vector<double>{0.3125, 0.0625, 0.09375, 0.1875}));
  EXPECT_EQ(result.rounded, (std::vector<int32_t>{3125, 625, 938, 1875}));  // 937.5: to even
  EXPECT_EQ(result.selected, (std::vector<int>{0, 3}));
  // Weights that sum to less than the share: all experts.
  const auto all = ComputeEsft(task.rows, task.layer, task.weights, {1, 0}, EsftScore::kGate, 1);
  EXPECT_EQ(all.selected.size(), 4u);
}

TEST(EsftConfig, HasTheKeysOfThePublishedFile) {
  const Task task = SmallTask();
  const auto layer = ComputeEsft(task.rows, task.layer, {}, {1, 0}, EsftScore::kToken, 0.7);
  EXPECT_EQ(EsftConfigJson({layer}),
            "{\"experts\": {\"7\": [0, 2, 1]}, \"shared_experts\": false, "
            "\"non_expert_modules\": false}\n");
}

using EsftTasks = store::TestDirectory;

TEST_F(EsftTasks, SelectThePublishedExperts) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "skipped: no fixtures";
  const std::pair<const char*, double> tasks[] = {{"intent", 4.77}, {"law", 5.88}};
  for (const auto& [task, mean_experts] : tasks) {
    const std::string folder = std::string(fixtures) + "/golden/esft/" + task;
    store::EsftImport import;
    import.path = folder + "/expert_weights.tar.xz";
    import.dataset = task;
    store::ImportEsft(import, Path(task));
    const store::Run run = store::Run::Open(Path(task));
    auto database = run.OpenViews({});
    const RowColumns rows = LoadRows(run, *database);
    const auto layers = EsftSelection(run, *database, rows, run.description().LayerNumbers(), task,
                                      EsftScore::kToken, 0.2);
    std::ifstream golden(folder + "/expert_config.json");
    EXPECT_EQ(nlohmann::json::parse(EsftConfigJson(layers)), nlohmann::json::parse(golden)) << task;
    size_t n = 0;
    for (const EsftLayer& layer : layers) n += layer.selected.size();
    EXPECT_NEAR(static_cast<double>(n) / static_cast<double>(layers.size()), mean_experts, 0.005);
    EXPECT_THROW(EsftSelection(run, *database, rows, {1}, "other", EsftScore::kToken, 0.2), Error);
    EXPECT_THROW(EsftSelection(run, *database, rows, {1}, "", EsftScore::kToken, 0), Error);
  }
}

}  // namespace
}  // namespace moescope::study
