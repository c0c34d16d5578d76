#include "study/figures/coactivation_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr size_t kPairsShown = 10;

double Lift(const CoactivationPair& pair) {
  return pair.expected > 0 ? pair.share / pair.expected : std::nan("");
}

// Red above what is expected, blue below, white where it is met; a factor of two is full colour.
std::string Heat(const std::string& text, double lift) {
  if (!std::isfinite(lift)) return text;
  const double heat = std::clamp(std::log2(std::max(lift, 1e-3)), -1.0, 1.0);
  const int pale = static_cast<int>(std::lround(255 - 135 * std::abs(heat)));
  const int red = heat > 0 ? 255 : pale, blue = heat > 0 ? pale : 255;
  return fmt::format("\x1b[48;2;{};{};{}m\x1b[30m{}\x1b[0m", red, pale, blue, text);
}

const char* Mark(double lift) {
  if (!std::isfinite(lift)) return " ";
  return lift >= 1.25 ? "+" : lift <= 0.8 ? "-" : " ";
}

std::string HeatTable(const CoactivationCell& cell, const TerminalStyle& style) {
  TextTable table;
  table.AddColumn("of rows with");
  for (int b = 0; b < cell.n_experts; ++b) table.AddColumn(fmt::format("e{} ", b));
  table.AddColumn("rows");
  auto pair = cell.pairs.begin();
  for (int a = 0; a < cell.n_experts; ++a) {
    std::vector<std::string> row = {fmt::format("e{}", a)};
    for (int b = 0; b < cell.n_experts; ++b) {
      if (a == b) {
        row.emplace_back(". ");
        continue;
      }
      const std::string text = fmt::format("{:>5}{}", Percent(pair->share), Mark(Lift(*pair)));
      row.push_back(style.colour ? Heat(text, Lift(*pair)) : text);
      ++pair;
    }
    row.push_back(FormatCount(cell.chosen[a]));
    table.AddRow(std::move(row));
  }
  return table.Format();
}

std::string LargestPairs(const CoactivationCell& cell) {
  std::vector<const CoactivationPair*> order;
  for (const CoactivationPair& pair : cell.pairs) {
    if (std::isfinite(pair.share)) order.push_back(&pair);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const CoactivationPair* a, const CoactivationPair* b) {
                     return a->share - a->expected > b->share - b->expected;
                   });
  TextTable table;
  for (const char* heading : {"of rows with", "also", "share", "expected", "together"}) {
    table.AddColumn(heading);
  }
  for (size_t i = 0; i < std::min(kPairsShown, order.size()); ++i) {
    table.AddRow({fmt::format("e{}", order[i]->expert), fmt::format("e{}", order[i]->other),
                  Percent(order[i]->share), Percent(order[i]->expected),
                  FormatCount(order[i]->together)});
  }
  return table.Format();
}

}  // namespace

FigureTable CoactivationFigure(const std::vector<CoactivationCell>& cells, bool as_published) {
  FigureTable table;
  table.figure = "coactivation";
  table.about = {{"pairs", as_published ? "neighbours in rank" : "all"}};
  table.columns = {"dataset",   "layer",      "expert",           "other",    "share",
                   "share_low", "share_high", "null_independent", "together", "expert_rows",
                   "rows",      "units",      "why_no_interval"};
  for (const CoactivationCell& cell : cells) {
    for (const CoactivationPair& pair : cell.pairs) {
      table.rows.push_back({cell.dataset, int64_t{cell.layer}, int64_t{pair.expert},
                            int64_t{pair.other}, Number(pair.share), Low(pair.interval),
                            High(pair.interval), Number(pair.expected), pair.together,
                            cell.chosen[pair.expert], cell.rows, cell.n_units,
                            TextOrNull(cell.why_no_interval)});
    }
  }
  return table;
}

std::string CoactivationText(const std::vector<CoactivationCell>& cells, bool as_published,
                             const TerminalStyle& style) {
  std::string text = fmt::format(
      "Of the rows that chose one expert, percent that chose another too{}.\n+, -: at least a "
      "quarter more, a fifth less than if each expert's partners were drawn independently.\n",
      as_published ? " at the rank before or after (as published code counts)" : "");
  for (const CoactivationCell& cell : cells) {
    const bool fits = 8 * cell.n_experts + 26 <= style.width;
    text += fmt::format("\nLayer {}, {}\n\n{}", cell.layer, Printable(cell.dataset),
                        fits ? HeatTable(cell, style) : LargestPairs(cell));
  }
  return text;
}

}  // namespace moescope::study
