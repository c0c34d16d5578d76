#include "study/figures/explained_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

std::string ShareBar(double share) {
  return std::isfinite(share) ? Bar(std::clamp(share, 0.0, 1.0), 20) : "";
}

}  // namespace

FigureTable ExplainedFigure(const std::vector<ExplainedShare>& shares) {
  FigureTable table;
  table.figure = "explained";
  table.columns = {"layer",     "predictor",  "values",       "first",
                   "first_low", "first_high", "first_null",   "last",
                   "last_low",  "last_high",  "last_null",    "bits",
                   "tokens",    "units",      "why_no_value", "why_no_interval"};
  for (const ExplainedShare& share : shares) {
    table.rows.push_back(
        {int64_t{share.layer}, share.predictor, share.n_values > 0 ? Cell(share.n_values) : Cell(),
         Number(share.first), Low(share.first_interval), High(share.first_interval),
         Number(share.first_null), Number(share.last), Low(share.last_interval),
         High(share.last_interval), Number(share.last_null), Number(share.bits), share.n_rows,
         share.n_units, TextOrNull(share.why_no_value), TextOrNull(share.why_no_interval)});
  }
  return table;
}

std::string ExplainedText(const std::vector<ExplainedShare>& shares, const TerminalStyle&) {
  TextTable table;
  table.AddColumn("predictor", TextTable::Align::kLeft);
  for (const char* heading :
       {"layer", "first", "95 %", "null", "last", "95 %", "null", "values", "bits"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", TextTable::Align::kLeft);
  for (size_t i = 0; i < shares.size(); ++i) {
    const ExplainedShare& share = shares[i];
    const bool is_all = share.n_values == 0;
    if (i > 0 && share.layer != shares[i - 1].layer) table.AddGap();
    table.AddRow({share.predictor, fmt::format("{}", share.layer), Percent(share.first),
                  PercentInterval(share.first_interval), Percent(share.first_null),
                  is_all ? "" : Percent(share.last),
                  is_all ? "" : PercentInterval(share.last_interval),
                  is_all ? "" : Percent(share.last_null), is_all ? "" : FormatCount(share.n_values),
                  RealText(share.bits, 3), ShareBar(share.first)});
  }
  std::string text =
      "How much of the first choices of a layer is explained: percent of their cross-entropy (bits "
      "a token)\nthat a predictor saves on held-out units, alone (first) and beyond all others "
      "(last). null: the\npredictor permuted over tokens, the domain over units. Bars: first.\n\n" +
      table.Format() + "\n";
  if (shares.empty()) return text;
  if (!shares[0].why_no_value.empty()) text += "No value: " + shares[0].why_no_value + ".\n";
  if (!shares[0].why_no_interval.empty()) {
    text += "No interval: " + shares[0].why_no_interval + ".\n";
  }
  return text;
}

}  // namespace moescope::study
