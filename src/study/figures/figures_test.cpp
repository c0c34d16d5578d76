#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "store/test_directory.h"
#include "study/analysis/tiny_run.h"
#include "study/figures/figure_table.h"
#include "study/figures/line_plot.h"
#include "study/figures/palette.h"
#include "study/figures/repetition_curves.h"
#include "study/figures/routed_text.h"
#include "study/figures/terminal.h"
#include "study/figures/text_table.h"
#include "study/figures/utf8.h"

namespace moescope::study {
namespace {

TEST(Utf8, AgreesWithTheDefinitionOnAllCodePoints) {
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code == 0xd800) code = 0xe000;
    std::string text;
    AppendUtf8(code, text);
    const Character character = NextCharacter(text, 0);
    ASSERT_TRUE(character.valid) << code;
    ASSERT_EQ(character.code, code);
    ASSERT_EQ(character.n_bytes, text.size());
  }
}

TEST(Utf8, RefusesWhatIsNotUtf8) {
  for (const char* text :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(NextCharacter(text, 0).valid);
    EXPECT_EQ(NextCharacter(text, 0).n_bytes, 1u);
  }
}

TEST(TextTable, AlignsByWhatATerminalShows) {
  TextTable table;
  table.AddColumn("name", TextTable::Align::kLeft);
  table.AddColumn("n");
  table.AddRow({"é", "1"});
  table.AddRow({"日本", "22"});
  table.AddGap();
  table.AddRow({"\x1b[1mab\x1b[0m", "3"});
  EXPECT_EQ(table.Format(),
            "name   n\n"
            "é      1\n"
            "日本  22\n"
            "\n"
            "\x1b[1mab\x1b[0m     3\n");
}

TEST(FigureTable, ATableInACellIsAListOfRows) {
  FigureTable table;
  table.figure = "counts";
  table.columns = {"name", "counts"};
  table.rows = {{std::string("a"), CountTable{2, {1, 2, 3, 4}}}, {std::string("b"), CountTable{}}};
  const auto json = nlohmann::json::parse(FigureJson(table, {}));
  EXPECT_EQ(json["rows"][0]["counts"].dump(), "[[1,2],[3,4]]");
  EXPECT_EQ(json["rows"][1]["counts"].dump(), "[]");
  EXPECT_EQ(FigureCsv(table), "name,counts\r\na,1 2;3 4\r\nb,\r\n");
}

TEST(LinePlot, DrawsALineFromCornerToCornerAndLeavesGapsOut) {
  const std::vector<PlotLine> rising = {{{0.1, 0.3}, 0, false}};
  EXPECT_EQ(LinePlot(rising, {"0", "7"}, {8, 2}, false),
            "  30.0 ┤    ⣀⠤⠒⠉\n"
            "  10.0 ┤⣀⠤⠒⠉\n"
            "        0      7\n");
  const double none = std::nan("");
  EXPECT_EQ(LinePlot({{{none, none}, 0, false}}, {"0", "1"}, {8, 2}, false), "");
  // Only the last stretch has two ends.
  const std::string gap =
      LinePlot({{{0.1, none, 0.2, 0.3}, 0, false}}, {"0", "1", "2", "3"}, {9, 2}, false);
  EXPECT_NE(gap.find("30.0 ┤      ⡠⠔⠊\n  10.0 ┤⡀\n"), std::string::npos) << gap;
}

RepetitionCell Cell10(const char* dataset, int layer, int lag, double share) {
  RepetitionCell cell;
  cell.dataset = dataset;
  cell.layer = layer;
  cell.lag = lag;
  cell.pairs = 100;
  cell.first_repeat = cell.any_overlap = share;
  cell.uniform = cell.marginal = cell.shuffle = cell.token = {0.125, 0.125};
  return cell;
}

TEST(RepetitionCurves, ALineForEachDataSetWithItsNullBeneath) {
  const std::vector<RepetitionCell> cells = {
      Cell10("arxiv", 0, 1, 0.14), Cell10("arxiv", 1, 1, 0.3), Cell10("wiki\n", 0, 1, 0.14),
      Cell10("wiki\n", 1, 1, 0.2)};
  const std::string text = RepetitionByLayerText(cells, {});
  EXPECT_NE(text.find("arxiv            ▁█        14.0  30.0"), std::string::npos) << text;
  EXPECT_NE(text.find("wiki␊"), std::string::npos);
  EXPECT_NE(text.find("marginal null  ██        12.5  12.5"), std::string::npos) << text;
}

TEST(RepetitionCurves, LagsAreColumnsAndFigureRowsNameTheirLag) {
  const std::vector<RepetitionCell> cells = {Cell10("arxiv", 3, 1, 0.3), Cell10("arxiv", 3, 4, 0.2),
                                             Cell10("arxiv", 3, 64, 0.1)};
  const std::string text = RepetitionByLagText(cells, {});
  EXPECT_NE(text.find("arxiv         3  █▅▁     30.0  20.0  10.0  12.5"), std::string::npos)
      << text;
  const FigureTable table = RepetitionByLagFigure(cells, false);
  EXPECT_EQ(table.figure, "lags");
  EXPECT_EQ(table.rows.size(), 3u);
  for (const auto& [name, value] : table.about) EXPECT_NE(name, "lag");
}

TEST(TextTable, NeverPassesControlCharactersOn) {
  EXPECT_EQ(Printable("a\x1b[2J\nb"), "a␛[2J␊b");
  EXPECT_EQ(Printable("\xff"), "\ufffd");
  EXPECT_EQ(Printable("\xc2\x9b"), "␡");  // the one-character form of ESC [
}

TEST(TextTable, BarsAreInEighths) {
  EXPECT_EQ(Bar(0, 4), "");
  EXPECT_EQ(Bar(1, 2), "██");
  EXPECT_EQ(Bar(0.5, 1), "▌");
  EXPECT_EQ(Bar(1e-9, 4), "▏");
  EXPECT_EQ(Spark(1), "█");
  EXPECT_EQ(Spark(std::nan("")), " ");
}

TEST(FigureTable, JsonHasOneObjectARowAndTheStatementBesideThem) {
  RepetitionCell cell;
  cell.dataset = "quo\"ted \xff";
  cell.layer = 3;
  cell.pairs = 10;
  cell.first_repeat = 0.25;
  cell.token = {std::nan(""), std::nan("")};
  cell.first_repeat_interval = {0.125, 0.5};
  const auto json = nlohmann::json::parse(FigureJson(RepetitionFigure({cell}), Statement()));
  const auto& row = json["rows"][0];
  EXPECT_EQ(row["dataset"], "quo\"ted \ufffd");
  EXPECT_EQ(row["layer"], 3);
  EXPECT_EQ(row["first_repeat"], 0.25);
  EXPECT_EQ(row["first_repeat_low"], 0.125);
  EXPECT_EQ(row["first_repeat_high"], 0.5);
  EXPECT_TRUE(row["first_repeat_null_token"].is_null());
  EXPECT_TRUE(row["any_overlap_low"].is_null());
  EXPECT_EQ(row["first_repeat_null_marginal"], 0.0);
  for (const char* key :
       {"model_identity", "expert_type", "router_type", "experts_per_token", "tokenizer", "bos",
        "chunk", "tokens", "units", "precision", "kernel_level", "seed"}) {
    EXPECT_TRUE(json["statement"].contains(key)) << key;
  }
  EXPECT_EQ(nlohmann::json::parse(FigureJson(FigureTable{}, Statement()))["rows"].size(), 0u);
}

TEST(FigureTable, CsvQuotesWhatNeedsIt) {
  FigureTable table;
  table.columns = {"a", "b", "c"};
  table.rows = {{std::string("x,\"y\""), 0.1, Cell()}, {std::string("plain"), int64_t{7}, 2.0}};
  EXPECT_EQ(FigureCsv(table), "a,b,c\r\n\"x,\"\"y\"\"\",0.1,\r\nplain,7,2\r\n");
}

TEST(Palette, ColoursRepeatBeyondEightAndAreWrittenInHex) {
  EXPECT_EQ(HexColour(ExpertColour(0)), "#77aadd");
  EXPECT_EQ(HexColour(ExpertColour(8)), "#77aadd");
  EXPECT_EQ(HexColour(ExpertColour(-1)), "#dddddd");
}

TEST(RoutedText, PiecesOfOneCharacterAreShownWithTheFirst) {
  EXPECT_EQ(DisplayPieces({"a", "\xc3", "\xa9", "\n", "\t", "\x1b", "\xff"}),
            (std::vector<std::string>{"a", "é", "", "↵", "→", "␛", "\ufffd"}));
}

RoutedText Example() {
  RoutedText text;
  text.dataset = "code";
  text.unit = "u";
  text.bytes = {"def", " f", "\n", "x"};
  text.token_ids = {0, 1, 2, 3};
  text.positions = {1, 2, 3, 4};
  text.layers = {0};
  text.first_choice = {{0, 7, 2, -1}};
  return text;
}

TEST(RoutedText, PrintsNumbersUnderTokensWhereThereIsNoColour) {
  const std::string text = RoutedTextText({Example()}, 8, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("def f↵\n0  7 2\nx\n-\n"), std::string::npos) << text;
}

TEST(RoutedText, ColoursEachTokenByItsFirstChoice) {
  TerminalStyle style;
  style.colour = true;
  const std::string text = RoutedTextText({Example()}, 8, style);
  EXPECT_NE(text.find("\x1b[48;2;119;170;221m\x1b[30mdef\x1b[0m"), std::string::npos);
  EXPECT_NE(text.find("\x1b[48;2;221;221;221m\x1b[30mx\x1b[0m"), std::string::npos);
  EXPECT_EQ(text.find("₀"), std::string::npos);
  EXPECT_NE(RoutedTextText({Example()}, 16, style).find("def₀"), std::string::npos);
}

TEST(RoutedText, LongLinesBreakAtTheWidth) {
  RoutedText text = Example();
  text.bytes.assign(50, "word ");
  text.token_ids.assign(50, 0);
  text.positions.assign(50, 0);
  text.first_choice = {std::vector<int16_t>(50, 1)};
  for (bool colour : {false, true}) {
    const std::string out = RoutedTextText({text}, 8, {colour, 40});
    for (size_t begin = 0; begin < out.size();) {
      const size_t end = out.find('\n', begin);
      if (out.compare(begin, 5, "First") != 0 && out.compare(begin, 3, "The") != 0) {
        EXPECT_LE(DisplayWidth(out.substr(begin, end - begin)), 40);
      }
      begin = end + 1;
    }
  }
}

using RoutedTexts = store::TestDirectory;

TEST_F(RoutedTexts, AreRebuiltFromTheVocabulary) {
  WriteTinyRun(Path("run"), 2, 4, 2,
               {{"a", "u", {{"<s>", {0, 1, 0, 1}}, {"He", {2, 1, 3, 0}}, {"y", {1, 0, 2, 1}}}},
                {"b", "v", {{"<s>", {0, 1, 0, 1}}, {"Yo", {-1, 1, 0, 1}}}}});
  const store::Run run = store::Run::Open(Path("run"));
  auto database = run.OpenViews({});
  const auto texts = LoadRoutedTexts(run, *database, {0, 1}, {});
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0].bytes, (std::vector<std::string>{"He", "y"}));
  EXPECT_EQ(texts[0].positions, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(texts[0].first_choice[1], (std::vector<int16_t>{3, 2}));
  EXPECT_EQ(texts[1].first_choice[0], (std::vector<int16_t>{-1}));
  EXPECT_EQ(RoutedTextFigure(texts).rows.size(), 6u);
  RoutedTextOptions options;
  options.documents = {2};
  EXPECT_THROW(LoadRoutedTexts(run, *database, {0}, options), Error);
  options.documents = {0};
  options.max_tokens = 1;
  EXPECT_EQ(LoadRoutedTexts(run, *database, {0}, options)[0].bytes.size(), 1u);
}

}  // namespace
}  // namespace moescope::study
