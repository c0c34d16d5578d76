#include "study/report/report_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/units.h"
#include "study/analysis/expert_shares.h"
#include "study/analysis/findings.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/perplexity.h"
#include "study/analysis/repetition.h"
#include "study/analysis/statement.h"
#include "study/figures/figure_table.h"
#include "study/figures/palette.h"
#include "study/figures/routed_text.h"
#include "study/report/model_limits.h"
#include "study/report/report_figures.h"
#include "study/report/run_json.h"
#include "study/report/text_samples.h"
#include "study/report/token_counts.h"

namespace moescope::study {
namespace {

using Json = nlohmann::json;

// About 60 lines in one column: enough to see runs of a colour, short enough to read.
constexpr int kTextSampleTokens = 320;

// One row per data set, layer and choice with the shares of all experts: a tenth of the bytes of a
// row per expert. The page shows at most the second choice by itself.
Json SharesJson(const std::vector<ExpertShare>& shares) {
  constexpr int kLastChoice = 1;
  Json rows = Json::array();
  for (const ExpertShare& share : shares) {
    if (share.choice > kLastChoice) continue;
    if (share.expert == 0) {
      rows.push_back({share.dataset, share.layer, ChoiceName(share.choice), Json::array()});
    }
    rows.back()[3].push_back(RoundedJson(share.share));
  }
  return {{"columns", {"dataset", "layer", "choice", "shares"}}, {"rows", std::move(rows)}};
}

Json IntervalJson(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return {RoundedJson(interval->low), RoundedJson(interval->high)};
}

std::vector<DatasetCounts> CountsOf(const RowColumns& rows) {
  std::vector<DatasetCounts> counts;
  for (const DatasetInfo& dataset : rows.datasets) {
    counts.push_back({dataset.name, dataset.unit_by, static_cast<int64_t>(dataset.documents.size()),
                      static_cast<int64_t>(dataset.units.size()),
                      static_cast<int64_t>(dataset.n_rows)});
  }
  return counts;
}

Json FindingsJson(const Findings& found) {
  Json list = Json::array();
  for (const Finding& finding : found.findings) {
    list.push_back({{"sentence", finding.sentence},
                    {"subject", finding.subject},
                    {"layer", finding.layer},
                    {"expert", finding.expert},
                    {"value", RoundedJson(finding.value)},
                    {"null_value", RoundedJson(finding.null_value)},
                    {"null_name", finding.null_name},
                    {"n", finding.n},
                    {"n_units", finding.n_units},
                    {"interval", IntervalJson(finding.interval)},
                    {"why_no_interval", finding.why_no_interval},
                    {"about_repetition", finding.kind == FindingKind::kRepetition}});
  }
  return {
      {"list", std::move(list)}, {"rule", found.rule}, {"cells_searched", found.cells_searched}};
}

Json TextsJson(const std::vector<TextSample>& texts, const std::vector<int>& layers) {
  Json samples = Json::array();
  for (const TextSample& text : texts) {
    Json weights = Json::array();
    for (const std::vector<double>& layer : text.weights) {
      Json rounded = Json::array();
      for (double weight : layer) rounded.push_back(std::round(weight * 1000) / 1000);
      weights.push_back(std::move(rounded));
    }
    samples.push_back({{"dataset", text.dataset},
                       {"document", text.document},
                       {"unit", text.unit},
                       {"tokens", DisplayPieces(text.bytes)},
                       {"experts", text.experts},
                       {"weights", std::move(weights)}});
  }
  return {{"layers", layers}, {"samples", std::move(samples)}};
}

// What the two token views keep, sized so that a page of many layers and experts stays small.
struct TokenViewLimits {
  int64_t min_count = 10;  // occurrences before a lift means anything
  int tokens_per_expert = 15;
  int frequent_tokens = 1000;
};

TokenViewLimits ChooseTokenViewLimits(const RowColumns& rows, const store::RunDescription& run) {
  const int cells = std::max(1, run.n_layers * run.n_experts);
  return {.min_count = std::max<int64_t>(10, rows.n_rows() / 20000),
          .tokens_per_expert = std::clamp(20000 / cells, 5, 15),
          .frequent_tokens = std::clamp(150000 / cells, 100, 1500)};
}

// Gathers both token views layer by layer.
class TokenViewBuilder {
 public:
  TokenViewBuilder(const RowColumns& rows, const store::RunDescription& run)
      : limits_(ChooseTokenViewLimits(rows, run)), n_experts_(run.n_experts) {}

  void Add(const TokenCounts& counts) {
    if (layers_.empty()) {
      frequent_ = FrequentTokens(counts.occurrences, limits_.frequent_tokens);
      for (int32_t id : frequent_) {
        seen_.push_back(counts.occurrences[static_cast<size_t>(id)]);
        used_.insert(id);
      }
      shares_.resize(frequent_.size());
    }
    layers_.push_back(counts.layer);
    by_excess_.push_back(TypicalJson(counts, ExpertTokenOrder::kExcess));
    by_lift_.push_back(TypicalJson(counts, ExpertTokenOrder::kLift));
    for (size_t i = 0; i < frequent_.size(); ++i) AddShares(counts, i);
  }

  Json ExpertTokens() const {
    return {{"layers", layers_},
            {"min_count", limits_.min_count},
            {"excess", by_excess_},
            {"lift", by_lift_}};
  }
  Json TokenExperts() const {
    Json tokens = Json::array();
    for (size_t i = 0; i < frequent_.size(); ++i)
      tokens.push_back({frequent_[i], seen_[i], shares_[i]});
    return {{"layers", layers_}, {"tokens", std::move(tokens)}};
  }
  const std::set<int32_t>& used_ids() const { return used_; }

 private:
  Json TypicalJson(const TokenCounts& counts, ExpertTokenOrder order) {
    Json experts = Json::array();
    for (int expert = 0; expert < n_experts_; ++expert) {
      Json list = Json::array();
      for (const TypicalToken& token :
           TypicalTokens(counts, expert, order, limits_.min_count, limits_.tokens_per_expert)) {
        list.push_back({token.token_id, token.count, RoundedJson(token.share_of_token),
                        RoundedJson(token.lift)});
        used_.insert(token.token_id);
      }
      experts.push_back(std::move(list));
    }
    return experts;
  }

  void AddShares(const TokenCounts& counts, size_t index) {
    const auto token = static_cast<size_t>(frequent_[index]);
    for (int expert = 0; expert < n_experts_; ++expert) {
      const size_t cell = token * static_cast<size_t>(n_experts_) + static_cast<size_t>(expert);
      const double share =
          static_cast<double>(counts.chosen[cell]) / static_cast<double>(counts.occurrences[token]);
      shares_[index].push_back(static_cast<int>(std::lround(100 * share)));
    }
  }

  TokenViewLimits limits_;
  int n_experts_;
  std::vector<int> layers_;
  std::vector<int32_t> frequent_;
  std::vector<int64_t> seen_;
  std::vector<std::vector<int>> shares_;  // [frequent][layer * E + expert], percent
  std::set<int32_t> used_;
  Json by_excess_ = Json::array();
  Json by_lift_ = Json::array();
};

Json TokenTextsJson(store::Database& database, const std::set<int32_t>& ids) {
  Json texts = Json::object();
  if (ids.empty()) return texts;
  const std::string sql = fmt::format(
      "SELECT token_id, text FROM vocabulary WHERE token_id IN ({})", fmt::join(ids, ","));
  for (const auto& row : database.Query(sql).rows) {
    const auto* text = std::get_if<std::string>(&row[1]);
    if (text != nullptr) texts[std::to_string(std::get<int64_t>(row[0]))] = *text;
  }
  return texts;
}

// Those of the views that are no tables: their places are filled in from what is chosen.
Json CommandsJson(const std::string& run, const std::vector<int>& layers) {
  return {{"figure8", fmt::format("moescope figure 8 {} --layers {}", run, fmt::join(layers, ","))},
          {"figure7_layer", fmt::format("moescope figure 7 {} --layers {{layer}}", run)},
          {"table5_layer", fmt::format("moescope figure table5 {} --layers {{layer}}", run)},
          {"expert_tokens",
           fmt::format(
               "moescope figure experts {} --layer {{layer}} --expert {{expert}} --order {{order}}",
               run)},
          {"token_experts", fmt::format("moescope figure token {} {{token}} --layers all", run)}};
}

Json ColoursJson() {
  Json colours = Json::array();
  for (const Colour& colour : kExpertColours) colours.push_back(HexColour(colour));
  return colours;
}

std::string DefaultTitle(const store::RunDescription& run, const RowColumns& rows) {
  const std::string text = rows.datasets.size() == 1
                               ? rows.datasets[0].name
                               : fmt::format("{} kinds of text", rows.datasets.size());
  return fmt::format("{}: {} on {}", run.is_dense() ? "Perplexity" : "Expert routing",
                     run.model_name, text);
}

// The tables that grow layer by layer.
struct LayerResults {
  std::vector<ExpertShare> shares;
  std::vector<RepetitionCell> repetition;
};

LayerResults AnalyseLayers(const store::Run& run, store::Database& database, const RowColumns& rows,
                           const BootstrapOptions& bootstrap, TokenViewBuilder& views,
                           ThreadPool& pool) {
  const store::RunDescription& description = run.description();
  SharesOptions share_options;
  share_options.by_choice = true;
  share_options.bootstrap = bootstrap;
  RepetitionOptions repetition_options;
  repetition_options.bootstrap = bootstrap;
  LayerResults results;
  const auto add = [&](const LayerColumns& columns) {
    std::ranges::move(ComputeExpertShares(rows, columns, share_options, pool),
                      std::back_inserter(results.shares));
    std::ranges::move(ComputeRepetition(rows, columns, repetition_options, pool),
                      std::back_inserter(results.repetition));
    views.Add(CountTokens(rows, columns, description.vocab_size));
  };
  ForEachLayer("shares, repetition", run, database, rows, description.LayerNumbers(), add);
  return results;
}

// What a page needs whatever was run, and all that a dense run has.
Json CommonJson(const store::Run& run, store::Database& database, const RowColumns& rows,
                const Statement& statement, const ReportFiguresOptions& options, ThreadPool& pool) {
  const FigureTable perplexity =
      PerplexityFigure(PerplexityTable(run, database, options.bootstrap, pool));
  return {
      {"run", RunJson(statement, CountsOf(rows))},
      {"shown_layers", options.layers},
      {"figures",
       {{"perplexity", FigureBlock(perplexity, statement,
                                   fmt::format("moescope figure perplexity {}", options.run))}}},
      {"limits", LimitsJson(LimitsOf(run.description()))}};
}

// Figures 7 and 10 and Table 5. The rows of figure 7 are packed: a row of a data set, layer and
// choice has all experts; those of figure 10 are Table 5's.
void AddLayerFigures(const LayerResults& layers, const Statement& statement,
                     const ReportFiguresOptions& options, Json& figures) {
  const std::string at_layers = fmt::format(" --layers {}", fmt::join(options.layers, ","));
  figures["7"] = FigureBlock(SharesFigure({}), statement,
                             fmt::format("moescope figure 7 {}{}", options.run, at_layers));
  figures["7"].update(SharesJson(layers.shares));
  FigureTable repetition = RepetitionFigure(layers.repetition);
  figures["table5"] = FigureBlock(
      repetition, statement, fmt::format("moescope figure table5 {}{}", options.run, at_layers));
  repetition.figure = "10";
  figures["10"] =
      FigureBlock(repetition, statement, fmt::format("moescope figure 10 {}", options.run));
  figures["10"]["rows"] = "table5";
}

// What is read from routes. Adds to `json`.
void AddRouteFigures(const store::Run& run, store::Database& database, const RowColumns& rows,
                     const Statement& statement, const ReportFiguresOptions& options,
                     ThreadPool& pool, Json& json) {
  TokenViewBuilder views(rows, run.description());
  const LayerResults layers = AnalyseLayers(run, database, rows, options.bootstrap, views, pool);
  FindingsOptions findings_options;
  findings_options.bootstrap = options.bootstrap;
  std::vector<std::string> datasets;
  for (const DatasetInfo& dataset : rows.datasets) datasets.push_back(dataset.name);
  const std::vector<TextSample> texts =
      LoadTextSamples(run, database, datasets, options.layers, kTextSampleTokens);
  json["findings"] = FindingsJson(ComputeFindings(run, database, rows, findings_options, pool));
  json["texts"] = TextsJson(texts, options.layers);
  json["expert_tokens"] = views.ExpertTokens();
  json["token_experts"] = views.TokenExperts();
  json["token_texts"] = TokenTextsJson(database, views.used_ids());
  json["expert_colours"] = ColoursJson();
  json["commands"] = CommandsJson(options.run, options.layers);
  AddLayerFigures(layers, statement, options, json["figures"]);
  Json more = RouteFigures(run, database, rows, statement, layers.repetition, options, pool);
  json["figures"].update(more["figures"]);
  json["claims"] = std::move(more["claims"]);
  json["absent"] = std::move(more["absent"]);
}

}  // namespace

ReportData MakeReportData(const store::Run& run, const ReportOptions& given, ThreadPool& pool) {
  const bool has_routes = !run.description().is_dense();
  ReportOptions options = given;
  if (options.layers.empty() && has_routes) {
    options.layers = ParseLayers("", run.description().LayerNumbers());
  }
  const std::unique_ptr<store::Database> database = run.OpenViews(options.database);
  const RowColumns rows = LoadRows(run, *database);
  const Statement statement = MakeStatement(run, rows, options.seed, options.bootstrap_samples);
  const ReportFiguresOptions figures{
      .layers = options.layers,
      .run = options.run_path,
      .bootstrap = {.n_samples = options.bootstrap_samples, .seed = options.seed}};
  ReportData report;
  report.title = options.title.empty() ? DefaultTitle(run.description(), rows) : options.title;
  Json json = CommonJson(run, *database, rows, statement, figures, pool);
  json["title"] = report.title;
  if (has_routes) AddRouteFigures(run, *database, rows, statement, figures, pool, json);
  report.json = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return report;
}

}  // namespace moescope::study
