// One half of the units is searched for the largest differences from a null, the other half says
// how large they are: what was chosen for being large there need not be large here.
#include "study/analysis/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/random.h"
#include "base/units.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/row_pairs.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/unit_halves.h"

namespace moescope::study {
namespace {

constexpr int64_t kMinTokens = 200;  // in each half: a share of fewer is noise

// A class that is mostly one token id says something about that token, not about the class.
constexpr double kMaxShareOfOneToken = 0.8;

// Bits of the classes made of several tokens.
unsigned MixedClasses(const RowColumns& rows, const std::vector<uint8_t>& classes) {
  unsigned mixed = 0;
  std::vector<int64_t> counts;
  for (int group = 0; group < kTokenClasses; ++group) {
    counts.clear();
    int64_t total = 0, largest = 0;
    for (int64_t row = 0; row < rows.n_rows(); ++row) {
      if ((classes[row] >> group & 1) == 0) continue;
      const size_t id = static_cast<size_t>(rows.token_id[row]);
      if (id >= counts.size()) counts.resize(id + 1);
      largest = std::max(largest, ++counts[id]);
      ++total;
    }
    if (static_cast<double>(largest) <= kMaxShareOfOneToken * static_cast<double>(total)) {
      mixed |= 1u << group;
    }
  }
  return mixed;
}

// First choices of a layer counted by unit.
struct LayerCounts {
  int n_experts = 0;
  std::vector<int64_t> first;     // [unit, class or all, expert]
  std::vector<int64_t> tokens;    // [unit, class or all]
  std::vector<int64_t> assigned;  // [unit, expert] any choice
  std::vector<int64_t> pairs;     // [unit]
  std::vector<int64_t> repeats;   // [unit]

  static constexpr int kAll = kTokenClasses;
  static constexpr int kGroups = kTokenClasses + 1;
  int64_t First(size_t unit, int group, int expert) const {
    return first[(unit * kGroups + group) * n_experts + expert];
  }
  int64_t Tokens(size_t unit, int group) const { return tokens[unit * kGroups + group]; }
};

LayerCounts CountLayer(const RowColumns& rows, const LayerColumns& layer,
                       const std::vector<uint8_t>& classes) {
  LayerCounts counts;
  counts.n_experts = layer.n_experts;
  const size_t n_units = rows.units.size();
  counts.first.resize(n_units * LayerCounts::kGroups * layer.n_experts);
  counts.tokens.resize(n_units * LayerCounts::kGroups);
  counts.assigned.resize(n_units * layer.n_experts);
  counts.pairs.resize(n_units);
  counts.repeats.resize(n_units);
  const int n_slots = layer.experts_per_token;
  for (const DocumentRange& document : rows.documents) {
    const size_t unit = document.unit;
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int16_t* experts = layer.experts.data() + row * n_slots;
      for (int slot = 0; slot < n_slots; ++slot) {
        if (experts[slot] >= 0) ++counts.assigned[unit * layer.n_experts + experts[slot]];
      }
      const unsigned groups = classes[row] | 1u << LayerCounts::kAll;
      for (int group = 0; group < LayerCounts::kGroups; ++group) {
        if ((groups >> group & 1) == 0) continue;
        ++counts.tokens[unit * LayerCounts::kGroups + group];
        if (experts[0] < 0) continue;
        ++counts.first[(unit * LayerCounts::kGroups + group) * layer.n_experts + experts[0]];
      }
    }
    for (int64_t s = 0; s < document.n_sequences; ++s) {
      ForEachPair(rows, rows.sequences[document.first_sequence + s], {}, [&](int64_t i, int64_t j) {
        const int16_t first = layer.experts[i * n_slots];
        ++counts.pairs[unit];
        counts.repeats[unit] += first >= 0 && first == layer.experts[j * n_slots];
      });
    }
  }
  return counts;
}

// The best cell of one subject so far, with what the measured half says about it.
struct Candidate {
  FindingKind kind = FindingKind::kTokenClass;
  std::string subject;
  int layer = 0;
  int expert = -1;
  double score = 0;  // difference from the null in the searched half
  double value = 0, null_value = 0;
  double numerator = 0, denominator = 0;
  std::vector<double> unit_sums;  // [measured units, 2]
  std::vector<int64_t> strata;
  std::string unit_by;
  size_t n_others = 0;  // data sets it is compared with

  bool HasInterval() const { return unit_sums.size() >= 2 * kMinUnits; }
};

// Two numbers a unit, summed over a half.
struct Share {
  double numerator = 0, denominator = 0;
  double value() const { return denominator > 0 ? numerator / denominator : std::nan(""); }
};

class Search {
 public:
  Search(const RowColumns& rows, const Halves& halves, unsigned searched_classes)
      : rows_(rows), halves_(halves), searched_classes_(searched_classes) {}

  void AddLayer(int layer, const LayerCounts& counts) {
    AddTokenClasses(layer, counts);
    AddDomains(layer, counts);
    AddRepetition(layer, counts);
  }

  int64_t cells_searched() const { return cells_searched_; }

  // Those with an interval first, which the number of units decides and not the outcome; then by
  // the difference.
  std::vector<Candidate> Candidates(FindingKind kind) const {
    std::vector<Candidate> list;
    for (const auto& [key, candidate] : best_) {
      if (candidate.kind == kind && candidate.score > 0) list.push_back(candidate);
    }
    std::stable_sort(list.begin(), list.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    return list;
  }

 private:
  std::vector<int32_t> AllUnits() const {
    std::vector<int32_t> units;
    for (const DatasetInfo& dataset : rows_.datasets) {
      units.insert(units.end(), dataset.units.begin(), dataset.units.end());
    }
    return units;
  }

  // Sums fn(unit) -> {numerator, denominator} over the units of one half.
  template <typename Fn>
  Share Sum(const std::vector<int32_t>& units, bool measure, Fn&& fn) const {
    Share sum;
    for (int32_t unit : units) {
      if (!(measure ? halves_.Measures(unit) : halves_.Searches(unit))) continue;
      const Share share = fn(unit);
      sum.numerator += share.numerator;
      sum.denominator += share.denominator;
    }
    return sum;
  }

  // Keeps the cell if it is the best of its subject; `measured` fills in the other half.
  template <typename Fn>
  void Offer(Candidate candidate, const std::vector<int32_t>& units, Fn&& share_of_unit) {
    Candidate& best = best_[{candidate.kind, candidate.subject}];
    if (candidate.score <= best.score) return;
    std::map<int32_t, std::vector<double>> by_dataset;
    for (int32_t unit : units) {
      if (!halves_.Measures(unit)) continue;
      const Share share = share_of_unit(unit);
      auto& sums = by_dataset[rows_.units[unit].dataset];
      sums.push_back(share.numerator);
      sums.push_back(share.denominator);
      candidate.numerator += share.numerator;
      candidate.denominator += share.denominator;
    }
    // Data sets with one unit here would seem to have no variance: they are resampled together.
    std::vector<double> single;
    for (const auto& [dataset, sums] : by_dataset) {
      auto& target = sums.size() > 2 ? candidate.unit_sums : single;
      target.insert(target.end(), sums.begin(), sums.end());
      if (sums.size() > 2) candidate.strata.push_back(static_cast<int64_t>(sums.size()) / 2);
    }
    if (!single.empty()) {
      candidate.unit_sums.insert(candidate.unit_sums.end(), single.begin(), single.end());
      candidate.strata.push_back(static_cast<int64_t>(single.size()) / 2);
    }
    best = std::move(candidate);
  }

  void AddTokenClasses(int layer, const LayerCounts& counts) {
    const std::vector<int32_t> units = AllUnits();
    for (int group = 0; group < kTokenClasses; ++group) {
      if ((searched_classes_ >> group & 1) == 0) continue;
      for (int expert = 0; expert < counts.n_experts; ++expert) {
        const auto inside = [&](int32_t unit) -> Share {
          return {static_cast<double>(counts.First(unit, group, expert)),
                  static_cast<double>(counts.Tokens(unit, group))};
        };
        const auto outside = [&](int32_t unit) -> Share {
          return {static_cast<double>(counts.First(unit, LayerCounts::kAll, expert) -
                                      counts.First(unit, group, expert)),
                  static_cast<double>(counts.Tokens(unit, LayerCounts::kAll) -
                                      counts.Tokens(unit, group))};
        };
        const Share searched = Sum(units, false, inside), measured = Sum(units, true, inside);
        if (searched.denominator < kMinTokens || measured.denominator < kMinTokens) continue;
        ++cells_searched_;
        Candidate candidate;
        candidate.subject = kTokenClassNames[group];
        candidate.layer = layer;
        candidate.expert = expert;
        candidate.score = searched.value() - Sum(units, false, outside).value();
        candidate.value = measured.value();
        candidate.null_value = Sum(units, true, outside).value();
        Offer(std::move(candidate), units, inside);
      }
    }
  }

  void AddDomains(int layer, const LayerCounts& counts) {
    const size_t n_datasets = rows_.datasets.size();
    if (n_datasets < 2) return;
    const int n_experts = counts.n_experts;
    const auto share_at = [&](int expert) {
      return [&counts, expert, n_experts](int32_t unit) -> Share {
        const int64_t* assigned = counts.assigned.data() + static_cast<size_t>(unit) * n_experts;
        int64_t total = 0;
        for (int e = 0; e < n_experts; ++e) total += assigned[e];
        return {static_cast<double>(assigned[expert]), static_cast<double>(total)};
      };
    };
    for (int expert = 0; expert < n_experts; ++expert) {
      std::vector<Share> searched, measured;
      for (const DatasetInfo& dataset : rows_.datasets) {
        searched.push_back(Sum(dataset.units, false, share_at(expert)));
        measured.push_back(Sum(dataset.units, true, share_at(expert)));
      }
      for (size_t d = 0; d < n_datasets; ++d) {
        if (searched[d].denominator < kMinTokens || measured[d].denominator < kMinTokens) continue;
        size_t n_searched = 0, n_measured = 0;
        double rest_searched = 0, rest_measured = 0;
        for (size_t other = 0; other < n_datasets; ++other) {
          if (other == d) continue;
          if (searched[other].denominator > 0)
            rest_searched += searched[other].value(), ++n_searched;
          if (measured[other].denominator > 0)
            rest_measured += measured[other].value(), ++n_measured;
        }
        if (n_searched == 0 || n_measured == 0) continue;
        ++cells_searched_;
        Candidate candidate;
        candidate.kind = FindingKind::kDomain;
        candidate.subject = rows_.datasets[d].name;
        candidate.layer = layer;
        candidate.expert = expert;
        candidate.score = searched[d].value() - rest_searched / static_cast<double>(n_searched);
        candidate.value = measured[d].value();
        candidate.null_value = rest_measured / static_cast<double>(n_measured);
        candidate.unit_by = rows_.datasets[d].unit_by;
        candidate.n_others = n_measured;
        Offer(std::move(candidate), rows_.datasets[d].units, share_at(expert));
      }
    }
  }

  // Two different rows of a half of a data set have the same first choice.
  double Marginal(const LayerCounts& counts, const DatasetInfo& dataset, bool measure) const {
    double same = 0, n = 0;
    for (int expert = 0; expert < counts.n_experts; ++expert) {
      const Share share = Sum(dataset.units, measure, [&](int32_t unit) -> Share {
        return {static_cast<double>(counts.First(unit, LayerCounts::kAll, expert)),
                static_cast<double>(counts.Tokens(unit, LayerCounts::kAll))};
      });
      same += share.numerator * (share.numerator - 1);
      n = share.denominator;
    }
    return n > 1 ? same / (n * (n - 1)) : std::nan("");
  }

  void AddRepetition(int layer, const LayerCounts& counts) {
    const auto share_of = [&](int32_t unit) -> Share {
      return {static_cast<double>(counts.repeats[unit]), static_cast<double>(counts.pairs[unit])};
    };
    for (const DatasetInfo& dataset : rows_.datasets) {
      const Share searched = Sum(dataset.units, false, share_of);
      const Share measured = Sum(dataset.units, true, share_of);
      if (searched.denominator < kMinTokens || measured.denominator < kMinTokens) continue;
      ++cells_searched_;
      Candidate candidate;
      candidate.kind = FindingKind::kRepetition;
      candidate.subject = dataset.name;
      candidate.layer = layer;
      candidate.score = searched.value() - Marginal(counts, dataset, false);
      candidate.value = measured.value();
      candidate.null_value = Marginal(counts, dataset, true);
      candidate.unit_by = dataset.unit_by;
      Offer(std::move(candidate), dataset.units, share_of);
    }
  }

  const RowColumns& rows_;
  const Halves& halves_;
  const unsigned searched_classes_;
  int64_t cells_searched_ = 0;
  std::map<std::pair<FindingKind, std::string>, Candidate> best_;
};

std::string Percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

std::string Sentence(const Finding& finding, const Candidate& candidate, int n_experts) {
  const std::string interval =
      finding.interval ? fmt::format(" (95 % interval {:.1f} to {:.1f})",
                                     100 * finding.interval->low, 100 * finding.interval->high)
                       : "";
  const std::string units = fmt::format(
      "in {} unit{}{}", FormatCount(finding.n_units), finding.n_units == 1 ? "" : "s",
      finding.why_no_interval.empty() ? "" : "; no interval: " + finding.why_no_interval);
  switch (finding.kind) {
    case FindingKind::kTokenClass:
      return fmt::format(
          "Layer {} expert {} is the first choice of {}{} of {}, against {} of all other tokens "
          "and "
          "{} in an even split (n = {} tokens {}).",
          finding.layer, finding.expert, Percent(finding.value), interval, finding.subject,
          Percent(finding.null_value), Percent(1.0 / n_experts), FormatCount(finding.n), units);
    case FindingKind::kDomain:
      return fmt::format(
          "In {}, layer {} expert {} gets {}{} of the assignments, against {} on average over the "
          "{} (n = {} assignments {}).",
          finding.subject, finding.layer, finding.expert, Percent(finding.value), interval,
          Percent(finding.null_value),
          candidate.n_others == 1 ? std::string("other data set")
                                  : fmt::format("{} other data sets", candidate.n_others),
          FormatCount(finding.n), units);
    case FindingKind::kRepetition:
      return fmt::format(
          "In {}, {}{} of consecutive tokens share their first choice at layer {}, against {} of "
          "two rows taken at random (n = {} pairs {}).",
          finding.subject, Percent(finding.value), interval, finding.layer,
          Percent(finding.null_value), FormatCount(finding.n), units);
  }
  return "";
}

const char* NullName(FindingKind kind) {
  switch (kind) {
    case FindingKind::kTokenClass:
      return "share among all other tokens";
    case FindingKind::kDomain:
      return "mean share over the other data sets";
    case FindingKind::kRepetition:
      return "two different rows of the data set (marginal null)";
  }
  return "";
}

// False when the measured half does not bear the candidate out.
bool Measure(const Candidate& candidate, int n_experts, const BootstrapOptions& options,
             ThreadPool& pool, Finding& finding) {
  if (!(candidate.value > candidate.null_value)) return false;
  finding.kind = candidate.kind;
  finding.subject = candidate.subject;
  finding.layer = candidate.layer;
  finding.expert = candidate.expert;
  finding.value = candidate.value;
  finding.null_value = candidate.null_value;
  finding.null_name = NullName(candidate.kind);
  finding.n = static_cast<int64_t>(candidate.denominator);
  finding.n_units = static_cast<int64_t>(candidate.unit_sums.size()) / 2;
  finding.why_no_interval = WhyNoInterval(finding.n_units, candidate.unit_by);
  const Ratio ratio = {0, 1};
  const auto intervals =
      BootstrapStratifiedRatios(candidate.unit_sums, 2, candidate.strata, std::span(&ratio, 1),
                                KeyOfName("finding " + candidate.subject), options, pool);
  if (!intervals.empty()) {
    if (!(intervals[0].low > candidate.null_value)) return false;
    finding.interval = intervals[0];
  }
  finding.sentence = Sentence(finding, candidate, n_experts);
  return true;
}

}  // namespace

Findings ComputeFindings(const store::Run& run, store::Database& database, const RowColumns& rows,
                         const FindingsOptions& options, ThreadPool& pool) {
  const Halves halves = SplitInHalves(rows, options.bootstrap.seed);
  const std::vector<uint8_t> classes = ClassifyRows(rows, LoadVocabularyBytes(database));
  Search search(rows, halves, MixedClasses(rows, classes));
  ForEachLayer("findings", run, database, rows, run.description().LayerNumbers(),
               [&](const LayerColumns& layer) {
                 search.AddLayer(layer.layer, CountLayer(rows, layer, classes));
               });

  Findings result;
  result.cells_searched = search.cells_searched();
  result.rule =
      halves.is_split
          ? fmt::format(
                "Chosen as the largest differences among {} cells on one half of the units; "
                "value, null and interval are of the other half.",
                FormatCount(result.cells_searched))
          : fmt::format(
                "Chosen as the largest differences among {} cells of the only unit and "
                "measured on it too: too large on average.",
                FormatCount(result.cells_searched));
  // One of each kind first, then whatever is left in the same order.
  std::vector<std::vector<Candidate>> queues;
  for (FindingKind kind :
       {FindingKind::kTokenClass, FindingKind::kDomain, FindingKind::kRepetition}) {
    queues.push_back(search.Candidates(kind));
  }
  const int n_experts = run.description().n_experts;
  while (static_cast<int>(result.findings.size()) < options.n_findings) {
    bool any_left = false;
    for (auto& queue : queues) {
      while (!queue.empty() && static_cast<int>(result.findings.size()) < options.n_findings) {
        const Candidate candidate = std::move(queue.front());
        queue.erase(queue.begin());
        any_left = true;
        Finding finding;
        if (!Measure(candidate, n_experts, options.bootstrap, pool, finding)) continue;
        result.findings.push_back(std::move(finding));
        break;
      }
    }
    if (!any_left) break;
  }
  return result;
}

}  // namespace moescope::study
