#include "store/run_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/platform/file.h"
#include "store/run.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

using RunWriterTest = TestDirectory;

// Hashed content by path: all but the run log.
std::map<std::string, std::string> Content(const std::string& directory) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    std::string name = fs::relative(entry.path(), directory).string();
    if (entry.is_directory() || name == "run-log.jsonl") continue;
    content[name] = ReadWholeFile(entry.path().string(), uint64_t{1} << 30);
  }
  return content;
}

SyntheticRun SmallRun() {
  SyntheticRun run;
  run.description = SyntheticDescription(3, 8, 2);
  run.description.tokens_per_part = 4'000;
  run.n_tokens = 21'000;
  return run;
}

int64_t Count(Database& database, const std::string& sql) {
  return std::get<int64_t>(database.Query(sql).rows.at(0).at(0));
}

TEST_F(RunWriterTest, WritesWhatItWasGiven) {
  SyntheticRun run = SmallRun();
  WriteSynthetic(run, Path("run"), 1'000);
  store::Run opened = store::Run::Open(Path("run"));
  EXPECT_TRUE(opened.complete());
  EXPECT_EQ(opened.n_tokens(), run.n_tokens);
  auto database = opened.OpenViews({});
  std::vector<DocumentRecord> documents = run.Documents();
  EXPECT_EQ(Count(*database, "SELECT count(*) FROM documents"),
            static_cast<int64_t>(documents.size()));
  SyntheticWave all = MakeWave(run, documents, 0, 0, run.n_tokens);
  Table tokens = database->Query(
      "SELECT token, document, sequence, position, token_id, byte_start, byte_end, special, phase, "
      "loss FROM tokens ORDER BY token");
  ASSERT_EQ(tokens.rows.size(), all.tokens.size());
  for (size_t i = 0; i < all.tokens.size(); ++i) {
    const TokenRecord& t = all.tokens[i];
    Value loss = std::isnan(t.loss) ? Value() : Value(double{t.loss});
    std::vector<Value> expected = {t.token,
                                   t.document,
                                   t.sequence,
                                   int64_t{t.position},
                                   int64_t{t.token_id},
                                   int64_t{t.byte_start},
                                   int64_t{t.byte_end},
                                   int64_t{t.special},
                                   int64_t{t.phase},
                                   loss};
    ASSERT_EQ(tokens.rows[i], expected) << i;
  }
  for (int layer = 0; layer < 3; ++layer) {
    Table routes = database->Query(
        "SELECT token, expert_0, expert_1, weight_0, weight_1, margin, entropy FROM routes WHERE "
        "layer = " +
        std::to_string(layer) + " ORDER BY token");
    ASSERT_EQ(routes.rows.size(), all.tokens.size());
    const SyntheticWave::Layer& l = all.layers[static_cast<size_t>(layer)];
    for (size_t i = 0; i < all.tokens.size(); ++i) {
      std::vector<Value> expected = {static_cast<int64_t>(i),
                                     int64_t{l.experts[2 * i]},
                                     int64_t{l.experts[2 * i + 1]},
                                     double{l.weights[2 * i]},
                                     double{l.weights[2 * i + 1]},
                                     double{RoundedTo12Bits(l.margins[i])},
                                     double{RoundedTo12Bits(l.entropies[i])}};
      ASSERT_EQ(routes.rows[i], expected) << i;
    }
  }
}

SyntheticRun SmallDenseRun() {
  SyntheticRun run = SmallRun();
  run.description = SyntheticDescription(3, 0, 0);
  run.description.tokens_per_part = 4'000;
  return run;
}

// Names and types of the columns of a query.
std::vector<std::vector<Value>> ColumnsOf(Database& database, const std::string& from) {
  return database.Query("SELECT column_name, column_type FROM (DESCRIBE FROM " + from + ")").rows;
}

TEST_F(RunWriterTest, DenseRunsHoldTokensAndLosses) {
  SyntheticRun run = SmallDenseRun();
  WriteSynthetic(run, Path("dense"), 1'000);
  EXPECT_FALSE(fs::exists(Path("dense/routes")));
  for (const auto& [name, content] : Content(Path("dense"))) {
    bool expected = name == "manifest.json" || name == "vocabulary.parquet" ||
                    name.starts_with("documents/part-") || name.starts_with("tokens/part-");
    EXPECT_TRUE(expected) << name;
  }
  store::Run opened = store::Run::Open(Path("dense"));
  EXPECT_TRUE(opened.complete());
  EXPECT_EQ(opened.description().n_layers, 3);
  auto database = opened.OpenViews({});
  SyntheticWave all = MakeWave(run, run.Documents(), 0, 0, run.n_tokens);
  Table losses = database->Query("SELECT token_id, loss FROM tokens ORDER BY token");
  ASSERT_EQ(losses.rows.size(), all.tokens.size());
  for (size_t i = 0; i < all.tokens.size(); ++i) {
    const TokenRecord& t = all.tokens[i];
    std::vector<Value> expected = {int64_t{t.token_id},
                                   std::isnan(t.loss) ? Value() : Value(double{t.loss})};
    ASSERT_EQ(losses.rows[i], expected) << i;
  }
}

TEST_F(RunWriterTest, DenseBytesDoNotDependOnWavesOrMemory) {
  SyntheticRun run = SmallDenseRun();
  WriteSynthetic(run, Path("a"), 700);
  WriteSynthetic(run, Path("b"), run.n_tokens, uint64_t{256} << 20);
  EXPECT_EQ(Content(Path("a")), Content(Path("b")));
  EXPECT_TRUE(VerifyRun(Path("a")).problems.empty());
}

// What SQL is written for a run with experts runs on a dense one, and finds nothing.
TEST_F(RunWriterTest, ViewsOfRoutesAreThereAndEmptyInDenseRuns) {
  WriteSynthetic(SmallDenseRun(), Path("dense"), 5'000);
  WriteSynthetic(SmallRun(), Path("routed"), 5'000);
  store::Run dense = store::Run::Open(Path("dense"));
  auto database = dense.OpenViews({});
  auto routed = store::Run::Open(Path("routed")).OpenViews({});
  std::vector<std::vector<Value>> columns = ColumnsOf(*routed, "routes");
  std::erase_if(columns, [](const std::vector<Value>& column) {
    const auto& name = std::get<std::string>(column[0]);
    return name.starts_with("expert_") || name.starts_with("weight_");
  });
  EXPECT_EQ(ColumnsOf(*database, "routes"), columns);
  for (const char* from : {"assignments", "expert_tokens(0, 1)", "token_experts(5)"}) {
    EXPECT_EQ(ColumnsOf(*database, from), ColumnsOf(*routed, from)) << from;
  }
  database->LockDown(dense.Files());
  for (const char* from : {"routes", "assignments", "expert_tokens(0, 1)", "token_experts(5)"}) {
    EXPECT_EQ(Count(*database, std::string("SELECT count(*) FROM ") + from), 0) << from;
  }
  EXPECT_EQ(Count(*database, "SELECT count(*) FROM tokens LEFT JOIN routes USING (token)"), 21'000);
}

TEST_F(RunWriterTest, BytesDoNotDependOnWavesOrMemory) {
  SyntheticRun run = SmallRun();
  WriteSynthetic(run, Path("a"), 700);
  WriteSynthetic(run, Path("b"), 5'555, uint64_t{256} << 20);
  WriteSynthetic(run, Path("c"), run.n_tokens);
  auto a = Content(Path("a"));
  EXPECT_EQ(a, Content(Path("b")));
  EXPECT_EQ(a, Content(Path("c")));
  EXPECT_TRUE(VerifyRun(Path("a")).problems.empty());
  EXPECT_FALSE(fs::exists(Path("a/journal")));
  EXPECT_FALSE(fs::exists(Path("a/lock")));
}

}  // namespace
}  // namespace moescope::store
