// Published counts of the real Mixtral-8x7B (golden data of the OLMoE paper's authors): rows are
// made that have these counts, and the figures must be the published ones.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "store/database.h"
#include "study/analysis/cross_layer.h"
#include "study/analysis/expert_shares.h"
#include "study/analysis/planted_routes.h"
#include "study/analysis/vocabulary_specialisation.h"

namespace moescope::study {
namespace {

constexpr int kExperts = 8, kChosen = 2;

// The counts by token and the other counts are of two passes over the same text that agree in
// totals, not in every decision: shares differ by up to 0.61 points.
constexpr double kBetweenPasses = 0.0065;

class MixtralFigures : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
    if (fixtures == nullptr) {
      std::cout << "skipped: no fixtures\n";
      GTEST_SKIP() << "skipped: no fixtures";
    }
    path_ = std::string(fixtures) + "/golden/mixtral-8x7b-routing/" + GetParam();
    std::ifstream file(path_ + ".json");
    ASSERT_TRUE(file.is_open());
    published_ = nlohmann::json::parse(file);
  }

  // Counts by token id and expert, which come from two experts a token.
  std::map<int32_t, std::vector<int64_t>> TokenCounts(int layer) const {
    store::Database database({});
    const auto table =
        database.Query("SELECT token_id, expert, count FROM read_csv(" +
                       store::Quoted(path_ + "-token-expert-counts.tsv.gz") +
                       ", delim='\t', header=true) WHERE layer = " + std::to_string(layer));
    std::map<int32_t, std::vector<int64_t>> counts;
    for (const auto& row : table.rows) {
      auto& of_token = counts[static_cast<int32_t>(std::get<int64_t>(row[0]))];
      of_token.resize(kExperts);
      of_token[std::get<int64_t>(row[1])] += std::get<int64_t>(row[2]);
    }
    return counts;
  }

  std::string path_;
  nlohmann::json published_;
};

// Rows of one document, a token id after the other.
PlantedRoutes RowsWithCounts(const std::map<int32_t, std::vector<int64_t>>& counts) {
  PlantedRoutes planted;
  planted.layer.n_experts = kExperts;
  planted.layer.experts_per_token = kChosen;
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "mixtral", "stream");
  builder.BeginSequence();
  int32_t position = 0;
  for (const auto& [token, of_expert] : counts) {
    std::vector<int16_t> assignments;  // by expert; none has more than half of them
    for (int expert = 0; expert < kExperts; ++expert) {
      assignments.insert(assignments.end(), of_expert[expert], static_cast<int16_t>(expert));
    }
    const size_t n = assignments.size() / kChosen;
    for (size_t row = 0; row < n; ++row) {
      EXPECT_NE(assignments[row], assignments[row + n]);
      planted.layer.experts.push_back(assignments[row]);
      planted.layer.experts.push_back(assignments[row + n]);
      builder.AddRow(token, position++, false);
    }
  }
  planted.rows = builder.Finish();
  return planted;
}

// Percent at layers 0, 7, 15.
struct Specialisation {
  const char* domain;
  double type_weighted[3];
  double token_weighted_7;  // 0: not published
};
constexpr Specialisation kSpecialisation[] = {{"c4", {63.9, 78.3, 79.1}, 69.3},
                                              {"github", {75.1, 82.8, 78.6}, 0},
                                              {"wikipedia", {65.1, 66.7, 69.9}, 0}};

TEST_P(MixtralFigures, VocabularySpecialisationAndSharesAreThePublishedOnes) {
  const auto& expected =
      *std::find_if(std::begin(kSpecialisation), std::end(kSpecialisation),
                    [](const auto& of) { return std::string(of.domain) == GetParam(); });
  ThreadPool pool(2);
  const std::vector<int> layers = published_["layers"];
  ASSERT_EQ(layers, (std::vector<int>{0, 7, 15}));
  for (size_t l = 0; l < layers.size(); ++l) {
    SCOPED_TRACE("layer " + std::to_string(layers[l]));
    const PlantedRoutes planted = RowsWithCounts(TokenCounts(layers[l]));
    EXPECT_EQ(planted.rows.n_rows(), published_["tokens"].get<int64_t>());
    const VocabularyCell cell = ComputeVocabulary(planted.rows, planted.layer, {}, pool)[0];
    EXPECT_NEAR(100 * cell.type_weighted, expected.type_weighted[l], 0.0501);
    if (layers[l] == 7 && expected.token_weighted_7 > 0) {
      EXPECT_NEAR(100 * cell.token_weighted, expected.token_weighted_7, 0.0501);
    }
    // Published as 39 to 41 %. How experts pair up moves it a little, and pairs are not in the
    // data: github's layer 15, whose experts are the least even, comes to 41.6.
    EXPECT_GT(100 * cell.null_type_weighted, 38.5);
    EXPECT_LT(100 * cell.null_type_weighted, 42);
    const auto shares = ComputeExpertShares(planted.rows, planted.layer, {}, pool);
    for (int expert = 0; expert < kExperts; ++expert) {
      const double published = published_["top2_counts"][l][expert].get<double>() /
                               (kChosen * published_["tokens"].get<double>());
      EXPECT_NEAR(shares[expert].share, published, kBetweenPasses);
    }
  }
}

// Bits of 0 -> 7 and 7 -> 15 as published for c4; those of the others follow from the same counts.
TEST_P(MixtralFigures, InformationBetweenLayersIsThePublishedOne) {
  ThreadPool pool(2);
  const std::pair<int, int> pairs[] = {{0, 7}, {7, 15}};
  const double c4[] = {0.0865, 0.1422};
  for (size_t p = 0; p < 2; ++p) {
    const std::string name =
        std::to_string(pairs[p].first) + "->" + std::to_string(pairs[p].second);
    RowColumnsBuilder builder;
    builder.BeginDocument(0, "mixtral", "stream");
    builder.BeginSequence();
    std::vector<int16_t> first, second;
    for (int a = 0; a < kExperts; ++a) {
      for (int b = 0; b < kExperts; ++b) {
        const auto n = published_["crosslayer_top1_counts"][name][a][b].get<int64_t>();
        first.insert(first.end(), n, static_cast<int16_t>(a));
        second.insert(second.end(), n, static_cast<int16_t>(b));
      }
    }
    for (size_t row = 0; row < first.size(); ++row) {
      builder.AddRow(-1, static_cast<int32_t>(row), false);
    }
    const RowColumns rows = builder.Finish();
    CrossLayerOptions options;
    options.n_shifts = 0;
    const CrossLayerCell cell =
        ComputeCrossLayer(rows, kExperts, pairs[p], first, second, options, pool)[0];
    EXPECT_EQ(cell.rows, published_["tokens"].get<int64_t>());
    EXPECT_NEAR(cell.information.plug_in - cell.information.miller_madow, 0.00017, 0.000005);
    if (std::string(GetParam()) == "c4") {
      EXPECT_NEAR(cell.information.plug_in, c4[p], 1e-4);
    }
    // The margins are the published first choices.
    LayerColumns layer = {pairs[p].first, kExperts, 1, first};
    const auto shares = ComputeExpertShares(rows, layer, {}, pool);
    for (int expert = 0; expert < kExperts; ++expert) {
      EXPECT_EQ(shares[expert].count, published_["top1_counts"][p][expert].get<int64_t>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Domains, MixtralFigures, testing::Values("c4", "github", "wikipedia"),
                         [](const auto& domain) { return std::string(domain.param); });

}  // namespace
}  // namespace moescope::study
