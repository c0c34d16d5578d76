#include "study/figures/words_figure.h"

#include <fmt/format.h>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;

}  // namespace

FigureTable WordsFigure(const std::vector<WordCell>& cells) {
  FigureTable table;
  table.figure = "words";
  table.columns = {"dataset",        "layer",      "alike",
                   "alike_low",      "alike_high", "null_pieces",
                   "null_places",    "null_token", "alike_token_covered",
                   "token_coverage", "words",      "pieces",
                   "alike_words",    "units",      "why_no_interval"};
  for (const WordCell& cell : cells) {
    table.rows.push_back({cell.dataset, int64_t{cell.layer}, Number(cell.alike), Low(cell.interval),
                          High(cell.interval), Number(cell.pieces_null), Number(cell.places_null),
                          Number(cell.token_null), Number(cell.alike_token_covered),
                          Number(cell.token_coverage), cell.words, cell.pieces, cell.alike_words,
                          cell.n_units, TextOrNull(cell.why_no_interval)});
  }
  return table;
}

std::string WordsText(const std::vector<WordCell>& cells, const TerminalStyle&) {
  TextTable table;
  for (const char* heading : {"layer", "data set"}) table.AddColumn(heading, kLeft);
  for (const char* heading :
       {"alike", "95 %", "pieces", "places", "token", "alike", "cover", "words"}) {
    table.AddColumn(heading);
  }
  int previous = -1;
  for (const WordCell& cell : cells) {
    if (previous >= 0 && previous != cell.layer) table.AddGap();
    table.AddRow({previous == cell.layer ? "" : fmt::format("{}", cell.layer),
                  Printable(cell.dataset), Percent(cell.alike), PercentInterval(cell.interval),
                  Percent(cell.pieces_null), Percent(cell.places_null), Percent(cell.token_null),
                  Percent(cell.alike_token_covered), Percent(cell.token_coverage),
                  FormatCount(cell.words)});
    previous = cell.layer;
  }
  return "Words of two pieces or more whose pieces share their first choice (alike), percent. "
         "Nulls: pieces (shuffled\namong words), places (the same, but first pieces stay first, "
         "second ones second), token (what the same\ntokens get in other documents; cover: words "
         "it is known for, beside it their alike).\n\n" +
         table.Format() + "\n" + WhyLines(cells);
}

FigureTable WordExpertsFigure(const std::vector<WordExpertCell>& cells) {
  FigureTable table;
  table.figure = "words";
  table.columns = {"word",
                   "dataset",
                   "layer",
                   "expert",
                   "share",
                   "share_low",
                   "share_high",
                   "null_iid",
                   "null_token",
                   "share_token_covered",
                   "alike",
                   "alike_null_token",
                   "alike_token_covered",
                   "token_coverage",
                   "occurrences",
                   "pieces",
                   "units",
                   "why_no_interval"};
  for (const WordExpertCell& cell : cells) {
    table.rows.push_back(
        {cell.word, cell.dataset, int64_t{cell.layer}, int64_t{cell.expert}, Number(cell.share),
         Low(cell.interval), High(cell.interval), Number(cell.iid_share), Number(cell.token_share),
         Number(cell.share_token_covered), Number(cell.alike), Number(cell.alike_token_null),
         Number(cell.alike_token_covered), Number(cell.token_coverage), cell.occurrences,
         cell.pieces, cell.n_units, TextOrNull(cell.why_no_interval)});
  }
  return table;
}

std::string WordExpertsText(const std::vector<WordExpertCell>& cells, const TerminalStyle&) {
  TextTable table;
  for (const char* heading : {"word", "layer", "data set"}) table.AddColumn(heading, kLeft);
  for (const char* heading :
       {"expert", "share", "95 %", "iid", "token", "alike", "token", "cover", "n", "pieces"}) {
    table.AddColumn(heading);
  }
  const WordExpertCell* previous = nullptr;
  for (const WordExpertCell& cell : cells) {
    if (previous != nullptr && previous->layer != cell.layer) table.AddGap();
    table.AddRow(
        {Printable(cell.word), fmt::format("{}", cell.layer), Printable(cell.dataset),
         fmt::format("e{}", cell.expert), Percent(cell.share), PercentInterval(cell.interval),
         Percent(cell.iid_share), Percent(cell.token_share), Percent(cell.alike),
         Percent(cell.alike_token_null), Percent(cell.token_coverage),
         FormatCount(cell.occurrences),
         RealText(static_cast<double>(cell.pieces) / static_cast<double>(cell.occurrences), 2)});
    previous = &cell;
  }
  return "Words asked for, percent. expert: the most frequent first choice of their pieces, share: "
         "of the pieces.\niid: what the most frequent would get if as many pieces were routed at "
         "random; token: what that expert gets\nof the same tokens in other documents (cover: "
         "occurrences it is known for). alike: all pieces share their\nfirst choice. pieces: on "
         "average.\n\n" +
         table.Format() + "\n" + WhyLines(cells);
}

}  // namespace moescope::study
