#include "study/figures/paths_figure.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/coloured_token.h"
#include "study/figures/display_numbers.h"
#include "study/figures/route_figure.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;

Cell RankOrNull(int rank) {
  return rank > 0 ? Cell(int64_t{rank}) : Cell();
}

std::string ColouredPath(const std::vector<int16_t>& experts, bool colour) {
  if (!colour) return PathName(experts);
  std::string text;
  for (int16_t expert : experts) {
    text +=
        (text.empty() ? "" : ">") + MarkText(fmt::format(" {} ", expert), {expert, true, false});
  }
  return text;
}

std::string PathList(std::vector<const PathShare*> paths, const char* heading, bool colour) {
  TextTable table;
  table.AddColumn(heading, kLeft);
  for (const char* name : {"count", "%", "95 %", "independent", "lift", "Markov", "lift"}) {
    table.AddColumn(name);
  }
  for (const PathShare* path : paths) {
    table.AddRow({ColouredPath(path->experts, colour), FormatCount(path->count),
                  fmt::format("{:.3g}", 100 * path->share),
                  path->interval ? fmt::format("{:.3g}-{:.3g}", 100 * path->interval->low,
                                               100 * path->interval->high)
                                 : "-",
                  fmt::format("{:.3g}", 100 * path->independent), DisplayReal(path->lift(), 2),
                  fmt::format("{:.3g}", 100 * path->markov), DisplayReal(path->markov_lift(), 2)});
  }
  return table.Format() + "\n";
}

// Paths that have a rank, in its order.
std::vector<const PathShare*> Ranked(const Paths& paths, int PathShare::*rank) {
  std::vector<const PathShare*> ranked;
  for (const PathShare& path : paths.paths) {
    if (path.*rank > 0) ranked.push_back(&path);
  }
  std::sort(ranked.begin(), ranked.end(),
            [&](const PathShare* a, const PathShare* b) { return a->*rank < b->*rank; });
  return ranked;
}

}  // namespace

FigureTable PathsFigure(const Paths& paths, const std::string& what) {
  FigureTable table;
  table.figure = "paths";
  table.about = {{"layers", fmt::format("{}", fmt::join(paths.layers, ","))},
                 {"restriction", TextOrNull(what)},
                 {"tokens", paths.rows},
                 {"units", paths.n_units},
                 {"distinct_paths", paths.distinct},
                 {"possible_paths", paths.possible},
                 {"entropy_bits", Number(paths.entropy)},
                 {"sum_of_layer_entropies_bits", Number(paths.sum_of_entropies)},
                 {"markov_entropy_bits", Number(paths.markov_entropy)},
                 {"dependence_bits", Number(paths.dependence)},
                 {"dependence_null_mean", Number(paths.null_mean)},
                 {"dependence_null_largest", Number(paths.null_high)},
                 {"dependence_p", Number(paths.p)},
                 {"shifts", int64_t{paths.n_shifts}},
                 {"why_no_interval", TextOrNull(paths.why_no_interval)}};
  table.columns = {"path", "count",  "share",       "share_low",     "share_high",  "independent",
                   "lift", "markov", "markov_lift", "rank_by_count", "rank_by_lift"};
  for (const PathShare& path : paths.paths) {
    table.rows.push_back({PathName(path.experts), path.count, Number(path.share),
                          Low(path.interval), High(path.interval), Number(path.independent),
                          Number(path.lift()), Number(path.markov), Number(path.markov_lift()),
                          RankOrNull(path.rank_by_count), RankOrNull(path.rank_by_lift)});
  }
  NamedRows links = {"links", {"layer", "expert", "next_layer", "next_expert", "count"}, {}};
  for (const PathLink& link : paths.links) {
    links.rows.push_back({int64_t{link.layer}, int64_t{link.expert}, int64_t{link.next_layer},
                          int64_t{link.next_expert}, link.count});
  }
  table.more.push_back(std::move(links));
  return table;
}

std::string PathsText(const Paths& paths, const std::string& what, const TerminalStyle& style) {
  std::string text = fmt::format(
      "Paths of first choices over layers {}{}: {} tokens\n\n", fmt::join(paths.layers, ", "),
      what.empty() ? "" : ", " + Printable(what), FormatCount(paths.rows));
  if (paths.rows == 0) return text;
  text += PathList(Ranked(paths, &PathShare::rank_by_count), "path, by count", style.colour);
  text += PathList(Ranked(paths, &PathShare::rank_by_lift), "path, by lift", style.colour);
  text += fmt::format(
      "{} different paths of {:.0f} possible. Entropy {:.3f} bits; layer by layer {:.3f} "
      "(independent), {:.3f} (Markov).\n",
      FormatCount(paths.distinct), paths.possible, paths.entropy, paths.sum_of_entropies,
      paths.markov_entropy);
  if (paths.n_shifts > 0) {
    text += fmt::format(
        "Dependence between layers: {:.4f} bits; with layers shifted against each other {:.4f} on "
        "average, {:.4f} at most of {}; p = {:.3g}.\n",
        paths.dependence, paths.null_mean, paths.null_high, paths.n_shifts, paths.p);
  }
  if (!paths.why_no_interval.empty()) {
    text += fmt::format("No interval: {}.\n", paths.why_no_interval);
  }
  return text;
}

}  // namespace moescope::study
