#include "study/report/chart.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "study/report/web_bundle.h"

namespace moescope::study {
namespace {

using Json = nlohmann::json;

// Distances of two data sets, one with a name that looks like a place of a template.
FigureTable Distances() {
  FigureTable table;
  table.figure = "domains";
  table.columns = {"dataset", "other", "layer", "distance"};
  for (int64_t layer : {0, 5}) {
    table.rows.push_back({"code", Cell(), layer, 0.25});
    table.rows.push_back({"{{layer}}", Cell(), layer, 0.5});
    table.rows.push_back({"code", "{{layer}}", layer, 0.75});
  }
  return table;
}

Statement StatementOfTwo() {
  Statement statement;
  statement.description.n_experts = 8;
  statement.description.datasets.resize(2);
  statement.description.datasets[0].name = "code";
  statement.description.datasets[1].name = "{{layer}}";
  return statement;
}

TEST(Chart, EveryTemplateNamesShapesAndFiguresThatExist) {
  const Json bundle = Json::parse(ChartTemplates());
  EXPECT_GE(bundle.at("charts").size(), 10u);
  for (const auto& [name, chart] : bundle.at("charts").items()) {
    EXPECT_FALSE(chart.at("figures").empty()) << name;
    EXPECT_GT(chart.at("width").get<int>(), 100) << name;
    if (chart.at("spec").is_string()) {
      EXPECT_TRUE(bundle.at("shapes").contains(chart.at("spec").get<std::string>())) << name;
    }
  }
}

TEST(Chart, LeavesOnlyTheTitleToThePage) {
  FigureTable table = Distances();
  Statement statement = StatementOfTwo();
  statement.description.datasets[1].name = "prose";
  const Json charts = Json::parse(PageCharts(table, statement));
  ASSERT_EQ(charts.size(), 2u);
  for (Json chart : charts) {
    EXPECT_EQ(chart.at("panels"), Json::array({"layer"}));
    EXPECT_NE(chart.at("spec").at("title").get<std::string>().find("{{layer}}"), std::string::npos);
    chart.at("spec").erase("title");
    EXPECT_EQ(chart.dump().find("{{"), std::string::npos) << chart.dump();
  }
}

TEST(Chart, LeavesNamesOfDataSetsAsTheyAre) {
  const Json picture = Json::parse(PictureSpec(Distances(), StatementOfTwo(), "{{layer}}"));
  const Json& panel = picture.at("vconcat")[1].at("concat")[0];
  EXPECT_EQ(panel.at("layer")[0].at("encoding").at("y").at("sort"),
            Json::array({"code", "{{layer}}"}));
}

TEST(Chart, DrawsAPanelForEachValueOfItsColumns) {
  const Json picture = Json::parse(PictureSpec(Distances(), StatementOfTwo(), "Heading"));
  EXPECT_EQ(picture.at("datasets").at("rows").size(), 6u);
  ASSERT_EQ(picture.at("vconcat").size(), 2u);
  for (const Json& chart : picture.at("vconcat")) {
    const Json& panels = chart.at("concat");
    ASSERT_EQ(panels.size(), 2u);
    EXPECT_EQ(panels[1].at("transform")[0].at("filter"), Json({{"field", "layer"}, {"equal", 5}}));
    EXPECT_NE(panels[1].at("title").get<std::string>().find("ayer 5"), std::string::npos);
  }
}

TEST(Chart, IsLeftOutWhereItWouldBeEmpty) {
  FigureTable table = Distances();
  for (auto& row : table.rows) row[3] = Cell();
  EXPECT_EQ(PageCharts(table, StatementOfTwo()), "[]");
  EXPECT_THROW(PictureSpec(table, StatementOfTwo(), "Heading"), Error);
}

TEST(Chart, SaysWhichFiguresHaveOne) {
  EXPECT_TRUE(HasChart("7"));
  EXPECT_FALSE(HasChart("findings"));
  EXPECT_NE(FiguresWithChart().find("domains"), std::string::npos);
  FigureTable findings;
  findings.figure = "findings";
  EXPECT_EQ(PageCharts(findings, {}), "[]");
}

}  // namespace
}  // namespace moescope::study
