#include "study/figures/card_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/coloured_token.h"
#include "study/figures/display_numbers.h"
#include "study/figures/routed_text.h"
#include "study/figures/text_table.h"
#include "study/figures/utf8.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;

// A context for display: what stands before the token, the token, what stands after.
struct ContextText {
  std::string before, token, after;
};

ContextText TextOf(const ExpertContext& context) {
  const std::vector<std::string> pieces = DisplayPieces(context.bytes);
  ContextText text;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto at = static_cast<size_t>(context.at);
    (i < at ? text.before : i == at ? text.token : text.after) += pieces[i];
  }
  return text;
}

// At most `width` columns of the end of `text` (or of its beginning).
std::string Shortened(const std::string& text, int width, bool keep_end) {
  if (DisplayWidth(text) <= width) return text;
  std::vector<std::string> characters;
  for (size_t at = 0; at < text.size();) {
    const size_t n_bytes = NextCharacter(text, at).n_bytes;
    characters.push_back(text.substr(at, n_bytes));
    at += n_bytes;
  }
  if (keep_end) std::reverse(characters.begin(), characters.end());
  std::vector<std::string> kept;
  int used = 1;  // the dots
  for (const std::string& character : characters) {
    used += DisplayWidth(character);
    if (used > width) break;
    kept.push_back(character);
  }
  if (keep_end) std::reverse(kept.begin(), kept.end());
  const std::string joined = fmt::format("{}", fmt::join(kept, ""));
  return keep_end ? "…" + joined : joined + "…";
}

std::string KindName(ContextKind kind) {
  return kind == ContextKind::kRandom ? "random" : "top";
}

std::string KindName(NeighbourKind kind) {
  switch (kind) {
    case NeighbourKind::kTogether:
      return "together";
    case NeighbourKind::kBefore:
      return "before";
    case NeighbourKind::kAfter:
      return "after";
  }
  return "";
}

// One context a line, the token in the middle as in a concordance.
std::string ContextsText(const ExpertCard& card, ContextKind kind, const TerminalStyle& style) {
  TextTable table;
  table.AddColumn("");
  table.AddColumn(kind == ContextKind::kRandom ? "random contexts"
                                               : "largest routing weight, one "
                                                 "a document",
                  kLeft);
  table.AddColumn("", kLeft);
  table.AddColumn("weight");
  table.AddColumn("choice");
  table.AddColumn("data set, document", kLeft);
  const int side = std::clamp((style.width - 50) / 2, 12, 40);
  for (const ExpertContext& context : card.contexts) {
    if (context.kind != kind) continue;
    const ContextText text = TextOf(context);
    const std::string token =
        style.colour ? MarkText(text.token, {card.expert, true, false}) : "[" + text.token + "]";
    table.AddRow({Shortened(text.before, side, true), token, Shortened(text.after, side, false),
                  DisplayReal(context.weight, 3), fmt::format("{}", context.choice + 1),
                  fmt::format("{} {}", Printable(context.dataset), context.document)});
  }
  return table.Format() + "\n";
}

std::string TokensText(const ExpertCard& card) {
  TextTable table;
  for (const char* order : {"tokens by lift", "by count"}) {
    table.AddColumn(order, kLeft);
    table.AddColumn("of its uses, %");
    table.AddColumn(order == std::string("by count") ? "uses" : "lift");
  }
  for (size_t i = 0; i < std::max(card.by_lift.size(), card.by_count.size()); ++i) {
    std::vector<std::string> row;
    for (const auto* tokens : {&card.by_lift, &card.by_count}) {
      if (i >= tokens->size()) {
        row.insert(row.end(), {"", "", ""});
        continue;
      }
      const ExpertToken& token = (*tokens)[i];
      row.push_back("'" + Printable(token.text) + "'");
      row.push_back(DisplayPercent(token.share_of_token));
      row.push_back(tokens == &card.by_lift ? DisplayReal(token.lift, 2)
                                            : FormatCount(token.count));
    }
    table.AddRow(std::move(row));
  }
  return table.Format() + "\n";
}

std::string DatasetsText(const ExpertCard& card) {
  TextTable table;
  table.AddColumn("data set", kLeft);
  for (const char* heading : {"share, %", "95 %", "lift", "95 %"}) table.AddColumn(heading);
  table.AddColumn("", kLeft);
  double largest = 0;
  for (const ExpertDataset& dataset : card.datasets) largest = std::max(largest, dataset.share);
  std::vector<const ExpertDataset*> order;
  for (const ExpertDataset& dataset : card.datasets) order.push_back(&dataset);
  std::stable_sort(order.begin(), order.end(), [](const ExpertDataset* a, const ExpertDataset* b) {
    return a->share > b->share;
  });
  for (const ExpertDataset* dataset : order) {
    const auto& lift = dataset->lift_interval;
    table.AddRow(
        {Printable(dataset->dataset), DisplayPercent(dataset->share),
         DisplayPercentInterval(dataset->share_interval), DisplayReal(dataset->lift, 2),
         lift ? fmt::format("{:.2f}-{:.2f}", lift->low, lift->high) : dataset->why_no_interval,
         largest > 0 ? Bar(dataset->share / largest, 16) : ""});
  }
  return table.Format() + "\n";
}

std::string NeighboursText(const ExpertCard& card) {
  constexpr size_t kShown = 4;
  std::string text;
  for (NeighbourKind kind :
       {NeighbourKind::kTogether, NeighbourKind::kBefore, NeighbourKind::kAfter}) {
    std::vector<const ExpertNeighbour*> neighbours;
    for (const ExpertNeighbour& neighbour : card.neighbours) {
      if (neighbour.kind == kind && std::isfinite(neighbour.ratio)) {
        neighbours.push_back(&neighbour);
      }
    }
    std::stable_sort(
        neighbours.begin(), neighbours.end(),
        [](const ExpertNeighbour* a, const ExpertNeighbour* b) { return a->ratio > b->ratio; });
    text += fmt::format("{:<17}", kind == NeighbourKind::kTogether ? "same token"
                                  : kind == NeighbourKind::kBefore ? "token before"
                                                                   : "token after");
    for (size_t i = 0; i < std::min(kShown, neighbours.size()); ++i) {
      const ExpertNeighbour& neighbour = *neighbours[i];
      text += fmt::format("{}e{} {} ({} expected, x{:.2f})", i == 0 ? "" : "  ", neighbour.expert,
                          FormatCount(neighbour.count),
                          FormatCount(static_cast<uint64_t>(std::lround(neighbour.expected))),
                          neighbour.ratio);
    }
    text += "\n";
  }
  return "Other experts, most above expectation first\n" + text;
}

NamedRows TokenRows(const ExpertCard& card) {
  NamedRows tokens = {"tokens",
                      {"order", "token_id", "text", "count", "occurrences", "share_of_expert",
                       "share_of_token", "lift"},
                      {}};
  for (const auto& [order, list] :
       {std::pair{"lift", &card.by_lift}, std::pair{"count", &card.by_count}}) {
    for (const ExpertToken& token : *list) {
      tokens.rows.push_back({std::string(order), int64_t{token.token_id}, token.text, token.count,
                             token.occurrences, Number(token.share_of_expert),
                             Number(token.share_of_token), Number(token.lift)});
    }
  }
  return tokens;
}

}  // namespace

FigureTable CardFigure(const ExpertCard& card) {
  FigureTable table;
  table.figure = "card";
  table.about = {{"layer", int64_t{card.layer}},
                 {"expert", int64_t{card.expert}},
                 {"count", card.rows},
                 {"first_count", card.first_rows},
                 {"tokens_of_run", card.text_rows},
                 {"mean_weight", Number(card.mean_weight)}};
  table.columns = {"kind",   "dataset", "unit",   "document", "position",
                   "choice", "weight",  "before", "token",    "after"};
  for (const ExpertContext& context : card.contexts) {
    const ContextText text = TextOf(context);
    table.rows.push_back({KindName(context.kind), context.dataset, context.unit, context.document,
                          int64_t{context.position}, int64_t{context.choice},
                          Number(context.weight), text.before, text.token, text.after});
  }
  NamedRows datasets = {"datasets",
                        {"dataset", "count", "tokens", "share", "share_low", "share_high", "lift",
                         "lift_low", "lift_high", "units", "why_no_interval"},
                        {}};
  for (const ExpertDataset& dataset : card.datasets) {
    datasets.rows.push_back({dataset.dataset, dataset.count, dataset.rows, Number(dataset.share),
                             Low(dataset.share_interval), High(dataset.share_interval),
                             Number(dataset.lift), Low(dataset.lift_interval),
                             High(dataset.lift_interval), dataset.n_units,
                             TextOrNull(dataset.why_no_interval)});
  }
  NamedRows neighbours = {
      "neighbours", {"kind", "expert", "count", "share", "expected", "ratio"}, {}};
  for (const ExpertNeighbour& neighbour : card.neighbours) {
    neighbours.rows.push_back({KindName(neighbour.kind), int64_t{neighbour.expert}, neighbour.count,
                               Number(neighbour.of), Number(neighbour.expected),
                               Number(neighbour.ratio)});
  }
  table.more = {TokenRows(card), std::move(datasets), std::move(neighbours)};
  return table;
}

std::string CardText(const ExpertCard& card, const TerminalStyle& style) {
  std::string text = fmt::format(
      "Layer {} expert {}: chosen by {} of {} tokens ({} %), first by {}; mean routing weight "
      "{}\n\n",
      card.layer, card.expert, FormatCount(card.rows), FormatCount(card.text_rows),
      DisplayPercent(card.text_rows > 0
                         ? static_cast<double>(card.rows) / static_cast<double>(card.text_rows)
                         : std::nan("")),
      FormatCount(card.first_rows), DisplayReal(card.mean_weight, 3));
  if (!card.contexts.empty()) {
    text += ContextsText(card, ContextKind::kTop, style);
    text += ContextsText(card, ContextKind::kRandom, style);
    text += TokensText(card);
  }
  return text + DatasetsText(card) + NeighboursText(card);
}

}  // namespace moescope::study
