#include "store/database.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "store/row_source.h"
#include "store/run.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

using DatabaseTest = TestDirectory;

ErrorKind KindOf(Database& database, const std::string& sql) {
  try {
    database.Query(sql);
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.kind();
  }
  ADD_FAILURE() << "accepted: " << sql;
  return ErrorKind::kInternal;
}

TEST(Database, ConvertsEveryKindOfValue) {
  Database database({});
  Table table = database.Query(
      "SELECT true, 1::TINYINT, (-2)::SMALLINT, 3::INTEGER, 4::BIGINT, 5::UTINYINT, 6::USMALLINT, "
      "7::UINTEGER, 8::UBIGINT, 9::HUGEINT, 18446744073709551615::UBIGINT, (-10)::HUGEINT, "
      "0.5::FLOAT, 0.25::DOUBLE, 1.5::DECIMAL(4,1), NULL, NULL::INTEGER, 'text', 'b\\x00c'::BLOB, "
      "DATE '2024-02-03', [1, 2], {'a': 1}");
  std::vector<Value> expected = {int64_t{1},
                                 int64_t{1},
                                 int64_t{-2},
                                 int64_t{3},
                                 int64_t{4},
                                 int64_t{5},
                                 int64_t{6},
                                 int64_t{7},
                                 int64_t{8},
                                 int64_t{9},
                                 0x1p64,
                                 int64_t{-10},
                                 0.5,
                                 0.25,
                                 1.5,
                                 Value(),
                                 Value(),
                                 "text",
                                 std::string("b\0c", 3),
                                 "2024-02-03",
                                 "[1, 2]",
                                 "{'a': 1}"};
  EXPECT_EQ(table.rows.at(0), expected);
}

TEST(Database, StreamsChunksInOrder) {
  Database database({});
  int64_t next = 0;
  database.Stream(
      "SELECT range, range / 2.0, CASE WHEN range % 3 = 0 THEN NULL ELSE 1 END "
      "FROM range(10000)",
      [&](Chunk& chunk) {
        auto integers = chunk.Integers(0);
        auto reals = chunk.Reals(1);
        auto as_reals = chunk.Reals(0);
        for (int64_t row = 0; row < chunk.n_rows(); ++row, ++next) {
          auto i = static_cast<size_t>(row);
          ASSERT_EQ(integers[i], next);
          ASSERT_EQ(reals[i], static_cast<double>(next) / 2);
          ASSERT_EQ(as_reals[i], static_cast<double>(next));
          ASSERT_EQ(chunk.IsNull(2, row), next % 3 == 0);
        }
      });
  EXPECT_EQ(next, 10'000);
}

TEST(Database, SaysWhatIsWrongWithSqlInOneLine) {
  Database database({});
  EXPECT_EQ(KindOf(database, "SELEC 1"), ErrorKind::kBadInput);
  EXPECT_EQ(KindOf(database, ""), ErrorKind::kBadInput);
  EXPECT_EQ(KindOf(database, "-- nothing"), ErrorKind::kBadInput);
  EXPECT_EQ(KindOf(database, "SELECT 1; SELECT 2"), ErrorKind::kBadInput);
  EXPECT_EQ(KindOf(database, std::string("SELECT 1\0", 9)), ErrorKind::kBadInput);
  // An error in the middle of a stream, after chunks that were fine.
  EXPECT_EQ(KindOf(database,
                   "SELECT CASE WHEN range = 9000 THEN 'x' ELSE '1' END::INTEGER FROM "
                   "range(10000)"),
            ErrorKind::kBadInput);
}

TEST(Database, StopsAtItsMemory) {
  Database database({.memory_bytes = uint64_t{40} << 20});
  EXPECT_EQ(KindOf(database, "SELECT list(range) FROM range(100000000)"), ErrorKind::kResource);
  EXPECT_EQ(database.Query("SELECT 1").rows.size(), 1u);  // and goes on
}

TEST(Database, StopsAtItsTime) {
  Database database({.timeout_seconds = 0.2});
  EXPECT_EQ(KindOf(database,
                   "SELECT count(*) FROM range(1000000) a, range(1000000) b, "
                   "range(1000000) c"),
            ErrorKind::kCancelled);
  EXPECT_EQ(database.Query("SELECT 1").rows.size(), 1u);
}

TEST(Database, FetchesNoMoreRowsThanAskedFor) {
  Database database({});
  Table table = database.Query("SELECT * FROM range(100000000)", 5);
  EXPECT_EQ(table.rows.size(), 5u);
  EXPECT_TRUE(table.truncated);
  EXPECT_FALSE(database.Query("SELECT * FROM range(5)", 5).truncated);
}

class Failing final : public RowSource {
 public:
  std::vector<Column> columns() const override { return {{"n", ColumnType::kInt64, 0}}; }
  int64_t n_rows() const override { return 5'000; }
  void Fill(int64_t first, int64_t n, RowSink& sink) override {
    if (first > 0) throw Error(ErrorKind::kNotFound, "row gone");
    auto* out = static_cast<int64_t*>(sink.values(0));
    std::iota(out, out + n, first);
  }
};

TEST(Database, PassesOnWhatARowSourceThrows) {
  Failing rows;
  Database database({});
  database.AddTableFunction("failing", rows);
  EXPECT_EQ(KindOf(database, "SELECT sum(n) FROM failing()"), ErrorKind::kNotFound);
}

// All entries below a folder with their sizes, to see that nothing was touched.
std::set<std::string> Listing(const std::filesystem::path& root) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    uintmax_t size = entry.is_directory() ? 0 : entry.file_size();
    names.insert(entry.path().string() + " " + std::to_string(size));
  }
  return names;
}

TEST_F(DatabaseTest, HostileSqlTouchesNoFile) {
  SyntheticRun synthetic{.description = SyntheticDescription(2, 8, 2), .n_tokens = 3'000};
  WriteSynthetic(synthetic, Path("run"), 1'000);
  Write("secret.csv", "a,b\n1,2\n");
  store::Run run = store::Run::Open(Path("run"));
  std::set<std::string> before = Listing(root_);
  auto database = run.OpenViews({.memory_bytes = uint64_t{64} << 20, .timeout_seconds = 2});
  database->LockDown(run.Files());
  std::string in_run = run.Files().at(0);
  for (std::string sql : {
           "COPY tokens TO '$/out.csv'",
           "COPY (SELECT 1) TO '$/out.parquet' (FORMAT parquet)",
           "COPY (SELECT 1) TO '@' (FORMAT parquet)",
           "EXPLAIN ANALYZE COPY (SELECT 1) TO '@' (FORMAT parquet)",
           "EXPORT DATABASE '$/out'",
           "IMPORT DATABASE '$'",
           "ATTACH '$/other.db'",
           "ATTACH ':memory:' AS other",
           "INSTALL httpfs",
           "LOAD httpfs",
           "LOAD '$/secret.csv'",
           "FORCE INSTALL json FROM 'http://127.0.0.1:1'",
           "SELECT * FROM read_text('$/secret.csv')",
           "SELECT * FROM read_blob('$/*')",
           "SELECT * FROM read_csv('$/secret.csv')",
           "SELECT * FROM '$/secret.csv'",
           "SELECT * FROM read_json('/etc/passwd')",
           "SELECT * FROM read_parquet('$/run/../secret.csv')",
           "SELECT * FROM read_text('$/run/manifest.json')",
           "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
           "SELECT * FROM sniff_csv('$/secret.csv')",
           "SELECT * FROM glob('$/*')",
           "SELECT * FROM parquet_metadata('$/secret.csv')",
           "SELECT * FROM query('COPY (SELECT 1) TO ''$/x.csv''')",
           "SELECT getenv('HOME')",
           "SELECT * FROM duckdb_extensions()",
           "SET memory_limit = '100GB'",
           "SET enable_external_access = true",
           "SET allowed_directories = ['/']",
           "RESET ALL",
           "PRAGMA memory_limit = '100GB'",
           "PRAGMA enable_profiling = 'json'",
           "PRAGMA profiling_output = '$/profile.json'",
           "CALL enable_logging('QueryLog')",
           "FROM enable_logging('QueryLog', storage = 'file', storage_path = '$/log')",
           "FROM system.main.enable_logging('FileSystem', storage_config = {'path': '@'})",
           "FROM query('FROM enable_' || 'logging(''QueryLog'')')",
           "SELECT * FROM tokens WHERE token IN (SELECT 1 FROM truncate_duckdb_logs())",
           "FROM json_execute_serialized_sql(json_serialize_sql('FROM checkpoint()'))",
           "SELECT (SELECT count(*) FROM force_checkpoint())",
           "CREATE TABLE t (a INTEGER)",
           "CREATE TEMP TABLE t AS SELECT 1",
           "CREATE OR REPLACE VIEW tokens AS SELECT 1",
           "CREATE PERSISTENT SECRET s (TYPE http)",
           "DROP VIEW tokens",
           "DELETE FROM tokens",
           "PREPARE p AS SELECT 1",
           "BEGIN",
           "CHECKPOINT",
           "VACUUM",
           "SELECT * FROM arrow_scan_dumb(1, 2, 3)",
           "SELECT * FROM seq_scan('x')",
           "SELECT count(*) FROM routes a, routes b, routes c, routes d",
           "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
       }) {
    for (size_t at; (at = sql.find('$')) != std::string::npos;) sql.replace(at, 1, root_.string());
    for (size_t at; (at = sql.find('@')) != std::string::npos;) sql.replace(at, 1, in_run);
    EXPECT_NE(KindOf(*database, sql), ErrorKind::kInternal) << sql;
  }
  database.reset();
  EXPECT_EQ(Listing(root_), before);
  EXPECT_TRUE(VerifyRun(Path("run")).problems.empty());
}

TEST_F(DatabaseTest, LockedRunsStillAnswer) {
  SyntheticRun synthetic{.description = SyntheticDescription(2, 8, 2), .n_tokens = 3'000};
  WriteSynthetic(synthetic, Path("it's a run"), 1'000);
  store::Run run = store::Run::Open(Path("it's a run"));
  auto database = run.OpenViews({});
  database->LockDown(run.Files());
  auto count = [&](const char* sql) {
    return std::get<int64_t>(database->Query(sql).rows.at(0).at(0));
  };
  EXPECT_EQ(count("SELECT count(*) FROM tokens"), 3'000);
  EXPECT_EQ(count("SELECT count(*) FROM routes"), 6'000);
  EXPECT_EQ(count("SELECT count(*) FROM assignments"), 12'000);
  EXPECT_EQ(count("SELECT count(*) FROM vocabulary"), 256);
  EXPECT_EQ(count("SELECT count(*) FROM (SELECT unnest([1, 2])), range(2), generate_series(1, 2)"),
            8);
  EXPECT_EQ(database->Query("SELECT '\"Function\": \"ENABLE_LOGGING\"' AS text").rows.size(), 1u);
  EXPECT_GT(database->Query("DESCRIBE tokens").rows.size(), 5u);
  EXPECT_GT(database->Query("SHOW TABLES").rows.size(), 4u);
  EXPECT_EQ(database->Query("SUMMARIZE tokens").rows.size(), 10u);
}

TEST_F(DatabaseTest, MacrosAgreeWithAssignments) {
  SyntheticRun synthetic{.description = SyntheticDescription(3, 8, 3), .n_tokens = 5'000};
  WriteSynthetic(synthetic, Path("run"), 1'000);
  auto database = store::Run::Open(Path("run")).OpenViews({});
  Table macro = database->Query(
      "SELECT token_id, n, round(mean_weight, 5) FROM expert_tokens(1, 4) ORDER BY token_id");
  Table plain = database->Query(
      "SELECT token_id, count(*), round(avg(weight), 5) FROM assignments JOIN tokens USING (token) "
      "WHERE layer = 1 AND expert = 4 GROUP BY token_id ORDER BY token_id");
  EXPECT_GT(macro.rows.size(), 100u);
  EXPECT_EQ(macro.rows, plain.rows);
  macro = database->Query(
      "SELECT layer, expert, n, n_first, round(mean_weight, 5) "
      "FROM token_experts(0) ORDER BY ALL");
  plain = database->Query(
      "SELECT layer, expert, count(*), count(*) FILTER (rank = 0), round(avg(weight), 5) FROM "
      "assignments JOIN tokens USING (token) WHERE token_id = 0 GROUP BY ALL ORDER BY ALL");
  EXPECT_EQ(macro.rows.size(), 24u);
  EXPECT_EQ(macro.rows, plain.rows);
}

}  // namespace
}  // namespace moescope::store
