#include "study/figures/minimal_pair_figure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/display_numbers.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;
// Prefixes of columns, as MinimalKind.
constexpr const char* kPrefixes[kMinimalKinds] = {"", "weighted_", "after_", "after_weighted_"};

std::string DisplayP(double p) {
  return std::isfinite(p) ? fmt::format("{:.3g}", p) : "-";
}

std::string DisplayRange(const std::optional<Interval>& interval) {
  if (!interval || !std::isfinite(interval->low)) return "-";
  return fmt::format("{:.3f}-{:.3f}", interval->low, interval->high);
}

std::string NamesOf(const PlannedPair& pair) {
  return Printable(pair.a + ", " + pair.b);
}

NamedRows LayerRows(const std::vector<PlannedPair>& plan, const std::vector<MinimalPair>& pairs) {
  NamedRows rows = {"layers", {"a", "b", "layer"}, {}};
  for (const char* prefix : kPrefixes) {
    rows.columns.push_back(fmt::format("{}distance", prefix));
    rows.columns.push_back(fmt::format("{}null_mean", prefix));
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    for (const MinimalLayer& at : pairs[i].layers) {
      std::vector<Cell>& row = rows.rows.emplace_back();
      row = {plan[i].a, plan[i].b, int64_t{at.layer}};
      for (size_t kind = 0; kind < kMinimalKinds; ++kind) {
        row.push_back(Number(at.distance[kind]));
        row.push_back(Number(at.null_mean[kind]));
      }
    }
  }
  return rows;
}

NamedRows TemplateRows(const std::vector<PlannedPair>& plan, const std::vector<MinimalPair>& pairs,
                       const std::vector<std::string>& templates) {
  NamedRows rows = {"templates", {"a", "b", "number", "template"}, {}};
  for (const char* prefix : kPrefixes) rows.columns.push_back(fmt::format("{}distance", prefix));
  for (size_t i = 0; i < pairs.size(); ++i) {
    for (size_t t = 0; t < pairs[i].templates.size(); ++t) {
      const int32_t number = pairs[i].templates[t];
      std::vector<Cell>& row = rows.rows.emplace_back();
      row = {plan[i].a, plan[i].b, int64_t{number} + 1, templates[static_cast<size_t>(number)]};
      for (const double distance : pairs[i].by_template[t]) row.push_back(Number(distance));
    }
  }
  return rows;
}

TextTable DistanceTable(const std::vector<PlannedPair>& plan,
                        const std::vector<MinimalPair>& pairs) {
  TextTable table;
  table.AddColumn("pair", kLeft);
  for (const char* heading : {"templates", "D", "95 %", "null", "p", "Holm", "by weight", "null",
                              "Holm", "after", "null", "Holm"}) {
    table.AddColumn(heading);
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const MinimalDistance& sets = pairs[i].of(MinimalKind::kSets);
    const MinimalDistance& weights = pairs[i].of(MinimalKind::kWeights);
    const MinimalDistance& after = pairs[i].of(MinimalKind::kAfter);
    table.AddRow({NamesOf(plan[i]), fmt::format("{}", pairs[i].templates.size()),
                  DisplayReal(sets.distance, 3), DisplayRange(sets.interval),
                  DisplayReal(sets.null_mean, 3), DisplayP(sets.p), DisplayP(sets.p_holm),
                  DisplayReal(weights.distance, 3), DisplayReal(weights.null_mean, 3),
                  DisplayP(weights.p_holm), DisplayReal(after.distance, 3),
                  DisplayReal(after.null_mean, 3), DisplayP(after.p_holm)});
  }
  return table;
}

// Heights from 0 to `top`.
template <typename ValueOf>
std::string SparkLine(const std::vector<MinimalLayer>& layers, double top, ValueOf value_of) {
  std::string line;
  for (const MinimalLayer& at : layers) {
    const double value = value_of(at);
    line += std::isfinite(value) && top > 0 ? Spark(std::clamp(value / top, 0.0, 1.0)) : " ";
  }
  return line;
}

// Each distance by layer over that of its null, both on the scale of the larger.
TextTable LayerTable(const std::vector<PlannedPair>& plan, const std::vector<MinimalPair>& pairs) {
  TextTable table;
  table.AddColumn("by layer", kLeft);
  table.AddColumn("of", kLeft);
  table.AddColumn("first");
  table.AddColumn("", kLeft);
  table.AddColumn("last");
  table.AddColumn("full height");
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (!pairs[i].why_not.empty()) continue;
    for (const auto& [kind, name] :
         {std::pair{MinimalKind::kSets, "last piece"}, std::pair{MinimalKind::kAfter, "after"}}) {
      const auto k = static_cast<size_t>(kind);
      if (!std::isfinite(pairs[i].distances[k].distance)) continue;
      double top = 0;
      for (const MinimalLayer& at : pairs[i].layers) {
        top = std::max({top, at.distance[k], at.null_mean[k]});
      }
      const auto add = [&](const std::string& of, auto value_of) {
        const std::vector<MinimalLayer>& layers = pairs[i].layers;
        table.AddRow({NamesOf(plan[i]), of, DisplayReal(value_of(layers.front()), 3),
                      SparkLine(layers, top, value_of), DisplayReal(value_of(layers.back()), 3),
                      DisplayReal(top, 3)});
      };
      add(name, [&](const MinimalLayer& at) { return at.distance[k]; });
      if (pairs[i].null_pairs == 0) continue;
      add(fmt::format("{}, null", name), [&](const MinimalLayer& at) { return at.null_mean[k]; });
    }
  }
  return table;
}

// What to know of the null beside its numbers.
std::string NullNotes(const PlannedPair& plan, const MinimalPair& pair) {
  std::string notes;
  if (!plan.null_note.empty()) notes += fmt::format("  ({}.)\n", Printable(plan.null_note));
  constexpr double kWorthSaying = 0.01;
  if (pair.same_last_piece >= kWorthSaying || pair.null_same_last_piece >= kWorthSaying) {
    notes += fmt::format(
        "  (Both words end in the same token in {} % of templates; null pairs: {} %.)\n",
        DisplayPercent(pair.same_last_piece), DisplayPercent(pair.null_same_last_piece));
  }
  if (!pair.why_no_interval.empty()) {
    notes += fmt::format("  (No interval: {}.)\n", pair.why_no_interval);
  }
  return notes;
}

// `n_tests`: pairs that Holm corrects for.
std::string Verdict(const PlannedPair& plan, const MinimalPair& pair, int64_t n_tests) {
  constexpr double kLevel = 0.05;
  const std::string names = fmt::format("'{}' and '{}'", Printable(plan.a), Printable(plan.b));
  if (!pair.why_not.empty()) return fmt::format("{}: {}.\n", names, pair.why_not);
  if (!pair.why_no_p.empty()) return fmt::format("{}: {}.\n", names, pair.why_no_p);
  const MinimalDistance& sets = pair.of(MinimalKind::kSets);
  const std::string numbers = fmt::format(
      "distance {:.3f}, that of {} null pairs of {} words {:.3f} on average (5-95 %: {:.3f} to "
      "{:.3f}), p = {}, Holm {}",
      sets.distance, FormatCount(static_cast<uint64_t>(pair.null_pairs)), plan.null_words,
      sets.null_mean, sets.null_low, sets.null_high, DisplayP(sets.p), DisplayP(sets.p_holm));
  if (sets.p_holm <= kLevel) {
    return fmt::format("{} go closer together than pairs of matched words: {}.\n", names, numbers);
  }
  if (static_cast<double>(n_tests) / static_cast<double>(1 + pair.null_pairs) > kLevel) {
    return fmt::format("{}: too few null pairs to tell: {}.\n", names, numbers);
  }
  return fmt::format("{} go no closer together than pairs of matched words: {}. A null result.\n",
                     names, numbers);
}

}  // namespace

FigureTable MinimalPairsFigure(const std::vector<PlannedPair>& plan,
                               const std::vector<MinimalPair>& pairs, const MinimalPairRun& of) {
  FigureTable table;
  table.figure = "route_minimal";
  table.about = {{"layers_used", fmt::format("{}", fmt::join(of.layers, ","))},
                 {"n_templates", static_cast<int64_t>(of.templates.size())},
                 {"bos_before_templates", std::string(of.bos ? "yes" : "no")},
                 {"templates_precision", std::string("exact")},
                 {"templates_kernel_level", of.kernel_level},
                 {"null_pairs_asked", int64_t{of.n_null}},
                 {"words", of.n_words},
                 {"sequences", of.n_sequences},
                 {"tokens", of.n_tokens},
                 {"interval", std::string("95 %, percentile bootstrap over templates")},
                 {"correction", std::string("Holm over the pairs asked for")}};
  table.columns = {"a", "b", "occurrences_a", "occurrences_b", "templates", "after_tokens"};
  for (const char* prefix : kPrefixes) {
    for (const char* name :
         {"distance", "low", "high", "null_mean", "null_low", "null_high", "p", "p_holm"}) {
      table.columns.push_back(fmt::format("{}{}", prefix, name));
    }
  }
  for (const char* name :
       {"same_last_piece", "null_same_last_piece", "null_pairs", "null_words", "matched_to_a",
        "matched_to_b", "null_note", "why_not", "why_no_p", "why_no_interval"}) {
    table.columns.emplace_back(name);
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const MinimalPair& pair = pairs[i];
    std::vector<Cell>& row = table.rows.emplace_back();
    row = {plan[i].a,
           plan[i].b,
           plan[i].occurrences_a,
           plan[i].occurrences_b,
           static_cast<int64_t>(pair.templates.size()),
           pair.after_tokens};
    for (const MinimalDistance& d : pair.distances) {
      row.insert(row.end(), {Number(d.distance), Low(d.interval), High(d.interval)});
      for (double value : {d.null_mean, d.null_low, d.null_high, d.p, d.p_holm}) {
        row.push_back(Number(value));
      }
    }
    row.insert(row.end(),
               {Number(pair.same_last_piece), Number(pair.null_same_last_piece), pair.null_pairs,
                plan[i].null_words, plan[i].candidates_a, plan[i].candidates_b,
                TextOrNull(plan[i].null_note), TextOrNull(pair.why_not), TextOrNull(pair.why_no_p),
                TextOrNull(pair.why_no_interval)});
  }
  table.more = {LayerRows(plan, pairs), TemplateRows(plan, pairs, of.templates)};
  return table;
}

std::string MinimalPairsText(const std::vector<PlannedPair>& plan,
                             const std::vector<MinimalPair>& pairs, const MinimalPairRun& of) {
  std::string text = fmt::format(
      "Minimal pairs: both words in the same {} template{}, {} layers. D: 1 - mean share of "
      "experts in common at the last\npiece, by sets and by weight; after: the same at the tokens "
      "after the word. null: mean of up to {} pairs of words\nmatched in frequency, leading space, "
      "capitalisation and data sets; 95 %: over templates; p: one-sided.\n\n",
      of.templates.size(), of.templates.size() == 1 ? "" : "s", of.layers.size(),
      FormatCount(static_cast<uint64_t>(of.n_null)));
  text += DistanceTable(plan, pairs).Format() + "\n";
  const bool measured = std::ranges::any_of(pairs, [](const auto& p) { return p.why_not.empty(); });
  if (measured) text += LayerTable(plan, pairs).Format() + "\n";
  const auto n_tests = std::ranges::count_if(
      pairs, [](const MinimalPair& pair) { return std::isfinite(pair.of(MinimalKind::kSets).p); });
  for (size_t i = 0; i < pairs.size(); ++i) {
    text += Verdict(plan[i], pairs[i], n_tests);
    if (pairs[i].why_not.empty()) text += NullNotes(plan[i], pairs[i]);
  }
  text += fmt::format("templates: {} words, {} sequences, {} tokens; exact, {}; BOS {}\n",
                      of.n_words, FormatCount(static_cast<uint64_t>(of.n_sequences)),
                      FormatCount(static_cast<uint64_t>(of.n_tokens)), of.kernel_level,
                      of.bos ? "before each" : "none");
  return text;
}

}  // namespace moescope::study
