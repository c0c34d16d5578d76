#include "store/parquet_documents.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "base/error.h"
#include "base/platform/file.h"
#include "store/database.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

class ParquetDocumentsTest : public TestDirectory {
 protected:
  // Writes the rows of a query as NAME.parquet and as NAME.jsonl.
  void WriteBoth(const std::string& name, const std::string& query) const {
    Database database({});
    database.Execute("COPY (" + query + ") TO " + Quoted(Path(name + ".parquet")) +
                     " (FORMAT parquet, ROW_GROUP_SIZE 2048)");
    database.Execute("COPY (" + query + ") TO " + Quoted(Path(name + ".jsonl")) + " (FORMAT json)");
  }

  static std::vector<text::Document> Read(const text::DataSpec& spec) {
    auto source = text::OpenDocuments({spec}, MakeParquetOpener());
    std::vector<text::Document> documents;
    for (text::Document document; source->Next(document);) documents.push_back(document);
    EXPECT_EQ(source->bytes_read(), source->bytes_total());
    return documents;
  }

  // Both files give the same documents, but for the name of the file.
  void ExpectSame(const std::string& name, text::DataSpec spec, size_t n) const {
    spec.name = "d";
    spec.path = Path(name + ".parquet");
    std::vector<text::Document> rows = Read(spec);
    spec.path = Path(name + ".jsonl");
    std::vector<text::Document> lines = Read(spec);
    ASSERT_EQ(rows.size(), n);
    ASSERT_EQ(lines.size(), n);
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(rows[i].text, lines[i].text);
      EXPECT_EQ(rows[i].tokens, lines[i].tokens);
      EXPECT_EQ(rows[i].has_tokens, lines[i].has_tokens);
      auto same_name = [&](std::string of_row, const std::string& of_line) {
        size_t at = of_row.find(".parquet");
        if (at != std::string::npos) of_row.replace(at, 8, ".jsonl");
        EXPECT_EQ(of_row, of_line);
      };
      same_name(rows[i].source, lines[i].source);
      same_name(rows[i].unit, lines[i].unit);
    }
  }
};

TEST_F(ParquetDocumentsTest, RowsAreWhatTheSameJsonWouldBe) {
  WriteBoth("text",
            "SELECT 'line ' || range || chr(10) || '\"\\ \u00e9\U0001F600' AS text, "
            "range // 10 AS book, [range, 2] AS extra FROM range(5000)");
  ExpectSame("text", {.name = {}, .path = {}, .unit_field = {}, .text_template = {}}, 5'000);
  ExpectSame("text", {.name = {}, .path = {}, .unit_field = "book", .text_template = {}}, 5'000);
  WriteBoth("fields",
            "SELECT 'q' || range AS instruction, CASE WHEN range % 2 = 0 THEN NULL ELSE "
            "'c' END AS context, range AS answer FROM range(40)");
  ExpectSame("fields",
             {.name = {},
              .path = {},
              .unit_field = {},
              .text_template = "{instruction}\\n{context}\\n{answer}"},
             40);
  WriteBoth("ids",
            "SELECT [range, range + 1]::INTEGER[] AS tokens, 'here' AS source, "
            "'u' || range AS unit FROM range(30)");
  ExpectSame("ids", {.name = {}, .path = {}, .unit_field = {}, .text_template = {}}, 30);
}

TEST_F(ParquetDocumentsTest, BytesThatAreTextAreRead) {
  Database database({});
  database.Execute("COPY (SELECT 'plain'::BLOB AS text) TO " + Quoted(Path("a.parquet")));
  auto documents =
      Read({.name = "d", .path = Path("a.parquet"), .unit_field = {}, .text_template = {}});
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].text, "plain");
}

TEST_F(ParquetDocumentsTest, DamagedFilesAreRefusedOrRead) {
  Database database({});
  database.Execute("COPY (SELECT 'text ' || range AS text FROM range(300)) TO " +
                   Quoted(Path("a.parquet")) + " (FORMAT parquet)");
  std::string whole = ReadWholeFile(Path("a.parquet"), 1 << 20);
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < 45; ++i) {
    std::string damaged = whole;
    if (i % 3 == 0)
      damaged.resize(random() % whole.size());
    else
      damaged[random() % whole.size()] ^= static_cast<char>(1 + random() % 255);
    Write("b.parquet", damaged);
    try {
      Read({.name = "d", .path = Path("b.parquet"), .unit_field = {}, .text_template = {}});
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("b.parquet"), std::string::npos) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 15);
  Write("c.parquet", "PAR1 not really PAR1");
  EXPECT_THROW(
      Read({.name = "d", .path = Path("c.parquet"), .unit_field = {}, .text_template = {}}), Error);
}

TEST_F(ParquetDocumentsTest, ColumnsThatAreMissingAreNamed) {
  WriteBoth("a", "SELECT 'x' AS body, 'y' AS title");
  try {
    Read({.name = "d", .path = Path("a.parquet"), .unit_field = {}, .text_template = {}});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("body"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace moescope::store
