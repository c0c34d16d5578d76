#include "store/import_esft.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/error.h"
#include "store/run.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

using ImportEsftTest = TestDirectory;

const EsftShape kSmall{.n_experts = 4, .experts_per_token = 2};

TEST(EsftRoutes, SortsChoicesByGateValueTiesToTheLowerExpert) {
  EsftRoutes routes =
      ParseEsftRoutes("3\t1\t2\t0\t\t0.2\t0.5\t0.25\t0.25\n1\t0\t\t0.1\t0.3\r\n", kSmall, "f");
  EXPECT_EQ(routes.sequence_tokens, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(routes.experts, (std::vector<int16_t>{1, 3, 0, 2, 0, 1}));
  EXPECT_EQ(routes.weights, (std::vector<float>{0.5f, 0.2f, 0.25f, 0.25f, 0.3f, 0.1f}));
}

TEST(EsftRoutes, RefusesLinesThatAreNoRoutes) {
  for (const char* text : {"\n",
                           "\t\t",
                           "1\t2",
                           "1\t2\t\t",
                           "1\t2\t\t0.5",
                           "1\t2\t\t0.5\t0.5\t0.5",
                           "1\t\t0.5",
                           "1\t4\t\t0.5\t0.5",
                           "1\t-1\t\t0.5\t0.5",
                           "1\t1\t\t0.5\t0.5",
                           "1\tx\t\t0.5\t0.5",
                           "1\t2\t\tnan\t0.5",
                           "1\t2\t\t-0.5\t0.5",
                           "1\t2\t\tinf\t0.5",
                           "1\t2\t\t0.5\t0.5\t",
                           "1\t2\t\t0.5x\t0.5",
                           "1\t2\t\t\t0.5\t0.5",
                           "99999999999\t2\t\t0.5\t0.5",
                           "1\t2\t\t0.5\t0.5\n\n1\t2\t\t0.5\t0.5",
                           "1\t2 \t\t0.5\t0.5"}) {
    try {
      ParseEsftRoutes(text, kSmall, "routes.txt");
      FAIL() << "accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
      EXPECT_NE(std::string(error.what()).find("routes.txt: line "), std::string::npos);
    }
  }
}

TEST(EsftRoutes, AnyCutOfAFileIsReadOrRefused) {
  const std::string whole = "3\t1\t2\t0\t\t0.2\t0.5\t0.25\t0.25\n1\t0\t\t0.1\t0.3\n";
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 3'000; ++i) {
    std::string text = whole;
    for (int n = 0; n <= i % 3; ++n) text[random() % text.size()] = static_cast<char>(random());
    if (i % 2 == 0) text.resize(random() % text.size());
    try {
      EsftRoutes routes = ParseEsftRoutes(text, kSmall, "f");
      EXPECT_EQ(routes.experts.size(), routes.weights.size());
      for (int16_t expert : routes.experts) EXPECT_TRUE(expert >= 0 && expert < 4);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1'000);
}

TEST(EsftRoutes, LayersComeFromNames) {
  EXPECT_EQ(EsftLayer("expert_weights_12.txt"), 12);
  for (const char* name : {"expert_weights_.txt", "expert_weights_1.tx", "expert_weights_-1.txt",
                           "expert_weights_1a.txt", "summary.json", "expert_weights_70000.txt",
                           "expert_weights_99999999999.txt"}) {
    EXPECT_EQ(EsftLayer(name), std::nullopt) << name;
  }
}

TEST_F(ImportEsftTest, KeepsLayerNumbersAndLeavesUnknownColumnsNull) {
  Write("task/expert_weights_3.txt", "3\t1\t2\t0\t\t0.2\t0.5\t0.25\t0.25\n1\t0\t\t0.1\t0.3\n");
  Write("task/expert_weights_11.txt", "0\t1\t1\t2\t\t0.2\t0.1\t0.3\t0.2\n3\t0\t\t0.1\t0.3\n");
  EsftImportResult result = ImportEsft({.path = Path("task"), .shape = kSmall}, Path("run"));
  EXPECT_EQ(result.n_layers, 2);
  EXPECT_EQ(result.n_tokens, 3);
  store::Run run = store::Run::Open(Path("run"));
  EXPECT_EQ(run.description().layers, (std::vector<int>{3, 11}));
  EXPECT_EQ(run.description().datasets.at(0).name, "task");
  auto database = run.OpenViews({});
  Table routes = database->Query(
      "SELECT layer, token, expert_0, expert_1 FROM routes WHERE margin IS NULL AND entropy IS "
      "NULL "
      "ORDER BY ALL");
  std::vector<std::vector<Value>> expected;
  for (auto row : std::vector<std::vector<int64_t>>{
           {3, 0, 1, 3}, {3, 1, 0, 2}, {3, 2, 0, 1}, {11, 0, 0, 1}, {11, 1, 1, 2}, {11, 2, 0, 3}}) {
    expected.emplace_back(row.begin(), row.end());
  }
  EXPECT_EQ(routes.rows, expected);
  Table tokens = database->Query(
      "SELECT count(*), count(token_id), count(byte_start), count(loss), max(sequence) FROM "
      "tokens");
  EXPECT_EQ(tokens.rows.at(0),
            (std::vector<Value>{int64_t{3}, int64_t{0}, int64_t{0}, int64_t{0}, int64_t{1}}));
  EXPECT_TRUE(VerifyRun(Path("run")).problems.empty());
}

TEST_F(ImportEsftTest, RefusesLayersThatDisagree) {
  Write("task/expert_weights_3.txt", "3\t1\t\t0.2\t0.5\n");
  Write("task/expert_weights_4.txt", "3\t1\t2\t0\t\t0.2\t0.5\t0.25\t0.25\n");
  EXPECT_THROW(ImportEsft({.path = Path("task"), .shape = kSmall}, Path("run")), Error);
  Write("same/expert_weights_3.txt", "3\t1\t\t0.2\t0.5\n");
  Write("same/expert_weights_03.txt", "3\t1\t\t0.2\t0.5\n");
  EXPECT_THROW(ImportEsft({.path = Path("same"), .shape = kSmall}, Path("run")), Error);
  std::filesystem::create_directory(Path("empty"));
  EXPECT_THROW(ImportEsft({.path = Path("empty"), .shape = kSmall}, Path("run")), Error);
  EXPECT_THROW(ImportEsft({.path = Write("no.tar.xz", "not a tar"), .shape = kSmall}, Path("run")),
               Error);
}

// The repetition figures published beside the files, through SQL alone.
TEST_F(ImportEsftTest, PublishedRoutesGiveThePublishedRepetition) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "skipped: no fixtures";
  struct Row {
    const char* task;
    int layer;
    int64_t pairs;
    double first, any, share;
  };
  std::string imported;
  std::unique_ptr<Database> database;
  for (const Row& row :
       {Row{"intent", 1, 8095, 4.04, 53.76, 16.03}, Row{"intent", 13, 8095, 18.74, 87.40, 32.02},
        Row{"intent", 26, 8095, 8.75, 65.98, 23.34}, Row{"law", 13, 8294, 24.14, 84.82, 34.05}}) {
    if (imported != row.task) {
      std::string archive =
          std::string(fixtures) + "/golden/esft/" + row.task + "/expert_weights.tar.xz";
      EsftImportResult result = ImportEsft({.path = archive, .dataset = ""}, Path(row.task));
      EXPECT_EQ(result.n_layers, 26);
      database = store::Run::Open(Path(row.task)).OpenViews({});
      imported = row.task;
    }
    Table table = database->Query(
        "WITH r AS (SELECT sequence, position, expert_0, [expert_0, expert_1, expert_2, expert_3, "
        "expert_4, expert_5] AS s FROM routes JOIN tokens USING (token) WHERE layer = " +
        std::to_string(row.layer) +
        ") SELECT count(*), 100 * avg((a.expert_0 = b.expert_0)::INT), "
        "100 * avg((len(list_intersect(a.s, b.s)) > 0)::INT), "
        "100 * avg(len(list_intersect(a.s, b.s)) / 6) "
        "FROM r a JOIN r b ON a.sequence = b.sequence AND b.position = a.position + 1");
    EXPECT_EQ(std::get<int64_t>(table.rows.at(0).at(0)), row.pairs);
    EXPECT_NEAR(std::get<double>(table.rows.at(0).at(1)), row.first, 0.00501);
    EXPECT_NEAR(std::get<double>(table.rows.at(0).at(2)), row.any, 0.00501);
    EXPECT_NEAR(std::get<double>(table.rows.at(0).at(3)), row.share, 0.00501);
  }
}

}  // namespace
}  // namespace moescope::store
