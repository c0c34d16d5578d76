#include "study/figures/route_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/coloured_token.h"
#include "study/figures/display_numbers.h"
#include "study/figures/routed_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;

// One layer of a word: a view of its shares.
std::vector<const WordShare*> SharesOfLayer(const WordRoutes& word, int layer) {
  std::vector<const WordShare*> shares;
  for (const WordShare& share : word.shares) {
    if (share.layer == layer) shares.push_back(&share);
  }
  return shares;
}

// `width` columns shared out so that they add up: ends of experts are rounded, not their widths.
// Each expert's part begins with its number, where that fits.
std::string Strip(const std::vector<const WordShare*>& shares, int width, bool colour) {
  std::string strip;
  double sum = 0;
  int from = 0;
  for (const WordShare* share : shares) {
    if (!(share->share > 0)) continue;
    sum += share->share;
    const int to = std::min(width, static_cast<int>(std::lround(sum * width)));
    if (to == from) continue;
    const size_t columns = to - from;
    std::string number = fmt::format("{}", share->expert);
    if (number.size() > columns) number.clear();
    const char fill = colour ? ' ' : '-';
    std::string part = number + std::string(columns - number.size(), fill);
    // Without colour a bar ends each part, so that parts can be told apart.
    if (!colour && columns > number.size()) part.back() = '|';
    strip += colour ? MarkText(part, {share->expert, true, false}) : part;
    from = to;
  }
  return strip;
}

std::string Busiest(std::vector<const WordShare*> shares) {
  std::stable_sort(shares.begin(), shares.end(),
                   [](const WordShare* a, const WordShare* b) { return a->share > b->share; });
  std::string text;
  constexpr size_t kNamed = 2;
  for (size_t i = 0; i < std::min(kNamed, shares.size()); ++i) {
    text += fmt::format("{}e{} {} ({})", i == 0 ? "" : "  ", shares[i]->expert,
                        DisplayPercent(shares[i]->share), DisplayPercent(shares[i]->text_share));
  }
  return text;
}

std::string WordText(const WordRoutes& word, const std::vector<int>& layers,
                     const TerminalStyle& style) {
  const std::string piece = DisplayPieces({word.last_piece_text}).front();
  std::string text =
      fmt::format("{}: {} occurrences in {} documents; last piece '{}' (#{}) in {} %\n\n",
                  Printable(word.word), FormatCount(word.occurrences), FormatCount(word.documents),
                  piece, word.last_piece, DisplayPercent(word.last_piece_share));
  const int strip_width = std::clamp(style.width - 45, 16, 64);
  TextTable table;
  table.AddColumn("layer");
  table.AddColumn("experts, by share of choices", kLeft);
  table.AddColumn("most (of all text)", kLeft);
  for (int layer : layers) {
    const auto shares = SharesOfLayer(word, layer);
    table.AddRow(
        {fmt::format("{}", layer), Strip(shares, strip_width, style.colour), Busiest(shares)});
  }
  text += table.Format() + "\n";
  TextTable paths;
  paths.AddColumn("most frequent path", kLeft);
  for (const char* heading : {"count", "%", "if layers were independent, %"}) {
    paths.AddColumn(heading);
  }
  for (const WordPath& path : word.paths) {
    paths.AddRow({PathName(path.experts), FormatCount(path.count), DisplayPercent(path.share),
                  fmt::format("{:.2g}", 100 * path.independent)});
  }
  return text + paths.Format() +
         fmt::format("({} different paths of first choices)\n\n", FormatCount(word.distinct_paths));
}

std::string LayerList(const std::vector<int>& layers) {
  return fmt::format("{}", fmt::join(layers, ","));
}

void AddCells(const DistanceResult& result, bool measured, std::vector<Cell>& row) {
  for (double value :
       {result.distance, result.within_a, result.within_b, result.excess, result.null_mean,
        result.null_low, result.null_high, result.p, result.p_holm}) {
    row.push_back(measured ? Number(value) : Cell());
  }
}

std::string DisplayP(double p) {
  return std::isfinite(p) ? fmt::format("{:.3g}", p) : "-";
}

// `n_tests`: pairs that Holm corrects for.
std::string Verdict(const PairDistance& pair, int64_t n_tests) {
  constexpr double kLevel = 0.05;
  const std::string names = fmt::format("'{}' and '{}'", Printable(pair.a), Printable(pair.b));
  if (!pair.why_not.empty()) return fmt::format("{}: {}.\n", names, Printable(pair.why_not));
  if (pair.null_pairs == 0) {
    return fmt::format("{}: no null ({}).\n", names, Printable(pair.null_note));
  }
  const DistanceResult& sets = pair.sets;
  const std::string numbers = fmt::format(
      "excess distance {:.4f}, that of {} random pairs {:.4f} on average (5-95 %: {:.4f} to "
      "{:.4f}), "
      "p = {}, Holm {}",
      sets.excess, FormatCount(pair.null_pairs), sets.null_mean, sets.null_low, sets.null_high,
      DisplayP(sets.p), DisplayP(sets.p_holm));
  std::string text;
  if (sets.p_holm <= kLevel) {
    text = fmt::format("{} travel closer together than random pairs of matched words: {}.\n", names,
                       numbers);
  } else if (static_cast<double>(n_tests) / static_cast<double>(1 + pair.null_pairs) > kLevel) {
    text = fmt::format("{}: too few random pairs to tell: {}.\n", names, numbers);
  } else {
    text = fmt::format(
        "{} travel no closer together than random pairs of matched words: {}. A null result.\n",
        names, numbers);
  }
  if (!pair.null_note.empty()) text += fmt::format("  ({}.)\n", Printable(pair.null_note));
  return text;
}

}  // namespace

std::string PathName(const std::vector<int16_t>& experts) {
  return fmt::format("{}", fmt::join(experts, " > "));
}

FigureTable WordRoutesFigure(const std::vector<WordRoutes>& words, const std::vector<int>& layers) {
  FigureTable table;
  table.figure = "route";
  table.about = {{"layers", LayerList(layers)}};
  table.columns = {"word",       "layer",      "expert", "share",      "share_low",
                   "share_high", "text_share", "count",  "first_count"};
  NamedRows summary = {"words",
                       {"word", "occurrences", "documents", "units", "last_piece_id", "last_piece",
                        "last_piece_share", "distinct_paths", "why_no_interval"},
                       {}};
  NamedRows paths = {"paths", {"word", "path", "count", "share", "share_if_independent"}, {}};
  for (const WordRoutes& word : words) {
    for (const WordShare& share : word.shares) {
      table.rows.push_back({word.word, int64_t{share.layer}, int64_t{share.expert},
                            Number(share.share), Low(share.interval), High(share.interval),
                            Number(share.text_share), share.count, share.first_count});
    }
    summary.rows.push_back({word.word, word.occurrences, word.documents, word.n_units,
                            int64_t{word.last_piece}, DisplayPieces({word.last_piece_text}).front(),
                            Number(word.last_piece_share), word.distinct_paths,
                            TextOrNull(word.why_no_interval)});
    for (const WordPath& path : word.paths) {
      paths.rows.push_back({word.word, PathName(path.experts), path.count, Number(path.share),
                            Number(path.independent)});
    }
  }
  table.more = {std::move(summary), std::move(paths)};
  return table;
}

std::string WordRoutesText(const std::vector<WordRoutes>& words, const std::vector<int>& layers,
                           const TerminalStyle& style) {
  std::string text;
  for (const WordRoutes& word : words) text += WordText(word, layers, style);
  return text;
}

FigureTable PathDistancesFigure(const std::vector<PairDistance>& pairs,
                                const std::vector<int>& layers,
                                const PathDistanceOptions& options) {
  FigureTable table;
  table.figure = "route_pairs";
  table.about = {{"layers", LayerList(layers)},
                 {"min_contexts", int64_t{options.min_contexts}},
                 {"correction", "Holm over the pairs asked for"}};
  table.columns = {"a",           "b",           "contexts_a",   "contexts_b",
                   "documents_a", "documents_b", "context_pairs"};
  for (const char* prefix : {"", "weighted_"}) {
    for (const char* name : {"distance", "distance_aa", "distance_bb", "excess", "null_mean",
                             "null_low", "null_high", "p", "p_holm"}) {
      table.columns.push_back(fmt::format("{}{}", prefix, name));
    }
  }
  for (const char* name : {"null_pairs", "matched_to_a", "matched_to_b", "null_note", "why_not"}) {
    table.columns.emplace_back(name);
  }
  for (const PairDistance& pair : pairs) {
    const bool measured = pair.why_not.empty();
    std::vector<Cell>& row = table.rows.emplace_back();
    row = {pair.a,           pair.b,           pair.contexts_a,   pair.contexts_b,
           pair.documents_a, pair.documents_b, pair.context_pairs};
    AddCells(pair.sets, measured, row);
    AddCells(pair.weights, measured, row);
    for (Cell cell : {Cell(pair.null_pairs), Cell(pair.candidates_a), Cell(pair.candidates_b),
                      TextOrNull(pair.null_note), TextOrNull(pair.why_not)}) {
      row.push_back(std::move(cell));
    }
  }
  return table;
}

std::string PathDistancesText(const std::vector<PairDistance>& pairs,
                              const std::vector<int>& layers, const PathDistanceOptions& options,
                              const TerminalStyle&) {
  TextTable table;
  table.AddColumn("pair", kLeft);
  for (const char* heading : {"contexts", "D(a,b)", "D(a,a)", "D(b,b)", "excess", "null", "p",
                              "Holm", "by weight", "null", "p", "Holm"}) {
    table.AddColumn(heading);
  }
  for (const PairDistance& pair : pairs) {
    std::vector<std::string> row = {Printable(pair.a + ", " + pair.b),
                                    fmt::format("{}, {}", pair.contexts_a, pair.contexts_b)};
    const bool measured = pair.why_not.empty();
    const auto add = [&](double value) { row.push_back(measured ? DisplayReal(value, 4) : "-"); };
    for (double value : {pair.sets.distance, pair.sets.within_a, pair.sets.within_b,
                         pair.sets.excess, pair.sets.null_mean}) {
      add(value);
    }
    row.push_back(measured ? DisplayP(pair.sets.p) : "-");
    row.push_back(measured ? DisplayP(pair.sets.p_holm) : "-");
    add(pair.weights.excess);
    add(pair.weights.null_mean);
    row.push_back(measured ? DisplayP(pair.weights.p) : "-");
    row.push_back(measured ? DisplayP(pair.weights.p_holm) : "-");
    table.AddRow(std::move(row));
  }
  std::string text = fmt::format(
      "Path distance over {} layers, contexts from different documents. excess: D(a,b) less the "
      "mean of D(a,a) and D(b,b);\nnull: of up to {} random pairs matched in frequency, leading "
      "space, capitalisation and data sets; p: one-sided.\n\n",
      layers.size(), options.n_null);
  text += table.Format() + "\n";
  const auto n_tests = std::count_if(pairs.begin(), pairs.end(), [](const PairDistance& pair) {
    return std::isfinite(pair.sets.p_holm) && pair.null_pairs > 0;
  });
  for (const PairDistance& pair : pairs) text += Verdict(pair, n_tests);
  return text;
}

}  // namespace moescope::study
