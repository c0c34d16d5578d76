#include "study/figures/domains_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;
constexpr size_t kWidestMatrix = 24;  // data sets; more do not fit a terminal

// "No p: web (1 unit, fewer than 2)."
std::string WhyLine(const std::vector<DomainDistance>& distances, const char* what,
                    std::string DomainDistance::*why) {
  std::vector<std::string> reasons;
  for (const DomainDistance& distance : distances) {
    if (!distance.other.empty() || (distance.*why).empty()) continue;
    const std::string reason = fmt::format("{} ({})", Printable(distance.dataset), distance.*why);
    if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) {
      reasons.push_back(reason);
    }
  }
  return reasons.empty() ? "" : fmt::format("No {}: {}.\n", what, fmt::join(reasons, ", "));
}

std::string RestTable(const Domains& domains) {
  TextTable table;
  table.AddColumn("data set", kLeft);
  for (const char* heading :
       {"layer", "distance", "95 %", "halves", "shuffled", "its 95 %", "p", "p max", "units"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", kLeft);
  double largest = 0;
  for (const DomainDistance& d : domains.distances) largest = std::max(largest, d.distance);
  int layer = domains.distances.front().layer;
  for (const DomainDistance& d : domains.distances) {
    if (!d.other.empty()) continue;
    if (d.layer != std::exchange(layer, d.layer)) table.AddGap();
    const double share = largest > 0 && std::isfinite(d.distance) ? d.distance / largest : 0;
    table.AddRow({Printable(d.dataset), fmt::format("{}", d.layer), RealText(d.distance, 4),
                  IntervalText(d.interval, 4), RealText(d.split_half, 4), RealText(d.null_mean, 4),
                  RealText(d.null_95, 4), ProbabilityText(d.p), ProbabilityText(d.p_max),
                  FormatCount(d.n_units),
                  Bar(share, 12) + (d.most_different ? " most different" : "")});
  }
  return table.Format();
}

// The distances of one layer's pairs: [begin, end) of the list, a < b in order.
std::string Matrix(const std::vector<std::string>& names, const std::vector<double>& pairs) {
  TextTable table;
  table.AddColumn("", kLeft);
  for (size_t d = 0; d < names.size(); ++d) table.AddColumn(fmt::format("{}", d + 1));
  for (size_t a = 0; a < names.size(); ++a) {
    std::vector<std::string> row = {fmt::format("{} {}", a + 1, Printable(names[a]))};
    for (size_t b = 0; b < names.size(); ++b) {
      const size_t low = std::min(a, b), high = std::max(a, b);
      const size_t at = low * names.size() - low * (low + 1) / 2 + (high - low - 1);
      row.push_back(a == b ? "." : RealText(pairs[at], 3));
    }
    table.AddRow(std::move(row));
  }
  return table.Format();
}

std::string Matrices(const Domains& domains) {
  std::string text;
  std::vector<std::string> names;
  std::vector<double> pairs;
  const auto& list = domains.distances;
  for (size_t i = 0; i < list.size(); ++i) {
    (list[i].other.empty() ? void(names.push_back(list[i].dataset))
                           : void(pairs.push_back(list[i].distance)));
    if (i + 1 < list.size() && list[i + 1].layer == list[i].layer) continue;
    if (names.size() > 2 && names.size() <= kWidestMatrix) {
      text += fmt::format("\nBetween data sets, layer {}\n{}", list[i].layer, Matrix(names, pairs));
    }
    names.clear();
    pairs.clear();
  }
  return text;
}

}  // namespace

FigureTable DomainsFigure(const Domains& domains) {
  FigureTable table;
  table.figure = "domains";
  table.about = {{"permutations", domains.n_permutations},
                 {"exact", int64_t{domains.is_exact}},
                 {"family", "max-T over the data sets of a layer"}};
  table.columns = {
      "dataset",       "other",          "layer",     "distance",        "distance_low",
      "distance_high", "split_half",     "null_mean", "null_95",         "p",
      "p_max",         "most_different", "units",     "why_no_interval", "why_no_p"};
  for (const DomainDistance& d : domains.distances) {
    table.rows.push_back({d.dataset, TextOrNull(d.other), int64_t{d.layer}, Number(d.distance),
                          Low(d.interval), High(d.interval), Number(d.split_half),
                          Number(d.null_mean), Number(d.null_95), Number(d.p), Number(d.p_max),
                          int64_t{d.most_different}, d.n_units, TextOrNull(d.why_no_interval),
                          TextOrNull(d.why_no_p)});
  }
  return table;
}

std::string DomainsText(const Domains& domains, const TerminalStyle&) {
  return fmt::format(
             "Jensen-Shannon distance (root of the divergence in bits) of a data set's shares of "
             "assignments\nfrom the rest, the other data sets equally weighted. Beside it: halves "
             "(two halves of its units),\nshuffled (data set labels over units, mean and 95 % "
             "point, {}{} arrangements). p max: max-T over\nthe data sets of a layer.\n\n",
             domains.is_exact ? "all " : "",
             FormatCount(static_cast<uint64_t>(domains.n_permutations) + domains.is_exact)) +
         RestTable(domains) + Matrices(domains) + "\n" +
         WhyLine(domains.distances, "interval", &DomainDistance::why_no_interval) +
         WhyLine(domains.distances, "p", &DomainDistance::why_no_p);
}

}  // namespace moescope::study
