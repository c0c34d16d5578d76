#include "study/report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "study/figures/cell_json.h"
#include "study/figures/palette.h"
#include "study/report/web_bundle.h"

namespace moescope::study {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostExpertsInLegend = 16;

const Json& Bundle() {
  static const Json bundle = Json::parse(ChartTemplates());
  return bundle;
}

bool IsOf(const Json& chart, const std::string& figure) {
  const Json& figures = chart.at("figures");
  return std::find(figures.begin(), figures.end(), figure) != figures.end();
}

// Rows as objects, as charts read them.
Json RowObjects(const std::vector<std::string>& columns,
                const std::vector<std::vector<Cell>>& rows) {
  Json objects = Json::array();
  for (const auto& row : rows) {
    Json object = Json::object();
    for (size_t c = 0; c < columns.size(); ++c) {
      if (!std::holds_alternative<CountTable>(row[c])) object[columns[c]] = CellJson(row[c]);
    }
    objects.push_back(std::move(object));
  }
  return objects;
}

Json TableRows(const FigureTable& table, const std::string& name) {
  if (name == "rows") return RowObjects(table.columns, table.rows);
  for (const NamedRows& more : table.more) {
    if (more.name == name) return RowObjects(more.columns, more.rows);
  }
  return Json::array();
}

// What templates may name: of the run, of the figure, of the rows a chart draws.
Json ContextOf(const FigureTable& table, const Statement& statement, const Json& rows) {
  const store::RunDescription& run = statement.description;
  Json context = Json::object();
  for (const auto& [name, value] : table.about) context[name] = CellJson(value);
  const Json& colours = Bundle().at("dataset_colours");
  context["datasets"] = Json::array();
  context["colours"] = Json::array();
  for (const auto& dataset : run.datasets) {
    context["colours"].push_back(colours[context["datasets"].size() % colours.size()]);
    context["datasets"].push_back(dataset.name);
  }
  context["n_experts"] = run.n_experts;
  context["expert_legend"] =
      run.n_experts > kMostExpertsInLegend ? Json() : Json{{"title", "first choice"}};
  context["experts"] = Json::array();
  context["expert_colours"] = Json::array();
  for (int expert = 0; expert < run.n_experts; ++expert) {
    context["experts"].push_back(expert);
    context["expert_colours"].push_back(HexColour(ExpertColour(expert)));
  }
  std::set<int64_t> layers;
  for (const Json& row : rows) {
    for (const char* column : {"layer", "next_layer"}) {
      if (row.contains(column) && row[column].is_number())
        layers.insert(row[column].get<int64_t>());
    }
  }
  context["layers"] = layers;
  context["columns"] = Json::array();
  for (size_t i = 0; i < layers.size(); ++i) context["columns"].push_back(i);
  return context;
}

// A copy of `value` with "{{name}}" replaced by what the context has under that name: a string that
// is nothing else by the value itself, other strings by its text. Names it lacks stay as they are.
Json Filled(const Json& value, const Json& context) {
  if (value.is_array() || value.is_object()) {
    Json filled = value;
    for (auto& item : filled) item = Filled(item, context);
    return filled;
  }
  if (!value.is_string()) return value;
  std::string text = value.get<std::string>();
  for (size_t at = 0; (at = text.find("{{", at)) != std::string::npos;) {
    const size_t end = text.find("}}", at);
    if (end == std::string::npos) break;
    const std::string name = text.substr(at + 2, end - at - 2);
    if (!context.contains(name)) {
      at = end + 2;
      continue;
    }
    const Json replacement = Filled(context[name], context);
    if (at == 0 && end + 2 == text.size()) return replacement;
    const std::string part =
        replacement.is_string() ? replacement.get<std::string>() : replacement.dump();
    text.replace(at, end + 2 - at, part);
    at += part.size();
  }
  return text;
}

struct Chart {
  std::string name;
  std::string group;  // its template
  std::string table;
  Json panels = Json::array();  // column names
  std::string value;            // the column it shows; "" for several
  int width = 0;                // of a panel in a picture
  Json spec;                    // the panel columns still to be filled
};

// The charts of one template: one, or one a variant.
std::vector<Chart> ChartsOf(const std::string& name, const Json& chart, Json context) {
  std::vector<Chart> charts;
  const Json with = chart.value("with", Json::object());
  for (const Json& variant : chart.value("variants", Json::array({Json::object()}))) {
    Json names = context;
    names.update(with);
    names.update(variant);
    const Json& spec = chart.at("spec");
    Json filled =
        Filled(spec.is_string() ? Bundle().at("shapes").at(spec.get<std::string>()) : spec, names);
    if (chart.contains("filter")) {
      Json transform = Json::array({{{"filter", chart["filter"]}}});
      for (const Json& step : filled.value("transform", Json::array())) transform.push_back(step);
      filled["transform"] = std::move(transform);
    }
    charts.push_back(
        {.name = variant.contains("name") ? name + "-" + variant["name"].get<std::string>() : name,
         .group = name,
         .table = chart.value("table", "rows"),
         .panels = chart.value("panels", Json::array()),
         .value = names.value("value", ""),
         .width = chart.at("width"),
         .spec = std::move(filled)});
  }
  return charts;
}

bool HasValues(const Chart& chart, const Json& rows) {
  return chart.value.empty() || rows.empty() ||
         std::any_of(rows.begin(), rows.end(),
                     [&](const Json& row) { return !row.at(chart.value).is_null(); });
}

// Legends differ: a picture has them, a page has switches and keys of its own.
enum class Legends { kInChart, kNone };

std::vector<Chart> AllCharts(const FigureTable& table, const Statement& statement,
                             Legends legends) {
  std::vector<Chart> charts;
  for (const auto& [name, chart] : Bundle().at("charts").items()) {
    if (!IsOf(chart, table.figure)) continue;
    const Json rows = TableRows(table, chart.value("table", "rows"));
    Json context = ContextOf(table, statement, rows);
    const bool shown = legends == Legends::kInChart;
    context["shape_legend"] = shown ? Json{{"title", nullptr}, {"orient", "bottom"}} : Json();
    context["colour_legend"] =
        shown ? Json{{"title", nullptr}, {"orient", "bottom"}, {"columns", 6}} : Json();
    for (Chart& filled : ChartsOf(name, chart, std::move(context))) {
      if (HasValues(filled, rows)) charts.push_back(std::move(filled));
    }
  }
  return charts;
}

// The values of a chart's panel columns, each combination once, in the order of the rows.
std::vector<Json> PanelsOf(const Chart& chart, const Json& rows) {
  std::vector<Json> panels;
  std::set<std::string> seen;
  for (const Json& row : rows) {
    Json panel = Json::object();
    for (const Json& column : chart.panels)
      panel[std::string(column)] = row.at(std::string(column));
    if (seen.insert(panel.dump(-1, ' ', false, Json::error_handler_t::replace)).second) {
      panels.push_back(std::move(panel));
    }
  }
  return panels;
}

Json PanelSpec(const Chart& chart, const Json& panel) {
  Json spec = chart.spec;
  spec["title"] = Filled(spec.value("title", ""), panel);
  spec["width"] = chart.width;
  spec["data"] = {{"name", chart.table}};
  Json transform = Json::array();
  for (const auto& [column, value] : panel.items()) {
    transform.push_back({{"filter", {{"field", column}, {"equal", value}}}});
  }
  for (const Json& step : spec.value("transform", Json::array())) transform.push_back(step);
  if (!transform.empty()) spec["transform"] = std::move(transform);
  return spec;
}

// The first lines of what every report states.
Json Subtitle(const Statement& statement) {
  const store::RunDescription& run = statement.description;
  std::string model = run.model_name;
  if (!run.is_dense()) {
    model += fmt::format(", {} of {} experts in {} layers", run.experts_per_token, run.n_experts,
                         run.n_layers);
  }
  const std::string resamples = statement.bootstrap_samples > 0
                                    ? fmt::format("{} resamples, ", statement.bootstrap_samples)
                                    : "";
  return Json::array(
      {model, fmt::format("{} tokens, {} units, {} data sets; {} {}; {}seed {}",
                          FormatCount(static_cast<uint64_t>(statement.plain_tokens)),
                          FormatCount(static_cast<uint64_t>(statement.units)), run.datasets.size(),
                          run.precision, run.kernel_level, resamples, statement.seed)});
}

}  // namespace

bool HasChart(const std::string& figure) {
  const Json& charts = Bundle().at("charts");
  return std::any_of(charts.begin(), charts.end(),
                     [&](const Json& chart) { return IsOf(chart, figure); });
}

std::string FiguresWithChart() {
  std::set<std::string> figures;
  for (const Json& chart : Bundle().at("charts")) {
    for (const Json& figure : chart.at("figures")) figures.insert(figure.get<std::string>());
  }
  return fmt::format("{}", fmt::join(figures, ", "));
}

std::string PageCharts(const FigureTable& table, const Statement& statement) {
  Json list = Json::array();
  for (const Chart& chart : AllCharts(table, statement, Legends::kNone)) {
    list.push_back({{"name", chart.name},
                    {"table", chart.table},
                    {"panels", chart.panels},
                    {"width", chart.width},
                    {"spec", chart.spec}});
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string PictureSpec(const FigureTable& table, const Statement& statement,
                        const std::string& heading) {
  MOESCOPE_CHECK(HasChart(table.figure));
  constexpr int kPictureWidth = 1100;  // pixels that panels side by side may take
  Json picture = {{"$schema", "https://vega.github.io/schema/vega-lite/v6.json"},
                  {"background", "white"},
                  {"title",
                   {{"text", heading},
                    {"subtitle", Subtitle(statement)},
                    {"anchor", "start"},
                    {"fontSize", 16},
                    {"offset", 16}}},
                  {"datasets", Json::object()},
                  {"vconcat", Json::array()},
                  {"config", {{"view", {{"stroke", nullptr}}}}}};
  std::string group;
  for (const Chart& chart : AllCharts(table, statement, Legends::kInChart)) {
    if (!picture["datasets"].contains(chart.table)) {
      picture["datasets"][chart.table] = TableRows(table, chart.table);
    }
    const std::vector<Json> panels_of_chart = PanelsOf(chart, picture["datasets"][chart.table]);
    if (panels_of_chart.empty()) continue;
    // Variants stand side by side where each is a single chart, else each in rows of its own.
    const bool joins = chart.group == std::exchange(group, chart.group) && chart.panels.empty();
    if (!joins) {
      picture["vconcat"].push_back(
          {{"concat", Json::array()},
           {"columns", std::max(1, kPictureWidth / chart.width)},
           {"resolve", {{"scale", {{"color", "shared"}, {"shape", "shared"}}}}}});
    }
    Json& panels = picture["vconcat"].back()["concat"];
    for (const Json& panel : panels_of_chart) {
      panels.push_back(PanelSpec(chart, panel));
    }
  }
  if (picture["vconcat"].empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot draw figure {}: no row has a value to draw", table.figure));
  }
  return picture.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace moescope::study
