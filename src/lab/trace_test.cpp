// Trace on the demo model and the project's own samples: what the store holds must follow from the
// router logits it holds, row by row.
#include "lab/trace.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "store/run.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;

fs::path SourceFile(const std::string& name) {
  const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
  return fs::path(root != nullptr ? root : ".") / name;
}

TraceOptions SampleOptions(const std::string& run) {
  TraceOptions options;
  options.model = SourceFile("demo/demo-mixtral-Q8_0.gguf").string();
  for (const char* name : {"python", "german"}) {
    text::DataSpec spec;
    spec.name = name;
    spec.path = SourceFile("demo/samples/" + std::string(name) + ".jsonl").string();
    options.data.push_back(spec);
  }
  options.policy.chunk = 128;
  options.policy.max_tokens = 1500;
  // ctest runs tests of this program side by side.
  options.output = (fs::path(testing::TempDir()) / (run + std::to_string(getpid()))).string();
  options.n_threads = 2;
  fs::remove_all(options.output);
  return options;
}

// The single number a query gives.
int64_t Count(store::Database& database, const std::string& sql) {
  return std::get<int64_t>(database.Query("select count(*)::bigint from " + sql).rows.at(0).at(0));
}

class TraceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    options_ = SampleOptions("trace_test");
    options_.logits = true;
    summary_ = Trace(options_);
  }
  static void TearDownTestSuite() { fs::remove_all(options_.output); }
  std::unique_ptr<store::Database> Open() {
    return store::Run::Open(options_.output).OpenViews({});
  }

  static TraceOptions options_;
  static TraceSummary summary_;
};
TraceOptions TraceTest::options_;
TraceSummary TraceTest::summary_;

TEST_F(TraceTest, StoresEveryTokenAtEveryLayer) {
  auto database = Open();
  EXPECT_EQ(summary_.n_tokens, 1500);
  EXPECT_EQ(Count(*database, "tokens"), 1500);
  EXPECT_EQ(Count(*database, "routes"), 1500 * 8);
  EXPECT_EQ(Count(*database, "(select layer from routes group by layer having count(*) = 1500)"),
            8);
  EXPECT_EQ(Count(*database, "assignments"), 1500 * 8 * 2);
}

TEST_F(TraceTest, ChoicesFollowFromTheStoredLogits) {
  auto database = Open();
  // The first choice has the largest logit, the second the next: no other expert lies between.
  EXPECT_EQ(
      Count(*database,
            "routes where logits[expert_0 + 1] <> list_max(logits) or logits[expert_1 + 1] <> "
            "list_sort(logits, 'desc')[2]"),
      0);
  EXPECT_EQ(Count(*database,
                  "routes where abs(weight_0 - 1 / (1 + exp(logits[expert_1 + 1] - "
                  "logits[expert_0 + 1]))) > 1e-6 or abs(weight_0 + weight_1 - 1) > 1e-6"),
            0);
  // Margin and entropy are rounded to 12 bits of mantissa: 2^-12 relative.
  EXPECT_EQ(Count(*database,
                  "routes where abs(margin - (list_sort(logits, 'desc')[2] - "
                  "list_sort(logits, 'desc')[3])) > margin * 0.00025 + 1e-6"),
            0);
  EXPECT_EQ(Count(*database,
                  "(select entropy, -list_sum(list_transform(logits, x -> exp(x) / z * ln(exp(x) / "
                  "z))) as h "
                  "from (select *, list_sum(list_transform(logits, x -> exp(x::double))) as z from "
                  "routes)) "
                  "where abs(entropy - h) > h * 0.00025 + 1e-5"),
            0);
}

TEST_F(TraceTest, LossesAreThereUntilTheLastTokenOfEachSequence) {
  auto database = Open();
  EXPECT_EQ(Count(*database,
                  "(select sequence, max(position) as last from tokens group by sequence) "
                  "join tokens using (sequence) where (loss is null) <> (position = last)"),
            0);
  EXPECT_EQ(Count(*database, "tokens where loss < 0"), 0);
  EXPECT_EQ(Count(*database, "tokens where position >= 128"), 0);
}

TEST_F(TraceTest, BosIsFlaggedOnceADocumentAndBytesCoverTheText) {
  auto database = Open();
  EXPECT_EQ(Count(*database, "tokens where special"), Count(*database, "documents"));
  EXPECT_EQ(Count(*database,
                  "tokens t join documents d using (document) where special and t.token <> "
                  "d.first_token"),
            0);
  // Whole documents (the last may be cut by max_tokens) are covered to their last byte.
  EXPECT_EQ(Count(*database,
                  "(select document, max(byte_end) as covered from tokens group by document) join "
                  "documents using (document) where covered <> n_bytes and document < (select "
                  "max(document) from documents)"),
            0);
}

TEST_F(TraceTest, ACompleteRunIsLeftAlone) {
  auto written = fs::last_write_time(fs::path(options_.output) / "manifest.json");
  TraceSummary again = Trace(options_);
  EXPECT_TRUE(again.was_complete);
  EXPECT_EQ(again.n_tokens, 0);
  EXPECT_EQ(fs::last_write_time(fs::path(options_.output) / "manifest.json"), written);
}

TEST_F(TraceTest, RefusesToGoOnWithAnotherChunkAndNamesIt) {
  TraceOptions other = options_;
  other.policy.chunk = 64;
  try {
    Trace(other);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("chunk"), std::string::npos) << error.what();
  }
}

TEST(Trace, RecordsThePrecisionAndGoesOnWithNoOther) {
  TraceOptions options = SampleOptions("trace_precision");
  options.precision = engine::Precision::kFast;
  options.policy.max_tokens = 300;
  Trace(options);
  EXPECT_EQ(store::Run::Open(options.output).description().precision, "fast");
  options.precision = engine::Precision::kExact;
  try {
    Trace(options);
    ADD_FAILURE() << "went on";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("precision: \"fast\", not \"exact\""),
              std::string::npos)
        << error.what();
  }
  fs::remove_all(options.output);
}

TEST(Trace, ReadsEachWeightOnceAWave) {
  TraceOptions options = SampleOptions("trace_bytes");
  options.output.clear();
  options.wave_tokens = 512;
  TraceSummary small = Trace(options);
  options.wave_tokens = 0;
  TraceSummary whole = Trace(options);
  EXPECT_EQ(whole.n_waves, 1);
  EXPECT_GT(small.n_waves, 2);
  EXPECT_EQ(small.weight_bytes, whole.weight_bytes * static_cast<uint64_t>(small.n_waves));
  uint64_t file_bytes = fs::file_size(options.model);
  EXPECT_LT(whole.weight_bytes, file_bytes);
  EXPECT_GT(whole.weight_bytes, file_bytes * 9 / 10);
}

}  // namespace
}  // namespace moescope::lab
