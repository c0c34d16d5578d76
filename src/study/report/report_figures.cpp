#include "study/report/report_figures.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/units.h"
#include "study/analysis/claims.h"
#include "study/analysis/coactivation.h"
#include "study/analysis/paths.h"
#include "study/analysis/vocabulary_specialisation.h"
#include "study/figures/affinity_figure.h"
#include "study/figures/cell_json.h"
#include "study/figures/claims_figure.h"
#include "study/figures/coactivation_figure.h"
#include "study/figures/cross_layer_figure.h"
#include "study/figures/domains_figure.h"
#include "study/figures/explained_figure.h"
#include "study/figures/indentation_figure.h"
#include "study/figures/paths_figure.h"
#include "study/figures/repetition_curves.h"
#include "study/figures/vocabulary_figure.h"
#include "study/figures/words_figure.h"
#include "study/report/chart.h"

namespace moescope::study {
namespace {

using Json = nlohmann::json;

// Pairs of experts grow with the square: beyond this many experts a page would hold little else.
constexpr int kMostExpertsForPairs = 16;

Json RoundedCell(const Cell& cell) {
  if (const auto* real = std::get_if<double>(&cell)) return RoundedJson(*real);
  return CellJson(cell);
}

Json RowsJson(const std::vector<std::string>& columns, const std::vector<std::vector<Cell>>& rows) {
  Json list = Json::array();
  for (const auto& row : rows) {
    Json cells = Json::array();
    for (const Cell& cell : row) cells.push_back(RoundedCell(cell));
    list.push_back(std::move(cells));
  }
  return {{"columns", columns}, {"rows", std::move(list)}};
}

// Tables of counts are for --json.
FigureTable WithoutCountTables(FigureTable table) {
  for (size_t c = table.columns.size(); c-- > 0;) {
    if (table.rows.empty() || !std::holds_alternative<CountTable>(table.rows[0][c])) continue;
    const auto at = static_cast<int64_t>(c);
    table.columns.erase(table.columns.begin() + at);
    for (auto& row : table.rows) row.erase(row.begin() + at);
  }
  return table;
}

// Gathers figures; an analysis that the run has no data for is listed with its reason.
class FigureList {
 public:
  FigureList(const Statement& statement, const ReportFiguresOptions& options)
      : statement_(statement), options_(options) {}

  template <typename MakeTable>
  void Add(const char* figure, const std::string& more_options, const MakeTable& make) {
    try {
      const FigureTable table = WithoutCountTables(make());
      if (table.rows.empty()) return;
      figures_[figure] =
          FigureBlock(table, statement_,
                      fmt::format("moescope figure {} {}{}", figure, options_.run, more_options));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadInput && error.kind() != ErrorKind::kNotFound) throw;
      AddAbsent(figure, error.what());
    }
  }
  void AddAbsent(const std::string& figure, const std::string& why) {
    absent_.push_back({figure, why});
  }

  Json figures() { return std::move(figures_); }
  Json absent() { return std::move(absent_); }

 private:
  const Statement& statement_;
  const ReportFiguresOptions& options_;
  Json figures_ = Json::object();
  Json absent_ = Json::array();
};

void AddEvidence(const ClaimEvidence& evidence, const std::string& at_layers, FigureList& list) {
  for (const auto& [figure, why] : evidence.absent) list.AddAbsent(figure, why);
  if (evidence.domains) {
    list.Add("domains", at_layers, [&] { return DomainsFigure(*evidence.domains); });
  }
  if (evidence.affinity) {
    list.Add("affinity", "", [&] { return AffinityFigure(*evidence.affinity); });
  }
  list.Add("explained", at_layers, [&] { return ExplainedFigure(evidence.explained); });
  list.Add("indentation", at_layers, [&] { return IndentationFigure(evidence.indentation); });
  list.Add("words", at_layers, [&] { return WordsFigure(evidence.words); });
  list.Add("crosslayer", "", [&] { return CrossLayerFigure(evidence.cross_layer, {}); });
}

}  // namespace

Json RoundedJson(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0;
  return RoundToDigits(value, 6);
}

Json TableJson(const FigureTable& table) {
  return RowsJson(table.columns, table.rows);
}

Json FigureBlock(const FigureTable& table, const Statement& statement, const std::string& command) {
  Json block = TableJson(table);
  block["about"] = Json::object();
  for (const auto& [name, value] : table.about) block["about"][name] = RoundedCell(value);
  block["more"] = Json::object();
  for (const NamedRows& more : table.more)
    block["more"][more.name] = RowsJson(more.columns, more.rows);
  block["charts"] = Json::parse(PageCharts(table, statement));
  block["command"] = command;
  return block;
}

Json RouteFigures(const store::Run& run, store::Database& database, const RowColumns& rows,
                  const Statement& statement, const std::vector<RepetitionCell>& repetition,
                  const ReportFiguresOptions& options, ThreadPool& pool) {
  const std::string at_layers = fmt::format(" --layers {}", fmt::join(options.layers, ","));
  const ClaimEvidence evidence =
      GatherEvidence(run, database, rows, options.layers, repetition, options.bootstrap, pool);
  FigureList list(statement, options);
  AddEvidence(evidence, at_layers, list);
  list.Add("lags", at_layers, [&] {
    RepetitionOptions lag_options;
    lag_options.bootstrap = options.bootstrap;
    return RepetitionByLagFigure(RepetitionLagTable(run, database, rows, options.layers,
                                                    {1, 2, 4, 8, 16, 32, 64}, lag_options, pool),
                                 false);
  });
  list.Add("vocabulary", at_layers, [&] {
    VocabularyOptions vocabulary;
    vocabulary.bootstrap = options.bootstrap;
    return VocabularyFigure(VocabularyTable(run, database, rows, options.layers, vocabulary, pool),
                            vocabulary.min_count);
  });
  if (run.description().n_experts <= kMostExpertsForPairs) {
    list.Add("coactivation", at_layers, [&] {
      CoactivationOptions pairs;
      pairs.bootstrap = options.bootstrap;
      return CoactivationFigure(CoactivationTable(run, database, rows, options.layers, pairs, pool),
                                false);
    });
  } else {
    list.AddAbsent("coactivation", fmt::format("pairs of {} experts are too many for a page",
                                               run.description().n_experts));
  }
  list.Add("paths", at_layers, [&] {
    PathsOptions paths;
    paths.bootstrap = options.bootstrap;
    return PathsFigure(ComputePaths(run, database, rows, {}, options.layers, paths, pool), "");
  });
  const std::vector<Claim> claims = JudgeClaims(evidence);
  return {
      {"figures", list.figures()},
      {"claims", FigureBlock(ClaimsFigure(claims), statement,
                             fmt::format("moescope figure claims {}{}", options.run, at_layers))},
      {"absent", list.absent()}};
}

}  // namespace moescope::study
