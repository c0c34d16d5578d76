// Analyses of runs on disk, against the same counted by plain loops or by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "base/error.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"
#include "study/analysis/expert_shares.h"
#include "study/analysis/perplexity.h"
#include "study/analysis/repetition.h"
#include "study/analysis/statement.h"
#include "study/analysis/tiny_run.h"
#include "study/analysis/token_views.h"

namespace moescope::study {
namespace {

class RunAnalyses : public store::TestDirectory {
 protected:
  // Three parts, documents of a few sequences each.
  store::Run MakeSynthetic() {
    store::SyntheticRun synthetic;
    synthetic.description = store::SyntheticDescription(3, 8, 2);
    synthetic.description.tokens_per_part = 4000;
    synthetic.n_tokens = 10000;
    synthetic.mean_document_tokens = 400;
    WriteSynthetic(synthetic, Path("run"), 3000);
    return store::Run::Open(Path("run"));
  }
};

TEST_F(RunAnalyses, ColumnsAreWhatTheStoreHolds) {
  const store::Run run = MakeSynthetic();
  auto database = run.OpenViews({});
  const RowColumns rows = LoadRows(run, *database);
  const LayerColumns layer = LoadLayer(run, *database, rows, 2);
  const store::Table table = database->Query(
      "SELECT token, sequence, token_id, position, dataset, unit, expert_0, expert_1 FROM tokens "
      "JOIN documents USING (document) JOIN routes USING (token) "
      "WHERE layer = 2 AND NOT special ORDER BY token");
  ASSERT_EQ(static_cast<int64_t>(table.rows.size()), rows.n_rows());
  int64_t row = 0;
  for (const DocumentRange& document : rows.documents) {
    EXPECT_EQ(document.first_row, row);
    for (int64_t s = 0; s < document.n_sequences; ++s) {
      const SequenceRange& sequence = rows.sequences[document.first_sequence + s];
      EXPECT_EQ(sequence.first_row, row);
      for (int64_t end = row + sequence.n_rows; row < end; ++row) {
        const auto& values = table.rows[row];
        ASSERT_EQ(std::get<int64_t>(values[2]), rows.token_id[row]);
        ASSERT_EQ(std::get<int64_t>(values[3]), rows.position[row]);
        ASSERT_EQ(std::get<std::string>(values[4]), rows.datasets[document.dataset].name);
        ASSERT_EQ(std::get<std::string>(values[5]), rows.units[document.unit].name);
        ASSERT_EQ(std::get<int64_t>(values[6]), layer.experts[row * 2]);
        ASSERT_EQ(std::get<int64_t>(values[7]), layer.experts[row * 2 + 1]);
        ASSERT_EQ(std::get<int64_t>(values[1]),
                  std::get<int64_t>(table.rows[sequence.first_row][1]));
      }
    }
  }
  EXPECT_EQ(rows.n_tokens(), run.n_tokens());
  EXPECT_EQ(rows.datasets[1].unit_by, "book");
  EXPECT_THROW(LoadLayer(run, *database, rows, 3), Error);
}

TEST_F(RunAnalyses, OnlyTheDataSetsAskedForAreLookedAt) {
  const store::Run run = MakeSynthetic();
  auto database = run.OpenViews({});
  const RowColumns all = LoadRows(run, *database);
  const std::string name = all.datasets[1].name;
  const RowColumns some = LoadRows(run, *database, {name});
  ASSERT_EQ(some.datasets.size(), 1u);
  EXPECT_EQ(some.n_rows(), all.datasets[1].n_rows);
  EXPECT_EQ(some.n_tokens(), run.n_tokens());
  EXPECT_EQ(some.datasets[0].units.size(), all.datasets[1].units.size());
  ThreadPool pool(1);
  const auto whole = ComputeExpertShares(all, LoadLayer(run, *database, all, 1), {}, pool);
  const auto part = ComputeExpertShares(some, LoadLayer(run, *database, some, 1), {}, pool);
  size_t found = 0;
  for (const ExpertShare& share : whole) {
    if (share.dataset != name) continue;
    EXPECT_EQ(share.share, part[found++].share);
  }
  EXPECT_EQ(found, part.size());
  EXPECT_EQ(MakeStatement(run, some, 1, 0).plain_tokens, some.n_rows());
  EXPECT_THROW(LoadRows(run, *database, {"no such data set"}), Error);
}

TEST_F(RunAnalyses, RepetitionAndSharesAgreeWithSql) {
  const store::Run run = MakeSynthetic();
  auto database = run.OpenViews({});
  const RowColumns rows = LoadRows(run, *database);
  ThreadPool pool(2);
  const auto cells = RepetitionTable(run, *database, rows, {0, 2}, {}, pool);
  ASSERT_EQ(cells.size(), 4u);
  EXPECT_EQ(cells[1].dataset, "a");  // data set by data set
  EXPECT_EQ(cells[1].layer, 2);
  for (const RepetitionCell& cell : cells) {
    const auto row = database->Query(
        "WITH r AS (SELECT * FROM tokens JOIN routes USING (token) JOIN documents USING (document) "
        "WHERE NOT special AND dataset = '" +
        cell.dataset + "' AND layer = " + std::to_string(cell.layer) +
        ") SELECT count(*), count(*) FILTER (a.expert_0 = b.expert_0), "
        "count(*) FILTER (a.expert_0 IN (b.expert_0, b.expert_1) OR a.expert_1 IN (b.expert_0, "
        "b.expert_1)) FROM r a JOIN r b ON a.sequence = b.sequence AND b.position = a.position + "
        "1");
    EXPECT_EQ(cell.pairs, std::get<int64_t>(row.rows[0][0]));
    EXPECT_EQ(cell.first_repeats, std::get<int64_t>(row.rows[0][1]));
    EXPECT_EQ(cell.any_overlaps, std::get<int64_t>(row.rows[0][2]));
  }
  for (const ExpertShare& share : ExpertShareTable(run, *database, rows, {1}, {}, pool)) {
    const auto row = database->Query(
        "SELECT count(*) FROM assignments JOIN tokens USING (token) JOIN documents USING "
        "(document) "
        "WHERE NOT special AND layer = 1 AND dataset = '" +
        share.dataset + "' AND expert = " + std::to_string(share.expert));
    EXPECT_EQ(share.count, std::get<int64_t>(row.rows[0][0]));
  }
}

TEST_F(RunAnalyses, TokenViewsCountWhatALoopCounts) {
  const store::Run run = MakeSynthetic();
  auto database = run.OpenViews({});
  const RowColumns rows = LoadRows(run, *database);
  const LayerColumns layer = LoadLayer(run, *database, rows, 1);
  std::map<int32_t, std::vector<int64_t>> chosen;  // by token id: each expert, then occurrences
  int64_t at_expert = 0;
  for (int64_t row = 0; row < rows.n_rows(); ++row) {
    auto& counts = chosen[rows.token_id[row]];
    counts.resize(9);
    ++counts[8];
    for (int slot = 0; slot < 2; ++slot) {
      ++counts[layer.experts[row * 2 + slot]];
      at_expert += layer.experts[row * 2 + slot] == 5;
    }
  }
  TokenViewOptions options;
  options.limit = 1000;
  const auto tokens = TokensOfExpert(run, *database, 1, 5, ExpertTokenOrder::kCount, options);
  int64_t total = 0;
  for (const ExpertToken& token : tokens) {
    const auto& counts = chosen.at(token.token_id);
    EXPECT_EQ(token.count, counts[5]);
    EXPECT_EQ(token.occurrences, counts[8]);
    const double base = static_cast<double>(at_expert) / static_cast<double>(rows.n_rows());
    const double share = static_cast<double>(counts[5]) / static_cast<double>(counts[8]);
    EXPECT_NEAR(token.share_of_token, share, 1e-12);
    EXPECT_NEAR(token.lift, share / base, 1e-9);
    total += token.count;
  }
  EXPECT_EQ(total, at_expert);
  EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end(),
                             [](const auto& a, const auto& b) { return a.count > b.count; }));

  for (const TokenExpert& expert : ExpertsOfToken(run, *database, "#17", {1}, {})) {
    EXPECT_EQ(expert.count, chosen.at(17)[expert.expert]);
    EXPECT_EQ(expert.occurrences, chosen.at(17)[8]);
  }
}

TEST_F(RunAnalyses, TokenViewsFindATokenWithAndWithoutItsSpace) {
  WriteTinyRun(Path("run"), 1, 4, 2,
               {{"d", "u", {{"<s>", {0, 1}}, {"def", {0, 1}}, {" def", {2, 1}}, {"def", {1, 0}}}}});
  const store::Run run = store::Run::Open(Path("run"));
  auto database = run.OpenViews({});
  const auto experts = ExpertsOfToken(run, *database, "def", {0}, {});
  ASSERT_EQ(experts.size(), 4u);
  EXPECT_EQ(experts[0].text, "def");
  EXPECT_EQ(experts[0].expert, 0);
  EXPECT_EQ(experts[0].count, 2);
  EXPECT_EQ(experts[0].first_count, 1);
  EXPECT_EQ(experts[2].text, " def");
  EXPECT_DOUBLE_EQ(experts[3].share, 1);
  EXPECT_THROW(ExpertsOfToken(run, *database, "it's", {0}, {}), Error);
  EXPECT_THROW(ExpertsOfToken(run, *database, "def", {1}, {}), Error);
  TokenViewOptions options;
  options.dataset = "other";
  EXPECT_THROW(ExpertsOfToken(run, *database, "def", {0}, options), Error);
  EXPECT_THROW(TokensOfExpert(run, *database, 0, 4, ExpertTokenOrder::kLift, {}), Error);
}

TEST_F(RunAnalyses, PerplexityIsTokenWeightedAndPerPredictedByte) {
  WriteTinyRun(
      Path("run"), 1, 2, 1,
      {{"d", "u", {{"<s>", {0}, 1.0f}, {"abcd", {0}, 2.0f}, {"ef", {0}, 3.0f}, {"g", {0}}}},
       {"d", "v", {{"<s>", {0}, 6.0f}, {"hi", {0}}}},
       {"e", "w", {{"x", {0}}}}});
  const store::Run run = store::Run::Open(Path("run"));
  auto database = run.OpenViews({});
  ThreadPool pool(1);
  const auto rows = PerplexityTable(run, *database, {}, pool);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].tokens, 6);
  EXPECT_EQ(rows[0].plain_tokens, 4);
  EXPECT_EQ(rows[0].predictions, 4);
  EXPECT_EQ(rows[0].bytes, 4 + 2 + 1 + 2);
  EXPECT_DOUBLE_EQ(rows[0].mean_loss, 3);
  EXPECT_DOUBLE_EQ(rows[0].perplexity, std::exp(3.0));
  EXPECT_NEAR(rows[0].bits_per_byte, 12 / std::numbers::ln2 / 9, 1e-12);
  EXPECT_EQ(rows[0].why_no_interval, "2 units, fewer than 10");
  EXPECT_EQ(rows[1].predictions, 0);
  EXPECT_TRUE(std::isnan(rows[1].mean_loss));
}

TEST_F(RunAnalyses, StatementSaysWhatEveryReportMustSay) {
  const store::Run run = MakeSynthetic();
  auto database = run.OpenViews({});
  const RowColumns rows = LoadRows(run, *database);
  const auto lines = StatementLines(MakeStatement(run, rows, 7, 2000));
  std::string all;
  for (const auto& [label, value] : lines) all += label + ": " + value + "\n";
  for (const char* part :
       {"0123456789abcdef", "BF16", "F32", "2 of 8", "fedcba9876543210", "BOS before each", "512",
        "10,000", "units", "exact", "scalar", "seed 7"}) {
    EXPECT_NE(all.find(part), std::string::npos) << part << " in\n" << all;
  }
}

}  // namespace
}  // namespace moescope::study
