#include "study/figures/indentation_figure.h"

#include <fmt/format.h>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {

FigureTable IndentationFigure(const std::vector<IndentationCell>& cells) {
  FigureTable table;
  table.figure = "indentation";
  table.columns = {
      "dataset",        "layer",         "expert",          "share",  "share_low",
      "share_high",     "null_marginal", "measured_tokens", "units",  "chosen_on",
      "top_expert",     "top_share",     "null_iid",        "tokens", "largest_token_share",
      "why_no_interval"};
  for (const IndentationCell& cell : cells) {
    table.rows.push_back(
        {cell.dataset, int64_t{cell.layer}, cell.expert < 0 ? Cell() : Cell(int64_t{cell.expert}),
         Number(cell.share), Low(cell.interval), High(cell.interval), Number(cell.marginal_share),
         cell.measured_tokens, cell.n_units, cell.is_split ? "the other units" : "the same unit",
         int64_t{cell.top_expert}, Number(cell.top_share), Number(cell.iid_share), cell.tokens,
         Number(cell.largest_token_share), TextOrNull(cell.why_no_interval)});
  }
  return table;
}

std::string IndentationText(const std::vector<IndentationCell>& cells, const TerminalStyle&) {
  if (cells.empty()) return "No data set has indentation tokens.\n";
  TextTable table;
  for (const char* heading : {"layer", "data set"})
    table.AddColumn(heading, TextTable::Align::kLeft);
  for (const char* heading :
       {"expert", "share", "95 %", "marg", "n", "busiest", "share", "iid", "tokens", "one id"}) {
    table.AddColumn(heading);
  }
  int previous = -1;
  bool any_same = false;
  for (const IndentationCell& cell : cells) {
    if (previous >= 0 && previous != cell.layer) table.AddGap();
    table.AddRow({previous == cell.layer ? "" : fmt::format("{}", cell.layer),
                  Printable(cell.dataset), cell.expert < 0 ? "-" : fmt::format("e{}", cell.expert),
                  Percent(cell.share) + (cell.is_split ? "" : "*"), PercentInterval(cell.interval),
                  Percent(cell.marginal_share), FormatCount(cell.measured_tokens),
                  fmt::format("e{}", cell.top_expert), Percent(cell.top_share),
                  Percent(cell.iid_share), FormatCount(cell.tokens),
                  Percent(cell.largest_token_share)});
    any_same |= !cell.is_split;
    previous = cell.layer;
  }
  return "First choices of indentation tokens, percent. expert, share: chosen on one half of the "
         "units, measured\non the other; marg: that expert's share of all their tokens. busiest: "
         "the most frequent expert of all units;\niid: what the most frequent would get if as many "
         "tokens were routed independently. one id: share of the\nmost frequent token id.\n\n" +
         table.Format() +
         (any_same ? "\n* a single unit chose the expert and measured it: too large on average\n"
                   : "") +
         "\n" + WhyLines(cells);
}

}  // namespace moescope::study
