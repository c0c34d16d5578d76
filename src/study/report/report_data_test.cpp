#include "study/report/report_data.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "store/synthetic_run.h"
#include "study/report/text_samples.h"
#include "study/report/token_counts.h"

namespace moescope::study {
namespace {

using Json = nlohmann::json;

// One run for all tests of the file: 6,000 tokens in two data sets, 3 layers.
class ReportOfARun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    char name[] = "/tmp/moescope-report-XXXXXX";
    folder_ = mkdtemp(name);
    store::WriteSynthetic(Source(), folder_ + "/run", 2500);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  static store::SyntheticRun Source() {
    store::SyntheticRun source;
    source.description = store::SyntheticDescription(3, 8, 2);
    source.n_tokens = 6000;
    source.mean_document_tokens = 60;
    return source;
  }
  static store::Run OpenRun() { return store::Run::Open(folder_ + "/run"); }

  static std::string folder_;
};
std::string ReportOfARun::folder_;

TEST_F(ReportOfARun, TextSamplesAreTheRunsOwnTokensAndRoutes) {
  const store::Run run = OpenRun();
  const auto database = run.OpenViews({});
  const std::vector<TextSample> samples = LoadTextSamples(run, *database, {"a", "b"}, {0, 2}, 50);
  ASSERT_EQ(samples.size(), 2u);
  const std::vector<store::DocumentRecord> documents = Source().Documents();
  const store::SyntheticWave wave = store::MakeWave(Source(), documents, 0, 0, 6000);
  for (const TextSample& sample : samples) {
    const store::DocumentRecord& document = documents[static_cast<size_t>(sample.document)];
    EXPECT_EQ(document.dataset, sample.dataset);
    ASSERT_EQ(sample.bytes.size(), 50u) << "one more is read, as the first is special";
    ASSERT_EQ(sample.experts.size(), 2u);
    for (size_t i = 0; i < sample.bytes.size(); ++i) {
      const size_t token = static_cast<size_t>(document.first_token) + 1 + i;
      EXPECT_EQ(sample.bytes[i], std::string(1, static_cast<char>(wave.tokens[token].token_id)));
      for (size_t slot = 0; slot < 2; ++slot) {
        EXPECT_EQ(sample.experts[1][2 * i + slot], wave.layers[2].experts[2 * token + slot]);
        EXPECT_NEAR(sample.weights[1][2 * i + slot], wave.layers[2].weights[2 * token + slot],
                    1e-6);
      }
    }
  }
}

TEST_F(ReportOfARun, ADataSetThatIsNotThereHasNoSample) {
  const store::Run run = OpenRun();
  const auto database = run.OpenViews({});
  EXPECT_TRUE(LoadTextSamples(run, *database, {"it's not there"}, {0}, 50).empty());
}

TEST_F(ReportOfARun, TypicalTokensAreThoseOfTheQuery) {
  const store::Run run = OpenRun();
  const auto database = run.OpenViews({});
  const RowColumns rows = LoadRows(run, *database);
  const TokenCounts counts =
      CountTokens(rows, LoadLayer(run, *database, rows, 1), run.description().vocab_size);
  for (const auto order :
       {ExpertTokenOrder::kLift, ExpertTokenOrder::kCount, ExpertTokenOrder::kExcess}) {
    TokenViewOptions options;
    options.limit = 12;
    options.min_count = order == ExpertTokenOrder::kLift ? 10 : 1;
    const auto expected = TokensOfExpert(run, *database, 1, 5, order, options);
    const auto tokens = TypicalTokens(counts, 5, order, options.min_count, options.limit);
    ASSERT_EQ(tokens.size(), expected.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      EXPECT_EQ(tokens[i].count, expected[i].count) << i;
      EXPECT_NEAR(tokens[i].lift, expected[i].lift, 1e-9) << i;
      EXPECT_NEAR(tokens[i].share_of_token, expected[i].share_of_token, 1e-12) << i;
    }
  }
}

TEST_F(ReportOfARun, TheBlockHoldsEveryLayerOfEveryFigure) {
  ThreadPool pool(2);
  ReportOptions options;
  options.layers = {0, 2};
  options.run_path = "'a run'";
  options.bootstrap_samples = 50;
  const ReportData report = MakeReportData(OpenRun(), options, pool);
  const Json data = Json::parse(report.json);
  const Json& figures = data["figures"];
  EXPECT_EQ(figures["7"]["rows"].size(), 2u * 3 * 3) << "data sets, layers, choices";
  for (const Json& row : figures["7"]["rows"]) {
    double sum = 0;
    ASSERT_EQ(row[3].size(), 8u);
    for (const Json& share : row[3]) sum += share.get<double>();
    EXPECT_NEAR(sum, 1, 1e-4);
  }
  EXPECT_EQ(figures["table5"]["rows"].size(), 2u * 3);
  EXPECT_EQ(figures["10"]["rows"], "table5");
  EXPECT_EQ(figures["perplexity"]["rows"].size(), 2u);
  for (const char* figure :
       {"domains", "explained", "lags", "vocabulary", "coactivation", "crosslayer", "paths"}) {
    ASSERT_TRUE(figures.contains(figure)) << figure;
    EXPECT_FALSE(figures[figure]["rows"].empty()) << figure;
    EXPECT_FALSE(figures[figure]["charts"].empty()) << figure;
  }
  EXPECT_FALSE(data["claims"]["rows"].empty());
  EXPECT_EQ(data["texts"]["samples"].size(), 2u);
  for (const char* order : {"excess", "lift"}) {
    ASSERT_EQ(data["expert_tokens"][order].size(), 3u);
    EXPECT_EQ(data["expert_tokens"][order][0].size(), 8u);
  }
  EXPECT_EQ(data["run"]["datasets"].size(), 2u);
  EXPECT_NE(figures["7"]["command"].get<std::string>().find("'a run'"), std::string::npos);
}

TEST_F(ReportOfARun, WithoutLayersTheFirstTheMiddleAndTheLastAreShown) {
  ThreadPool pool(1);
  ReportOptions options;
  options.bootstrap_samples = 10;
  const Json data = Json::parse(MakeReportData(OpenRun(), options, pool).json);
  EXPECT_EQ(data["shown_layers"], Json({0, 1, 2}));
  EXPECT_EQ(data["texts"]["layers"], Json({0, 1, 2}));
}

TEST_F(ReportOfARun, SharesOfATokenAddUpToKInEveryLayer) {
  ThreadPool pool(1);
  ReportOptions options;
  options.layers = {0};
  options.bootstrap_samples = 10;
  const Json data = Json::parse(MakeReportData(OpenRun(), options, pool).json);
  ASSERT_FALSE(data["token_experts"]["tokens"].empty());
  for (const Json& token : data["token_experts"]["tokens"]) {
    ASSERT_EQ(token[2].size(), 3u * 8);
    for (size_t layer = 0; layer < 3; ++layer) {
      int percent = 0;
      for (size_t expert = 0; expert < 8; ++expert)
        percent += token[2][layer * 8 + expert].get<int>();
      EXPECT_NEAR(percent, 200, 4) << "each of 8 is rounded";
    }
  }
}

// Perplexity and what was run; no table of routes that a chart could be drawn from.
TEST_F(ReportOfARun, ADenseRunHasNoTablesOfRoutes) {
  store::SyntheticRun source = Source();
  source.description = store::SyntheticDescription(3, 0, 0);
  store::WriteSynthetic(source, folder_ + "/dense", 2500);
  ThreadPool pool(1);
  ReportOptions options;
  options.run_path = "dense";
  options.bootstrap_samples = 10;
  const ReportData report = MakeReportData(store::Run::Open(folder_ + "/dense"), options, pool);
  EXPECT_EQ(report.title, "Perplexity: synthetic on 2 kinds of text");
  const Json data = Json::parse(report.json);
  EXPECT_EQ(data["figures"].size(), 1u);
  EXPECT_EQ(data["figures"]["perplexity"]["rows"].size(), 2u);
  EXPECT_EQ(data["run"]["n_layers"], 3);
  EXPECT_TRUE(data["run"]["layers"].empty());
  EXPECT_TRUE(data["shown_layers"].empty());
  for (const char* key : {"findings", "claims", "texts", "commands", "expert_tokens",
                          "token_experts", "token_texts"}) {
    EXPECT_FALSE(data.contains(key)) << key;
  }
}

TEST_F(ReportOfARun, ThreadsDoNotChangeTheBlock) {
  ReportOptions options;
  options.layers = {0};
  options.bootstrap_samples = 20;
  ThreadPool one(1), two(2);
  EXPECT_EQ(MakeReportData(OpenRun(), options, one).json,
            MakeReportData(OpenRun(), options, two).json);
}

}  // namespace
}  // namespace moescope::study
