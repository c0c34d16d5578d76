#include "study/figures/audit_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr size_t kMostLines = 24;  // of experts on a terminal; all are in --json and --csv

std::string Signed(double value) {
  return (value > 0 ? "+" : "") + RealText(value, 4);
}

// Largest effect first, or largest output where no effect was measured.
std::vector<const AuditRow*> MostStriking(const std::vector<AuditRow>& rows) {
  std::vector<const AuditRow*> sorted;
  for (const AuditRow& row : rows) sorted.push_back(&row);
  std::stable_sort(sorted.begin(), sorted.end(), [](const AuditRow* a, const AuditRow* b) {
    if (a->effect.has_value() != b->effect.has_value()) return a->effect.has_value();
    if (a->effect && *a->effect != *b->effect) return *a->effect > *b->effect;
    return a->output_peak > b->output_peak;
  });
  return sorted;
}

std::string ExpertsText(const AuditTable& of) {
  TextTable table;
  const bool measured = !of.mode.empty();
  for (const char* heading :
       {"layer", "expert", "share", "weight", "REAP", "rebuild", "skipped", "output peak"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("at", TextTable::Align::kLeft);
  if (measured) {
    table.AddColumn(of.mode);
    table.AddColumn("95 %");
  }
  const std::vector<const AuditRow*> rows = MostStriking(of.rows);
  const size_t n = std::min(rows.size(), kMostLines);
  for (size_t i = 0; i < n; ++i) {
    const AuditRow& row = *rows[i];
    std::vector<std::string> cells = {
        fmt::format("{}", row.layer), fmt::format("{}{}", row.expert, row.flagged ? "*" : ""),
        RealText(row.share, 4),       RealText(row.mean_weight, 3),
        RealText(row.reap, 3),        RealText(row.reconstruction_share, 4),
        RealText(row.skip_share, 3),  RealText(row.output_peak, 2),
        Printable(row.peak_at.token)};
    if (measured) {
      cells.push_back(row.effect ? Signed(*row.effect) : "-");
      cells.push_back(row.effect_interval ? Signed(row.effect_interval->low) + " to " +
                                                Signed(row.effect_interval->high)
                                          : "-");
    }
    table.AddRow(std::move(cells));
  }
  std::string text = table.Format();
  if (n < rows.size()) {
    text += fmt::format("({} of {}; all with --json or --csv)\n", n, rows.size());
  }
  return text + "* flagged as a super expert by the published rule\n";
}

std::string CorrelationsText(const AuditTable& of) {
  TextTable table;
  table.AddColumn(fmt::format("rank correlation with {}", of.mode), TextTable::Align::kLeft);
  for (const char* heading : {"all", "95 %", "within layers", "95 %"}) table.AddColumn(heading);
  const auto between = [](const std::optional<Interval>& interval) {
    return interval ? RealText(interval->low, 2) + " to " + RealText(interval->high, 2) : "-";
  };
  for (const CriterionCorrelation& row : of.correlations) {
    table.AddRow({row.criterion, RealText(row.all, 3), between(row.all_interval),
                  RealText(row.within_layers, 3), between(row.within_interval)});
  }
  return table.Format();
}

std::string SuperText(const AuditTable& of) {
  if (of.super_experts.empty()) {
    return "Super experts: none, not even by the published rule\n";
  }
  std::string text;
  for (const SuperExpert& expert : of.super_experts) {
    text += fmt::format(
        "Super expert by the published rule: layer {} expert {}, output peak {}\n"
        "  massive activations from there on  {}\n"
        "  5 times the best unflagged         {} ({} times)\n",
        expert.layer, expert.expert, RealText(expert.peak, 2), expert.massive ? "yes" : "no",
        expert.stands_out ? "yes" : "no",
        expert.best_unflagged > 0 ? RealText(expert.peak / expert.best_unflagged, 1) : "-");
    if (expert.effect) {
      text += fmt::format("  zero costs more than {} others     {} ({} nats; {} at most)\n",
                          expert.n_random, expert.breaks ? "yes" : "no", Signed(*expert.effect),
                          expert.largest_random ? Signed(*expert.largest_random) : "-");
    } else {
      text += "  zero was not measured\n";
    }
    text += expert.finding() ? "  => a finding\n" : "  => no finding\n";
  }
  return text;
}

Cell OptionalReal(const std::optional<double>& value) {
  return value ? Number(*value) : Cell();
}

NamedRows LayerRows(const AuditTable& of) {
  NamedRows rows = {"layers",
                    {"layer", "skip_beta", "residual_peak", "residual_median", "residual_dim",
                     "token", "position"},
                    {}};
  for (const AuditLayer& layer : of.layers) {
    rows.rows.push_back({int64_t{layer.layer}, Number(layer.skip_beta), Number(layer.residual_peak),
                         Number(layer.residual_median), int64_t{layer.residual_dim},
                         layer.peak_at.token, layer.peak_at.position});
  }
  return rows;
}

NamedRows SuperRows(const AuditTable& of) {
  NamedRows rows = {"super_experts",
                    {"layer", "expert", "output_peak", "best_unflagged", "massive", "stands_out",
                     "effect", "largest_random", "random_cells", "breaks", "finding"},
                    {}};
  for (const SuperExpert& expert : of.super_experts) {
    rows.rows.push_back({int64_t{expert.layer}, int64_t{expert.expert}, Number(expert.peak),
                         Number(expert.best_unflagged), int64_t{expert.massive},
                         int64_t{expert.stands_out}, OptionalReal(expert.effect),
                         OptionalReal(expert.largest_random), int64_t{expert.n_random},
                         int64_t{expert.breaks}, int64_t{expert.finding()}});
  }
  return rows;
}

NamedRows CorrelationRows(const AuditTable& of) {
  NamedRows rows = {
      "correlations",
      {"criterion", "all", "all_low", "all_high", "within_layers", "within_low", "within_high"},
      {}};
  for (const CriterionCorrelation& row : of.correlations) {
    rows.rows.push_back({row.criterion, Number(row.all), Low(row.all_interval),
                         High(row.all_interval), Number(row.within_layers),
                         Low(row.within_interval), High(row.within_interval)});
  }
  return rows;
}

}  // namespace

std::vector<Criterion> CriteriaOf(const std::vector<AuditRow>& rows) {
  std::vector<Criterion> criteria = {{"share", {}},      {"mean_weight", {}},
                                     {"reap", {}},       {"reconstruction", {}},
                                     {"skip_share", {}}, {"output_peak", {}}};
  for (const AuditRow& row : rows) {
    const double values[] = {row.share,          row.mean_weight, row.reap,
                             row.reconstruction, row.skip_share,  row.output_peak};
    for (size_t i = 0; i < criteria.size(); ++i) {
      criteria[i].values.push_back(std::isnan(values[i]) ? 0 : values[i]);
    }
  }
  return criteria;
}

FigureTable AuditFigure(const AuditTable& of) {
  FigureTable table;
  table.figure = "audit";
  table.about = {{"effect_mode", of.mode.empty() ? Cell() : Cell(of.mode)}};
  table.columns = {"layer",       "expert",      "assignments",    "share",
                   "mean_weight", "reap",        "reconstruction", "reconstruction_share",
                   "skip_share",  "output_peak", "peak_token",     "peak_position",
                   "flagged",     "effect",      "effect_low",     "effect_high"};
  for (const AuditRow& row : of.rows) {
    table.rows.push_back({int64_t{row.layer}, int64_t{row.expert}, row.assignments,
                          Number(row.share), Number(row.mean_weight), Number(row.reap),
                          Number(row.reconstruction), Number(row.reconstruction_share),
                          Number(row.skip_share), Number(row.output_peak), row.peak_at.token,
                          row.peak_at.position, int64_t{row.flagged}, OptionalReal(row.effect),
                          Low(row.effect_interval), High(row.effect_interval)});
  }
  table.more = {LayerRows(of), SuperRows(of), CorrelationRows(of)};
  return table;
}

std::string AuditText(const AuditTable& of) {
  std::string text = ExpertsText(of) + "\n" + SuperText(of);
  if (!of.correlations.empty()) text += "\n" + CorrelationsText(of);
  return text;
}

}  // namespace moescope::study
