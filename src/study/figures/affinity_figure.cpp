#include "study/figures/affinity_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr double kAlpha = 0.05;

std::string Names(const std::vector<std::string>& names) {
  std::vector<std::string> printable;
  for (const std::string& name : names) printable.push_back(Printable(name));
  return fmt::format("{}", fmt::join(printable, ", "));
}

double Strength(const AffinityCell& cell) {
  return std::isfinite(cell.raw.odds_ratio) ? std::abs(std::log(cell.raw.odds_ratio)) : -1;
}

// Smallest p first, then the odds ratio furthest from 1.
std::vector<const AffinityCell*> Strongest(const Affinity& affinity, int n_shown) {
  std::vector<const AffinityCell*> order;
  for (const AffinityCell& cell : affinity.cells) order.push_back(&cell);
  std::stable_sort(order.begin(), order.end(), [](const AffinityCell* a, const AffinityCell* b) {
    if (a->p_max < b->p_max || a->p_max > b->p_max) return a->p_max < b->p_max;
    return Strength(*a) > Strength(*b);
  });
  order.resize(std::min(order.size(), static_cast<size_t>(std::max(0, n_shown))));
  return order;
}

// The same side of 1 as the raw odds ratio, beyond chance for the whole family.
bool HoldsUnderControl(const AffinityCell& cell) {
  return cell.controlled_p <= kAlpha &&
         (cell.controlled.odds_ratio > 1) == (cell.raw.odds_ratio > 1);
}

std::string Summary(const Affinity& affinity) {
  if (!affinity.why_no_p.empty()) return "";
  int n_found = 0, n_controlled = 0, n_replicated = 0;
  for (const AffinityCell& cell : affinity.cells) {
    if (!(cell.p_max <= kAlpha)) continue;
    ++n_found;
    n_controlled += HoldsUnderControl(cell);
    n_replicated += cell.replicated;
  }
  return fmt::format(
      "{} of {} experts differ (p max at most {}), {} of these with tokens held equal (p tok), "
      "{}.\n",
      n_found, affinity.cells.size(), kAlpha, n_controlled,
      affinity.why_no_replication.empty() ? fmt::format("{} in both halves", n_replicated)
                                          : "not tested on halves");
}

std::string Why(const char* what, const std::string& why) {
  return why.empty() ? "" : fmt::format("No {}: {}.\n", what, why);
}

std::string CellTable(const Affinity& affinity, int n_shown) {
  TextTable table;
  for (const char* heading : {"layer", "expert", "group %", "rest %", "odds", "95 %", "p max",
                              "smallest", "tokens equal", "95 %", "p tok", "half", "half"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", TextTable::Align::kLeft);
  for (const AffinityCell* cell : Strongest(affinity, n_shown)) {
    table.AddRow({fmt::format("{}", cell->layer), fmt::format("{}", cell->expert),
                  Percent(cell->group_share), Percent(cell->rest_share),
                  RealText(cell->raw.odds_ratio, 2), IntervalText(cell->raw.interval, 2),
                  ProbabilityText(cell->p_max), RealText(cell->smallest_shown, 2),
                  RealText(cell->controlled.odds_ratio, 2),
                  IntervalText(cell->controlled.interval, 2), ProbabilityText(cell->controlled_p),
                  RealText(cell->halves[0].odds_ratio, 2), RealText(cell->halves[1].odds_ratio, 2),
                  cell->replicated ? "replicated" : ""});
  }
  return table.Format();
}

}  // namespace

FigureTable AffinityFigure(const Affinity& affinity) {
  FigureTable table;
  table.figure = "affinity";
  table.about = {{"group", affinity.group_name},
                 {"rule", affinity.rule},
                 {"group_datasets", Names(affinity.group)},
                 {"rest_datasets", Names(affinity.against)},
                 {"group_units", affinity.group_units},
                 {"rest_units", affinity.rest_units},
                 {"group_tokens", affinity.group_tokens},
                 {"rest_tokens", affinity.rest_tokens},
                 {"permutations", affinity.n_permutations},
                 {"exact", int64_t{affinity.is_exact}},
                 {"family", "max-T over all rows; controlled_p: Holm over all rows"},
                 {"critical_value", Number(affinity.critical_value)},
                 {"control_token_ids", affinity.control_ids},
                 {"group_coverage", Number(affinity.group_coverage)},
                 {"rest_coverage", Number(affinity.rest_coverage)}};
  table.columns = {"layer", "expert", "group_share", "rest_share"};
  for (const char* name :
       {"odds_ratio", "controlled_odds_ratio", "half_1_odds_ratio", "half_2_odds_ratio"}) {
    for (const char* suffix : {"", "_low", "_high"}) {
      table.columns.push_back(fmt::format("{}{}", name, suffix));
    }
  }
  for (const char* name : {"p", "p_max", "smallest_odds_ratio", "controlled_p",
                           "crude_odds_ratio_on_covered", "controlled_log_error_rows", "replicated",
                           "why_no_p", "why_no_interval", "why_no_control", "why_no_replication"}) {
    table.columns.emplace_back(name);
  }
  for (const AffinityCell& cell : affinity.cells) {
    std::vector<Cell>& row = table.rows.emplace_back();
    row = {int64_t{cell.layer}, int64_t{cell.expert}, Number(cell.group_share),
           Number(cell.rest_share)};
    for (const OddsEstimate* estimate :
         {&cell.raw, &cell.controlled, &cell.halves[0], &cell.halves[1]}) {
      row.push_back(Number(estimate->odds_ratio));
      row.push_back(Low(estimate->interval));
      row.push_back(High(estimate->interval));
    }
    const Cell replicated =
        affinity.why_no_replication.empty() ? Cell(int64_t{cell.replicated}) : Cell();
    for (Cell value :
         {Number(cell.p), Number(cell.p_max), Number(cell.smallest_shown),
          Number(cell.controlled_p), Number(cell.crude_on_covered),
          Number(cell.controlled_log_error_rows), replicated, TextOrNull(affinity.why_no_p),
          TextOrNull(affinity.why_no_interval), TextOrNull(affinity.why_no_control),
          TextOrNull(affinity.why_no_replication)}) {
      row.push_back(std::move(value));
    }
  }
  return table;
}

std::string AffinityText(const Affinity& affinity, int n_shown, const TerminalStyle&) {
  std::string text = fmt::format(
      "Experts that {} prefers: {} ({}; {} units, {} tokens)\nagainst {} ({} units, {} "
      "tokens).\n\n",
      Printable(affinity.group_name), Names(affinity.group), affinity.rule,
      FormatCount(affinity.group_units), FormatCount(affinity.group_tokens),
      Names(affinity.against), FormatCount(affinity.rest_units), FormatCount(affinity.rest_tokens));
  text += Summary(affinity);
  text += fmt::format(
      "odds: odds ratio that a token chooses the expert, group against rest. p max: labels "
      "permuted "
      "over units\n({}{} arrangements), max-T over all {} experts and layers. smallest: odds ratio "
      "these units would have\nshown with power 0.8 (or its inverse). tokens equal: pooled over {} "
      "token ids seen "
      "on "
      "both sides ({} % and {} % of tokens);\np tok: Holm. half: disjoint halves of the units.\n\n",
      affinity.is_exact ? "all " : "",
      FormatCount(static_cast<uint64_t>(affinity.n_permutations) + affinity.is_exact),
      affinity.cells.size(), FormatCount(affinity.control_ids), Percent(affinity.group_coverage),
      Percent(affinity.rest_coverage));
  text += CellTable(affinity, n_shown) + "\n";
  text += Why("p", affinity.why_no_p) + Why("interval", affinity.why_no_interval) +
          Why("control", affinity.why_no_control) + Why("replication", affinity.why_no_replication);
  return text;
}

}  // namespace moescope::study
