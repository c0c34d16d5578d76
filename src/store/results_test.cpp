#include "store/results.h"

#include "base/error.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

class ResultsTest : public TestDirectory {
 protected:
  static std::vector<ResultTable> Tables() {
    ResultTable items{.name = "items",
                      .columns = {{"item", ColumnType::kInt64},
                                  {"text", ColumnType::kText},
                                  {"loss", ColumnType::kFloat},
                                  {"right", ColumnType::kBool}},
                      .rows = {}};
    for (int64_t i = 0; i < 5000; ++i) {
      items.rows.push_back({i, i % 2 == 0 ? Value("a\xFF") : Value(), 0.5, int64_t{i % 3 == 0}});
    }
    return {items};
  }
};

TEST_F(ResultsTest, ComeBackAsViews) {
  EXPECT_FALSE(Results::AreIn(Path("r")));
  WriteResults(Path("r"), {{}, {{"task", "cloze"}}}, Tables());
  ASSERT_TRUE(Results::AreIn(Path("r")));
  const auto database = Results::Open(Path("r")).OpenViews({});
  const Table table = database->Query(
      "SELECT count(*), sum(item)::BIGINT, sum(\"right\"::INT)::BIGINT, count(text), sum(loss), "
      "min(text) FROM items");
  EXPECT_EQ(table.rows[0], (std::vector<Value>{int64_t{5000}, int64_t{12497500}, int64_t{1667},
                                               int64_t{2500}, 2500.0, "a\xEF\xBF\xBD"}));
}

TEST_F(ResultsTest, AreTheSameBytesEachTimeAndNeverWrittenOver) {
  WriteResults(Path("a"), {{}, {}}, Tables());
  WriteResults(Path("b"), {{}, {}}, Tables());
  for (const char* name : {"/items.parquet", "/results.json"}) {
    std::ifstream a(Path("a") + name), b(Path("b") + name);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(a), {}),
              std::string(std::istreambuf_iterator<char>(b), {}));
  }
  EXPECT_THROW(WriteResults(Path("a"), {{}, {}}, Tables()), Error);
  EXPECT_THROW(RequireFreeDirectory(Path("a")), Error);
  RequireFreeDirectory(Path("c"));
  EXPECT_FALSE(std::filesystem::exists(Path("c")));
}

TEST_F(ResultsTest, RefuseDamagedTables) {
  WriteResults(Path("r"), {{}, {}}, Tables());
  Write("r/items.parquet", "not Parquet");
  EXPECT_THROW(Results::Open(Path("r")).OpenViews({}), Error);
  std::filesystem::remove(Path("r/items.parquet"));
  EXPECT_THROW(Results::Open(Path("r")), Error);
}

}  // namespace
}  // namespace moescope::store
