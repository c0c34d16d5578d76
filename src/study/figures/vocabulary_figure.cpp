#include "study/figures/vocabulary_figure.h"

#include <fmt/format.h>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

const char* NameOf(VocabularyTarget target) {
  return target == VocabularyTarget::kInput ? "input" : "next";
}

}  // namespace

FigureTable VocabularyFigure(const std::vector<VocabularyCell>& cells, int64_t min_count) {
  FigureTable table;
  table.figure = "vocabulary";
  table.about = {{"min_count", min_count}};
  table.columns = {"dataset",
                   "layer",
                   "target",
                   "type_weighted",
                   "null_type_weighted",
                   "token_weighted",
                   "null_token_weighted",
                   "held_out",
                   "held_out_low",
                   "held_out_high",
                   "ids",
                   "occurrences",
                   "coverage",
                   "units",
                   "why_no_interval"};
  for (const VocabularyCell& cell : cells) {
    table.rows.push_back({cell.dataset, int64_t{cell.layer}, NameOf(cell.target),
                          Number(cell.type_weighted), Number(cell.null_type_weighted),
                          Number(cell.token_weighted), Number(cell.null_token_weighted),
                          Number(cell.held_out), Low(cell.held_out_interval),
                          High(cell.held_out_interval), cell.ids, cell.occurrences,
                          Number(cell.coverage), cell.n_units, TextOrNull(cell.why_no_interval)});
  }
  return table;
}

std::string VocabularyText(const std::vector<VocabularyCell>& cells, int64_t min_count,
                           const TerminalStyle&) {
  TextTable table;
  for (const char* heading : {"layer", "data set", "id of"}) {
    table.AddColumn(heading, TextTable::Align::kLeft);
  }
  for (const char* heading :
       {"types", "null", "tokens", "null", "held out", "95 %", "ids", "cover"}) {
    table.AddColumn(heading);
  }
  const VocabularyCell* previous = nullptr;
  for (const VocabularyCell& cell : cells) {
    const bool new_layer = previous == nullptr || previous->layer != cell.layer;
    if (new_layer && previous != nullptr) table.AddGap();
    const bool new_dataset = new_layer || previous->dataset != cell.dataset;
    table.AddRow(
        {new_layer ? fmt::format("{}", cell.layer) : "", new_dataset ? Printable(cell.dataset) : "",
         NameOf(cell.target), Percent(cell.type_weighted), Percent(cell.null_type_weighted),
         Percent(cell.token_weighted), Percent(cell.null_token_weighted), Percent(cell.held_out),
         PercentInterval(cell.held_out_interval), FormatCount(cell.ids), Percent(cell.coverage)});
    previous = &cell;
  }
  return fmt::format(
             "Share of a token id's occurrences that include its most frequent expert, percent; "
             "ids "
             "seen {} times or more.\ntypes: each id counts once; tokens: each occurrence; null: "
             "were as many occurrences routed at random.\nheld out: tokens, the expert of each id "
             "chosen on one half of the units, measured on the other.\nid of: the token itself "
             "(input), or the one after it (next). cover: occurrences of those ids.\n\n",
             min_count) +
         table.Format() + "\n" + WhyLines(cells);
}

}  // namespace moescope::study
