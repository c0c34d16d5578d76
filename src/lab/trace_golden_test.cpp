// The demo model over the valid parts of the multi-domain corpus, against counts and losses that
// another implementation produced (golden.json beside the model).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lab/trace.h"
#include "store/run.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

int64_t Integer(const store::Value& value) {
  return std::get<int64_t>(value);
}

// The first choices, choices and repetitions of one data set at one layer, BOS rows left out.
struct LayerCounts {
  std::vector<int64_t> first, chosen;
  int64_t pairs = 0, first_repeats = 0, any_overlaps = 0;
};

LayerCounts Count(store::Database& database, const std::string& dataset, int layer) {
  std::string rows =
      "(select r.*, t.sequence, t.position from routes r join tokens t using (token) join "
      "documents d "
      "using (document) where not t.special and d.dataset = '" +
      dataset + "' and r.layer = " + std::to_string(layer) + ")";
  LayerCounts counts;
  counts.first.resize(8);
  counts.chosen.resize(8);
  for (const char* column : {"expert_0", "expert_1"}) {
    store::Table table = database.Query("select " + std::string(column) +
                                        "::bigint, count(*)::bigint from " + rows + " group by 1");
    for (const auto& row : table.rows) {
      auto expert = static_cast<size_t>(Integer(row[0]));
      counts.chosen[expert] += Integer(row[1]);
      if (column == std::string("expert_0")) counts.first[expert] += Integer(row[1]);
    }
  }
  store::Table pairs = database.Query(
      "select count(*)::bigint, sum((a.expert_0 = b.expert_0)::int)::bigint, sum((a.expert_0 in "
      "(b.expert_0, b.expert_1) or a.expert_1 in (b.expert_0, b.expert_1))::int)::bigint from " +
      rows + " a join " + rows + " b on a.token + 1 = b.token and a.sequence = b.sequence");
  counts.pairs = Integer(pairs.rows[0][0]);
  counts.first_repeats = Integer(pairs.rows[0][1]);
  counts.any_overlaps = Integer(pairs.rows[0][2]);
  return counts;
}

TEST(TraceGolden, DemoModelRoutesAndLossesAgreeWithTheReference) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "skipped: no fixtures";
  fs::path root = fixtures;
  json golden = json::parse(std::ifstream(root / "models/demo-mixtral/golden.json"))["domains"];

  TraceOptions options;
  options.model = (root / "models/demo-mixtral").string();
  options.policy.chunk = 512;
  options.output = (fs::path(testing::TempDir()) / "trace_golden").string();
  fs::remove_all(options.output);
  for (const auto& [domain, unused] : golden.items()) {
    fs::path file = root / "corpora/multidomain" / (domain + ".valid.jsonl.xz");
    text::DataSpec spec;
    spec.name = domain;
    spec.path = file.string();
    options.data.push_back(spec);
  }
  ASSERT_EQ(options.data.size(), 15u);
  TraceSummary summary = Trace(options);
  auto database = store::Run::Open(options.output).OpenViews({});

  double worst_loss = 0;
  int64_t worst_count = 0;
  for (const DatasetSummary& dataset : summary.datasets) {
    SCOPED_TRACE(dataset.dataset);
    const json& expected = golden[dataset.dataset];
    EXPECT_EQ(dataset.n_documents, expected["documents"]);
    EXPECT_EQ(dataset.n_tokens, expected["tokens"]);
    EXPECT_EQ(dataset.n_predictions, expected["predictions"]);
    double loss = dataset.loss_sum / static_cast<double>(dataset.n_predictions);
    EXPECT_NEAR(loss, expected["mean_loss"].get<double>(), 1e-4);
    worst_loss = std::max(worst_loss, std::fabs(loss - expected["mean_loss"].get<double>()));
    for (int layer = 0; layer < 8; ++layer) {
      SCOPED_TRACE("layer " + std::to_string(layer));
      auto l = static_cast<size_t>(layer);
      // A row nearer to a tie than float32 rounding may fall either way: it moves one choice, and
      // the two pairs it belongs to.
      int64_t ties = expected["near_ties_below_1e4"][l];
      LayerCounts counts = Count(*database, dataset.dataset, layer);
      EXPECT_EQ(counts.pairs, expected["pairs"]);
      EXPECT_NEAR(counts.first_repeats, expected["first_repeats"][l].get<double>(), 2 * ties);
      EXPECT_NEAR(counts.any_overlaps, expected["any_overlaps"][l].get<double>(), 2 * ties);
      for (size_t expert = 0; expert < 8; ++expert) {
        int64_t first = expected["first_choice_counts"][l][expert];
        int64_t chosen = expected["chosen_counts"][l][expert];
        EXPECT_NEAR(counts.first[expert], first, ties);
        EXPECT_NEAR(counts.chosen[expert], chosen, ties);
        worst_count = std::max({worst_count, std::abs(counts.first[expert] - first),
                                std::abs(counts.chosen[expert] - chosen)});
      }
    }
  }
  std::printf("largest difference: mean loss %.2g nats, a count %ld\n", worst_loss, worst_count);
  fs::remove_all(options.output);
}

}  // namespace
}  // namespace moescope::lab
