// Rows and text of the figures about routes: that they say what was computed.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "study/figures/card_figure.h"
#include "study/figures/diff_figure.h"
#include "study/figures/minimal_pair_figure.h"
#include "study/figures/paths_figure.h"
#include "study/figures/route_figure.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

nlohmann::json JsonOf(const FigureTable& table) {
  for (const auto& row : table.rows) EXPECT_EQ(row.size(), table.columns.size());
  for (const NamedRows& more : table.more) {
    for (const auto& row : more.rows) EXPECT_EQ(row.size(), more.columns.size()) << more.name;
  }
  return nlohmann::json::parse(FigureJson(table, Statement()));
}

WordRoutes King() {
  WordRoutes king;
  king.word = "king";
  king.occurrences = 10;
  king.last_piece = 3;
  king.last_piece_text = " king";
  king.shares = {{0, 0, 5, 5, 0.25, 0.5, {}}, {0, 1, 15, 5, 0.75, 0.5, {}}};
  king.paths = {{{1}, 6, 0.6, 0.6}};
  return king;
}

TEST(RouteFigure, StripIsAsWideAsShares) {
  TerminalStyle style;
  style.width = 100;  // 55 columns of strip
  const std::string text = WordRoutesText({King()}, {0}, style);
  const size_t begin = text.find("    0  0");
  ASSERT_NE(begin, std::string::npos) << text;
  const size_t first = begin + 7, bar = text.find("|1", first), end = text.find("|  e1", bar + 1);
  EXPECT_EQ(bar + 1 - first, 14u);      // 0.25 x 55
  EXPECT_EQ(end + 1 - (bar + 1), 41u);  // the rest
  style.colour = true;
  EXPECT_NE(WordRoutesText({King()}, {0}, style).find("\x1b[48;2;"), std::string::npos);
}

TEST(RouteFigure, JsonHasSharesWordsAndPaths) {
  const auto json = JsonOf(WordRoutesFigure({King()}, {0}));
  EXPECT_EQ(json["rows"][1]["share"], 0.75);
  EXPECT_EQ(json["words"][0]["occurrences"], 10);
  EXPECT_EQ(json["paths"][0]["path"], "1");
}

PairDistance Pair(double p, double p_holm, int64_t null_pairs) {
  PairDistance pair;
  pair.a = "king";
  pair.b = "queen";
  pair.sets.p = p;
  pair.sets.p_holm = p_holm;
  pair.null_pairs = null_pairs;
  return pair;
}

TEST(RouteFigure, SaysWhatAPairShows) {
  const auto text = [](const PairDistance& pair) { return PathDistancesText({pair}, {0}, {}, {}); };
  EXPECT_NE(text(Pair(0.01, 0.01, 1000)).find("travel closer together"), std::string::npos);
  EXPECT_NE(text(Pair(0.4, 0.4, 1000)).find("A null result."), std::string::npos);
  EXPECT_NE(text(Pair(0.2, 0.2, 4)).find("too few random pairs to tell"), std::string::npos);
  PairDistance rare = Pair(0, 0, 0);
  rare.why_not = "underpowered: king has 3 contexts, fewer than 50";
  EXPECT_NE(text(rare).find("king has 3 contexts"), std::string::npos);
  const auto json = JsonOf(PathDistancesFigure({rare}, {0}, {}));
  EXPECT_TRUE(json["rows"][0]["distance"].is_null());
  EXPECT_TRUE(json["rows"][0]["weighted_p"].is_null());
}

MinimalPair Minimal(double p, int64_t null_pairs) {
  MinimalPair pair;
  pair.templates = {0, 2};
  pair.null_pairs = null_pairs;
  for (MinimalDistance& d : pair.distances) {
    d.distance = 0.25;
    d.null_mean = 0.5;
    d.p = d.p_holm = p;
  }
  pair.layers = {{4, {0.25, 0.2, 0.1, 0}, {0.5, 0.5, 0.5, 0.5}}};
  pair.by_template = {{0.2, 0.2, 0, 0}, {0.3, 0.2, std::nan(""), std::nan("")}};
  return pair;
}

MinimalPairRun ThreeTemplates() {
  return {
      .templates = {"a {}", "b {}", "c {}"}, .layers = {4}, .n_null = 1000, .kernel_level = "avx2"};
}

TEST(MinimalPairFigure, SaysWhatAPairShows) {
  const PlannedPair plan = {.a = "king", .b = "queen", .null_words = 46, .null_note = "few words"};
  const MinimalPairRun of = ThreeTemplates();
  const auto text = [&](const MinimalPair& pair) { return MinimalPairsText({plan}, {pair}, of); };
  EXPECT_NE(text(Minimal(0.01, 1000))
                .find("'king' and 'queen' go closer together than pairs of "
                      "matched words: distance 0.250, that of 1,000 null "
                      "pairs of 46 words 0.500"),
            std::string::npos);
  EXPECT_NE(text(Minimal(0.4, 1000)).find("A null result."), std::string::npos);
  EXPECT_NE(text(Minimal(0.4, 1000)).find("(few words.)"), std::string::npos);
  // Of two tests with 30 null pairs none can come below 0.05 after Holm.
  EXPECT_NE(MinimalPairsText({plan, plan}, {Minimal(0.4, 30), Minimal(0.4, 30)}, of)
                .find("too few null pairs to tell"),
            std::string::npos);
  MinimalPair alike = Minimal(0.4, 1000);
  EXPECT_EQ(text(alike).find("end in the same token"), std::string::npos);
  alike.null_same_last_piece = 0.3;
  EXPECT_NE(text(alike).find("null pairs: 30.0 %"), std::string::npos);
  MinimalPair weak = Minimal(std::nan(""), 3);
  weak.why_no_p = "underpowered: 3 null pairs, fewer than 20";
  weak.why_no_interval = "2 templates, fewer than 10";
  EXPECT_NE(text(weak).find("'king' and 'queen': underpowered: 3 null pairs"), std::string::npos);
  EXPECT_NE(text(weak).find("(No interval: 2 templates, fewer than 10.)"), std::string::npos);
}

TEST(MinimalPairFigure, JsonHasPairsLayersAndTemplates) {
  const PlannedPair plan = {.a = "king", .b = "queen", .null_note = ""};
  const MinimalPairRun of = ThreeTemplates();
  const auto json = JsonOf(MinimalPairsFigure({plan}, {Minimal(std::nan(""), 3)}, of));
  EXPECT_EQ(json["rows"][0]["distance"], 0.25);
  EXPECT_EQ(json["rows"][0]["after_null_mean"], 0.5);
  EXPECT_TRUE(json["rows"][0]["weighted_p"].is_null());
  EXPECT_TRUE(json["rows"][0]["low"].is_null());
  EXPECT_EQ(json["layers"][0]["layer"], 4);
  EXPECT_EQ(json["layers"][0]["weighted_distance"], 0.2);
  EXPECT_EQ(json["templates"][1]["number"], 3);
  EXPECT_EQ(json["templates"][1]["template"], "c {}");
  EXPECT_TRUE(json["templates"][1]["after_distance"].is_null());
}

TEST(PathsFigure, HasLinks) {
  Paths paths;
  paths.layers = {0, 3};
  paths.rows = 5;
  paths.paths = {{{1, 2}, 5, 1, {}, 0.5, 1, 1, 0}};
  paths.links = {{0, 1, 3, 2, 5}};
  const auto json = JsonOf(PathsFigure(paths, ""));
  EXPECT_EQ(json["rows"][0]["path"], "1 > 2");
  EXPECT_EQ(json["rows"][0]["lift"], 2.0);
  EXPECT_TRUE(json["rows"][0]["rank_by_lift"].is_null());
  EXPECT_EQ(json["links"][0]["next_layer"], 3);
  EXPECT_NE(PathsText(paths, "", {}).find("1 > 2"), std::string::npos);
}

TEST(DiffFigure, NamesBothRuns) {
  RunDiff diff;
  diff.cells.emplace_back().decisions = 7;
  diff.losses.emplace_back().predictions = 7;
  const FigureTable table = DiffFigure(diff);
  JsonOf(table);
  Statement a, b;
  a.run = "first";
  b.run = "second";
  a.description.kernel_level = "avx2";
  b.description.kernel_level = "scalar";
  const auto json = nlohmann::json::parse(FigureJson(table, a, b));
  EXPECT_EQ(json["statement"]["a"]["run"], "first");
  EXPECT_EQ(json["statement"]["b"]["kernel_level"], "scalar");
  EXPECT_TRUE(json["rows"][0]["dataset"].is_null());
  const std::string text = DiffStatementText(a, b, {});
  EXPECT_NE(text.find("A: first"), std::string::npos);
  EXPECT_NE(text.find("kernels scalar"), std::string::npos);
  diff.why_no_decisions = "experts: 8 and 4";
  JsonOf(DiffFigure(diff));
  EXPECT_NE(DiffText(diff, {}).find("experts: 8 and 4"), std::string::npos);
}

TEST(CardFigure, KeepsContextsOnOneLine) {
  ExpertCard card;
  card.contexts.emplace_back().bytes = {"a\n", " b\x1b", std::string(300, 'c')};
  card.contexts.back().at = 1;
  const auto json = JsonOf(CardFigure(card));
  EXPECT_EQ(json["rows"][0]["before"], "a↵");
  EXPECT_EQ(json["rows"][0]["token"], " b␛");
  const std::string text = CardText(card, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  const size_t line = text.find("[ b");
  ASSERT_NE(line, std::string::npos);
  EXPECT_LT(DisplayWidth(text.substr(line, text.find('\n', line) - line)), 100);
}

}  // namespace
}  // namespace moescope::study
