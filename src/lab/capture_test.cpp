#include "lab/capture.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "lab/trace.h"
#include "store/database.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

// A file of NumPy's format 1.0, as NEP 1 describes it.
struct Array {
  std::string header;
  std::vector<float> values;
};
Array ReadArray(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t size =
      static_cast<uint8_t>(bytes[8]) + 256 * static_cast<size_t>(static_cast<uint8_t>(bytes[9]));
  Array array;
  array.header = bytes.substr(10, size);
  array.values.resize((bytes.size() - 10 - size) / sizeof(float));
  std::memcpy(array.values.data(), bytes.data() + 10 + size, array.values.size() * sizeof(float));
  return array;
}

class CaptureTest : public store::TestDirectory {
 protected:
  void SetUp() override {
    store::TestDirectory::SetUp();
    const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
    if (root == nullptr) GTEST_SKIP() << "no source folder named";
    model_ = std::string(root) + "/demo/demo-mixtral-Q8_0.gguf";
    opened_ = OpenTextModel(model_);
    std::ofstream(Path("text.jsonl"))
        << "{\"text\": \"Once upon a time there was a king who had two daughters.\"}\n"
        << "{\"text\": \"def main():\\n    return 0\\n\"}\n"
        << "{\"text\": \"The end of the story is not yet known to anybody here.\"}\n";
    trace_.model = model_;
    trace_.data.resize(1);
    trace_.data[0].name = "text";
    trace_.data[0].path = Path("text.jsonl");
    trace_.n_threads = 2;
  }

  store::Run Traced(const std::string& name) {
    trace_.output = Path(name);
    Trace(trace_);
    return store::Run::Open(Path(name));
  }
  CaptureOptions Options(const std::string& sql, const std::string& output) const {
    CaptureOptions options;
    options.sites = {CaptureSite::kResidualAfterAttention, CaptureSite::kResidualAfterMoe,
                     CaptureSite::kExpertInput, CaptureSite::kExpertOutput};
    options.layers = {2, 5};
    options.rows_sql = sql;
    options.output = Path(output);
    options.n_threads = 2;
    return options;
  }
  store::Table Rows(const std::string& output, const std::string& site) const {
    store::Database database(store::DatabaseOptions{});
    return database.Query("SELECT * FROM read_parquet(" +
                          store::Quoted(Path(output) + "/" + site + ".parquet") + ")");
  }

  std::string model_;
  TextModel opened_;
  TraceOptions trace_;
};

// The residual after the experts is the one before plus the weighted outputs, in slot order.
TEST_F(CaptureTest, WhatIsCapturedAddsUp) {
  const store::Run run = Traced("run");
  const CaptureSummary summary =
      Capture(opened_, run, Options("SELECT token FROM tokens WHERE position % 3 = 1", "out"));
  EXPECT_EQ(summary.n_sequences, 3);
  const Array before = ReadArray(Path("out/residual_after_attention.npy"));
  const Array after = ReadArray(Path("out/residual_after_moe.npy"));
  const Array outputs = ReadArray(Path("out/expert_output.npy"));
  const store::Table rows = Rows("out", "expert_output");
  const auto dim = static_cast<size_t>(opened_.model->config().model_dim);
  const auto n = static_cast<size_t>(2 * summary.n_tokens);
  ASSERT_EQ(before.values.size(), n * dim);
  ASSERT_EQ(outputs.values.size(), 2 * n * dim);
  ASSERT_EQ(rows.rows.size(), 2 * n);
  EXPECT_NE(after.header.find("'shape': (" + std::to_string(n) + ", " + std::to_string(dim) + ")"),
            std::string::npos);
  for (size_t row = 0; row < n; ++row) {
    for (size_t d = 0; d < dim; ++d) {
      float sum = before.values[row * dim + d];
      for (size_t slot = 0; slot < 2; ++slot) {
        const auto weight = static_cast<float>(std::get<double>(rows.rows[2 * row + slot][4]));
        sum += weight * outputs.values[(2 * row + slot) * dim + d];
      }
      ASSERT_EQ(sum, after.values[row * dim + d]) << row << " " << d;
    }
  }
}

TEST_F(CaptureTest, RowsSayWhoTheyAreAsTheRunDoes) {
  const store::Run run = Traced("run");
  Capture(opened_, run,
          Options("SELECT token FROM routes WHERE layer = 5 AND expert_0 = 1", "out"));
  const auto database = run.OpenViews({});
  for (const std::vector<store::Value>& row : Rows("out", "expert_input").rows) {
    const auto token = std::get<int64_t>(row[0]), layer = std::get<int64_t>(row[1]),
               slot = std::get<int64_t>(row[2]);
    const store::Table stored = database->Query(
        "SELECT expert_" + std::to_string(slot) + ", weight_" + std::to_string(slot) +
        ", token_id, sequence, position FROM routes JOIN tokens USING (token) WHERE token = " +
        std::to_string(token) + " AND layer = " + std::to_string(layer));
    ASSERT_EQ(stored.rows.size(), 1u);
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(stored.rows[0][i], row[3 + i]) << token << " " << i;
    if (layer == 5 && slot == 0) {
      EXPECT_EQ(std::get<int64_t>(row[3]), 1);
    }
  }
}

TEST_F(CaptureTest, HasTheSameBytesForAnyThreadsAndWaves) {
  const store::Run run = Traced("run");
  CaptureOptions options = Options("SELECT token FROM tokens", "one");
  Capture(opened_, run, options);
  options.output = Path("two");
  options.n_threads = 1;
  options.wave_tokens = 8;
  const CaptureSummary summary = Capture(opened_, run, options);
  EXPECT_GT(summary.n_waves, 1);
  for (const char* name : {"expert_output.npy", "expert_output.parquet", "capture.json"}) {
    std::ifstream a(Path("one/") + name, std::ios::binary),
        b(Path("two/") + name, std::ios::binary);
    EXPECT_TRUE(std::equal(std::istreambuf_iterator<char>(a), {}, std::istreambuf_iterator<char>(b),
                           std::istreambuf_iterator<char>()))
        << name;
  }
}

TEST_F(CaptureTest, HoldsTheInterventionsOfTheRun) {
  trace_.changes.interventions = {"mask@2:1"};
  const store::Run run = Traced("run");
  Capture(opened_, run, Options("SELECT token FROM tokens", "out"));
  for (const std::vector<store::Value>& row : Rows("out", "expert_output").rows) {
    if (std::get<int64_t>(row[1]) == 2) {
      EXPECT_NE(std::get<int64_t>(row[3]), 1);
    }
  }
}

TEST_F(CaptureTest, PutsValuesIntoParquetWhenAsked) {
  const store::Run run = Traced("run");
  CaptureOptions options = Options("SELECT token FROM tokens LIMIT 5", "out");
  options.sites = {CaptureSite::kResidualAfterMoe};
  Capture(opened_, run, options);
  const Array array = ReadArray(Path("out/residual_after_moe.npy"));
  options.output = Path("parquet");
  options.parquet = true;
  Capture(opened_, run, options);
  EXPECT_FALSE(std::ifstream(Path("parquet/residual_after_moe.npy")).good());
  store::Database database(store::DatabaseOptions{});
  const store::Table rows =
      database.Query("SELECT values[3] FROM read_parquet(" +
                     store::Quoted(Path("parquet/residual_after_moe.parquet")) + ")");
  const auto dim = static_cast<size_t>(opened_.model->config().model_dim);
  ASSERT_EQ(rows.rows.size() * dim, array.values.size());
  for (size_t row = 0; row < rows.rows.size(); ++row) {
    EXPECT_EQ(static_cast<float>(std::get<double>(rows.rows[row][0])), array.values[row * dim + 2]);
  }
}

TEST_F(CaptureTest, RefusesRowsThatAreNotThereAndLeavesNothing) {
  const store::Run run = Traced("run");
  for (const char* sql : {"SELECT 1 AS token_id", "SELECT 1000000 AS token",
                          "SELECT token FROM nowhere", "SELECT token FROM tokens WHERE false"}) {
    EXPECT_THROW(Capture(opened_, run, Options(sql, "out")), Error) << sql;
    EXPECT_FALSE(std::ifstream(Path("out/capture.json")).good());
  }
}

}  // namespace
}  // namespace moescope::lab
