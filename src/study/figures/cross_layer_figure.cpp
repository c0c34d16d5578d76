#include "study/figures/cross_layer_figure.h"

#include <fmt/format.h>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {

FigureTable CrossLayerFigure(const std::vector<CrossLayerCell>& cells,
                             const CrossLayerOptions& options) {
  FigureTable table;
  table.figure = "crosslayer";
  table.about = {{"unit_of_information", "bits"},
                 {"shifts", int64_t{options.n_shifts}},
                 {"min_count", options.min_count}};
  table.columns = {"dataset",
                   "layer",
                   "other_layer",
                   "information",
                   "information_low",
                   "information_high",
                   "miller_madow",
                   "null_shift",
                   "p_value",
                   "given_token",
                   "given_token_miller_madow",
                   "null_given_token",
                   "information_token_covered",
                   "token_coverage",
                   "rows",
                   "units",
                   "why_no_interval",
                   "counts"};
  for (const CrossLayerCell& cell : cells) {
    table.rows.push_back(
        {cell.dataset, int64_t{cell.layer}, int64_t{cell.other}, Number(cell.information.plug_in),
         Low(cell.interval), High(cell.interval), Number(cell.information.miller_madow),
         Number(cell.shift_null), Number(cell.p_value), Number(cell.given_token.plug_in),
         Number(cell.given_token.miller_madow), Number(cell.given_token_null),
         Number(cell.covered.plug_in), Number(cell.token_coverage), cell.rows, cell.n_units,
         TextOrNull(cell.why_no_interval), CountTable{cell.n_experts, cell.counts}});
  }
  return table;
}

std::string CrossLayerText(const std::vector<CrossLayerCell>& cells,
                           const CrossLayerOptions& options, const TerminalStyle&) {
  TextTable table;
  for (const char* heading : {"layers", "data set"}) {
    table.AddColumn(heading, TextTable::Align::kLeft);
  }
  for (const char* heading :
       {"bits", "95 %", "corrected", "shifted", "p", "token", "shifted", "bits", "cover"}) {
    table.AddColumn(heading);
  }
  const CrossLayerCell* previous = nullptr;
  for (const CrossLayerCell& cell : cells) {
    const bool is_new =
        previous == nullptr || previous->layer != cell.layer || previous->other != cell.other;
    if (is_new && previous != nullptr) table.AddGap();
    const std::string interval =
        cell.interval ? fmt::format("{:.3f}-{:.3f}", cell.interval->low, cell.interval->high) : "-";
    table.AddRow({is_new ? fmt::format("{} -> {}", cell.layer, cell.other) : "",
                  Printable(cell.dataset), RealText(cell.information.plug_in, 4), interval,
                  RealText(cell.information.miller_madow, 4), RealText(cell.shift_null, 4),
                  RealText(cell.p_value, 3), RealText(cell.given_token.plug_in, 4),
                  RealText(cell.given_token_null, 4), RealText(cell.covered.plug_in, 4),
                  Percent(cell.token_coverage)});
    previous = &cell;
  }
  return fmt::format(
             "Bits that the first choices of two layers say about each other. corrected: less the "
             "bias of finite counts\n(Miller-Madow); shifted: mean after moving one layer's "
             "choices "
             "along the text, {} times (p: as many bits\nthen). token: given the token id, of ids "
             "seen {} times or more; beside it shifted among each id's\noccurrences, bits of those "
             "rows without the token, and their share of all rows.\n\n",
             options.n_shifts, options.min_count) +
         table.Format() + "\n" + WhyLines(cells);
}

}  // namespace moescope::study
