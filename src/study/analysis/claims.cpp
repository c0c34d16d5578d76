#include "study/analysis/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace moescope::study {
namespace {

constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

double Median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return kNoValue;
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(middle), values.end());
  return values[middle];
}

// The cells of one claim, judged one by one.
class Tally {
 public:
  explicit Tally(double threshold) : threshold_(threshold) {}

  // Claims that the value lies above its null.
  void MoreThan(double value, const std::optional<Interval>& interval, double null) {
    if (!std::isfinite(value) || !std::isfinite(null)) return;
    Keep(value, null);
    if (!interval) return Undecided(kNoValue);
    smallest_.push_back(interval->high - value);
    if (interval->low > null && value - null >= threshold_) {
      ++n_for;
    } else if (interval->high < null + threshold_) {
      ++n_against;
    } else {
      ++n_undecided;
    }
  }

  // Claims that it is the null, give or take the threshold.
  void About(double value, const std::optional<Interval>& interval, double null) {
    if (!std::isfinite(value) || !std::isfinite(null)) return;
    Keep(value, null);
    if (!interval) return Undecided(kNoValue);
    smallest_.push_back(threshold_ + std::max(interval->high - value, value - interval->low));
    if (interval->low >= null - threshold_ && interval->high <= null + threshold_) {
      ++n_for;
    } else if (interval->low > null + threshold_ || interval->high < null - threshold_) {
      ++n_against;
    } else {
      ++n_undecided;
    }
  }

  void For(double smallest) { ++n_for, smallest_.push_back(smallest); }
  void Against(double smallest) { ++n_against, smallest_.push_back(smallest); }
  void Undecided(double smallest) { ++n_undecided, smallest_.push_back(smallest); }
  void Keep(double value, double null) { values_.push_back(value), nulls_.push_back(null); }

  int n() const { return n_for + n_against + n_undecided; }
  double smallest() const { return Median(smallest_); }
  double value() const { return Median(values_); }
  double null() const { return Median(nulls_); }
  double threshold() const { return threshold_; }

  // That of more than half of all cells. Without one: mixed if a quarter or more stands on either
  // side, else the data cannot say.
  Verdict Majority() const {
    if (n() == 0) return Verdict::kNotTested;
    if (2 * n_for > n()) return Verdict::kSupported;
    if (2 * n_against > n()) return Verdict::kContradicted;
    const bool both = 4 * n_for >= n() && 4 * n_against >= n();
    return both ? Verdict::kMixed : Verdict::kUnderpowered;
  }

  int n_for = 0, n_against = 0, n_undecided = 0;

 private:
  double threshold_;
  std::vector<double> smallest_, values_, nulls_;
};

std::string Percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", 100 * share) : "-";
}

// "Of 15 data sets and layers 12 agree, 2 disagree, 1 cannot say."
std::string Count(const Tally& tally, const char* cells) {
  return fmt::format("Of {} {}, {} agree, {} disagree, {} cannot say.", tally.n(), cells,
                     tally.n_for, tally.n_against, tally.n_undecided);
}

std::string WhyAbsent(const ClaimEvidence& evidence, const std::string& figure) {
  for (const auto& [absent, why] : evidence.absent) {
    if (absent == figure) return why;
  }
  return "the run has nothing to measure it on";
}

// Fills in what a tally says; `evidence` follows the count.
Claim Judged(Claim claim, const ClaimEvidence& evidence, const Tally& tally, Verdict verdict,
             const char* cells, const std::string& sentence) {
  claim.verdict = verdict;
  claim.n_for = tally.n_for;
  claim.n_against = tally.n_against;
  claim.n_undecided = tally.n_undecided;
  claim.threshold = tally.threshold();
  claim.smallest_effect = tally.smallest();
  claim.evidence = tally.n() == 0 ? WhyAbsent(evidence, claim.figure)
                                  : Count(tally, cells) + (sentence.empty() ? "" : " " + sentence);
  return claim;
}

std::string MedianSentence(const Tally& tally, const char* null_name) {
  return fmt::format("Median {} against {} {}.", Percent(tally.value()), Percent(tally.null()),
                     null_name);
}

bool NamesMathematics(const std::string& dataset) {
  std::string lower;
  for (char c : dataset) {
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return lower.find("math") != std::string::npos || lower.find("arithmetic") != std::string::npos;
}

Claim Topics(const ClaimEvidence& evidence) {
  Tally tally(0.1);  // a hundredth of a bit
  const DomainDistance* most = nullptr;
  if (evidence.domains) {
    for (const DomainDistance& d : evidence.domains->distances) {
      if (!d.other.empty() || !std::isfinite(d.distance)) continue;
      if (most == nullptr || d.distance > most->distance) most = &d;
      if (!d.interval || !std::isfinite(d.p_max)) {
        tally.Undecided(d.null_95);
      } else if (d.interval->high <= tally.threshold()) {
        tally.For(d.null_95);
      } else if (d.interval->low > tally.threshold() && d.p_max < 0.05) {
        tally.Against(d.null_95);
      } else {
        tally.Undecided(d.null_95);
      }
    }
  }
  const std::string sentence =
      most == nullptr ? ""
                      : fmt::format(
                            "The farthest from the rest: {} at layer {}, distance {:.3f} "
                            "(shuffled labels {:.3f}).",
                            most->dataset, most->layer, most->distance, most->null_mean);
  return Judged({.name = "topics",
                 .text = "The topic of a text does not decide which experts it uses.",
                 .source = "Mixtral paper, section 5",
                 .figure = "domains",
                 .unit = "distance"},
                evidence, tally, tally.Majority(), "data sets and layers", sentence);
}

// First and last of the layers looked at: the paper's words.
Claim Mathematics(const ClaimEvidence& evidence) {
  Tally tally(0);
  std::string sentence;
  for (int layer : {evidence.layers.front(), evidence.layers.back()}) {
    if (!evidence.domains || (layer == evidence.layers.front() && tally.n() > 0)) break;
    const DomainDistance *mathematics = nullptr, *other = nullptr;
    for (const DomainDistance& d : evidence.domains->distances) {
      if (d.layer != layer || !d.other.empty() || !std::isfinite(d.distance)) continue;
      const DomainDistance*& best = NamesMathematics(d.dataset) ? mathematics : other;
      if (best == nullptr || d.distance > best->distance) best = &d;
    }
    if (mathematics == nullptr || other == nullptr) continue;
    sentence +=
        fmt::format("{}Layer {}: {} {:.3f}, {} {:.3f}.", sentence.empty() ? "" : " ", layer,
                    mathematics->dataset, mathematics->distance, other->dataset, other->distance);
    const double smallest =
        mathematics->interval ? mathematics->interval->high - mathematics->distance : kNoValue;
    const auto& a = mathematics->interval;
    const auto& b = other->interval;
    // A data set of one unit has no interval: its distance then stands for both of its ends.
    const double a_low = a ? a->low : mathematics->distance;
    const double a_high = a ? a->high : mathematics->distance;
    if (!b) {
      tally.Undecided(smallest);
    } else if (a_low > b->high) {
      tally.For(smallest);
    } else if (a_high < b->low) {
      tally.Against(smallest);
    } else {
      tally.Undecided(smallest);
    }
  }
  Claim claim =
      Judged({.name = "mathematics",
              .text = "Synthetic mathematics is the exception among the kinds of text, at "
                      "the first and the last layer.",
              .source = "Mixtral paper, section 5",
              .figure = "domains",
              .unit = "distance"},
             evidence, tally, tally.Majority(), "layers", sentence);
  if (tally.n() == 0 && evidence.domains) {
    claim.evidence = "no data set is named for mathematics or arithmetic, beside others";
  }
  return claim;
}

Claim FirstLayer(const ClaimEvidence& evidence) {
  Tally tally(0.02);
  for (const RepetitionCell& cell : evidence.repetition) {
    if (cell.layer != evidence.layers.front()) continue;
    tally.About(cell.first_repeat, cell.first_repeat_interval, cell.marginal.first_repeat);
  }
  return Judged({.name = "first_layer",
                 .text = "At the first layer consecutive tokens share their expert as often as "
                         "chance has it.",
                 .source = "Mixtral paper, Table 5",
                 .figure = "table5",
                 .unit = "share"},
                evidence, tally, tally.Majority(), "data sets",
                MedianSentence(tally, "by popularity alone"));
}

// One of those looked at, but not the first of them.
bool IsLaterLayer(const ClaimEvidence& evidence, int layer) {
  return layer != evidence.layers.front() &&
         std::binary_search(evidence.layers.begin(), evidence.layers.end(), layer);
}

Claim Locality(const ClaimEvidence& evidence) {
  Tally tally(0.01);
  for (const RepetitionCell& cell : evidence.repetition) {
    if (!IsLaterLayer(evidence, cell.layer)) continue;
    tally.MoreThan(cell.first_repeat, cell.first_repeat_interval, cell.marginal.first_repeat);
  }
  return Judged({.name = "locality",
                 .text = "At later layers consecutive tokens share their expert more often than "
                         "chance has it.",
                 .source = "Mixtral paper, Table 5",
                 .figure = "table5",
                 .unit = "share"},
                evidence, tally, tally.Majority(), "data sets and layers",
                MedianSentence(tally, "by popularity alone"));
}

Claim BeyondTokens(const ClaimEvidence& evidence) {
  Tally tally(0.01);
  for (const RepetitionCell& cell : evidence.repetition) {
    if (!IsLaterLayer(evidence, cell.layer)) continue;
    // The interval is that of all pairs; the null knows the covered ones.
    const double shift = cell.token_covered.first_repeat - cell.first_repeat;
    std::optional<Interval> interval = cell.first_repeat_interval;
    if (interval) interval = Interval{interval->low + shift, interval->high + shift};
    tally.MoreThan(cell.token_covered.first_repeat, interval, cell.token.first_repeat);
  }
  return Judged({.name = "beyond_tokens",
                 .text = "Consecutive tokens share their expert more often than the tokens alone "
                         "explain.",
                 .source = "question of readers",
                 .figure = "table5",
                 .unit = "share"},
                evidence, tally, tally.Majority(), "data sets and layers",
                MedianSentence(tally, "from the same tokens elsewhere"));
}

Claim Indentation(const ClaimEvidence& evidence) {
  Tally tally(0.05);
  for (const IndentationCell& cell : evidence.indentation) {
    if (cell.layer != evidence.layers.front() && cell.layer != evidence.layers.back()) continue;
    if (cell.expert >= 0) tally.MoreThan(cell.share, cell.interval, cell.marginal_share);
  }
  return Judged({.name = "indentation",
                 .text = "Indentation goes to one expert, at the first and the last layer.",
                 .source = "Mixtral paper, Figure 8",
                 .figure = "indentation",
                 .unit = "share"},
                evidence, tally, tally.Majority(), "data sets and layers",
                MedianSentence(tally, "of all tokens"));
}

Claim Words(const ClaimEvidence& evidence) {
  Tally tally(0.01);
  for (const WordCell& cell : evidence.words) {
    tally.MoreThan(cell.alike, cell.interval, cell.pieces_null);
  }
  return Judged({.name = "words",
                 .text = "The pieces of a word go to the same expert.",
                 .source = "Mixtral paper, section 5",
                 .figure = "words",
                 .unit = "share"},
                evidence, tally, tally.Majority(), "data sets and layers",
                MedianSentence(tally, "with pieces shuffled among words"));
}

// One cell that passes every control is enough.
Claim CodeExperts(const ClaimEvidence& evidence) {
  Tally tally(1.5);
  const AffinityCell* strongest = nullptr;
  std::string why;
  if (evidence.affinity) {
    why = evidence.affinity->why_no_p + evidence.affinity->why_no_replication;
    for (const AffinityCell& cell : evidence.affinity->cells) {
      const bool found = cell.raw.odds_ratio > 1 && cell.controlled.odds_ratio > 1 &&
                         cell.p_max < 0.05 && cell.controlled_p < 0.05 && cell.replicated;
      if (found) {
        tally.For(cell.smallest_shown);
        if (strongest == nullptr || cell.controlled.odds_ratio > strongest->controlled.odds_ratio) {
          strongest = &cell;
        }
      } else if (std::isfinite(cell.p_max) && cell.smallest_shown <= tally.threshold() &&
                 why.empty()) {
        tally.Against(cell.smallest_shown);
      } else {
        tally.Undecided(cell.smallest_shown);
      }
    }
  }
  Verdict verdict = tally.n_for > 0 ? Verdict::kSupported : tally.Majority();
  std::string sentence =
      "Those that agree pass the permutation of units, the comparison of like "
      "tokens and the repetition on other units.";
  if (strongest != nullptr) {
    sentence += fmt::format(
        " The strongest: layer {} expert {}, odds ratio {:.2f} ({:.2f} between "
        "like tokens).",
        strongest->layer, strongest->expert, strongest->raw.odds_ratio,
        strongest->controlled.odds_ratio);
  } else if (!why.empty()) {
    sentence += fmt::format(" Not possible here: {}.", why);
  }
  return Judged({.name = "code_experts",
                 .text = "Some experts have an affinity for code.",
                 .source = "question of readers",
                 .figure = "affinity",
                 .unit = "odds ratio"},
                evidence, tally, verdict, "experts of all layers", sentence);
}

Claim TokensNotDomains(const ClaimEvidence& evidence) {
  Tally tally(0);
  for (int layer : evidence.layers) {
    const ExplainedShare *token = nullptr, *domain = nullptr;
    for (const ExplainedShare& share : evidence.explained) {
      if (share.layer != layer) continue;
      if (share.predictor == "token") token = &share;
      if (share.predictor == "domain") domain = &share;
    }
    if (token == nullptr || domain == nullptr) continue;
    if (!std::isfinite(token->last) || !std::isfinite(domain->last)) continue;
    tally.Keep(token->last, domain->last);
    const auto &a = token->last_interval, &b = domain->last_interval;
    const double smallest = a && b ? a->high - token->last + b->high - domain->last : kNoValue;
    if (a && b && a->low > b->high) {
      tally.For(smallest);
    } else if (a && b && a->high < b->low) {
      tally.Against(smallest);
    } else {
      tally.Undecided(smallest);
    }
  }
  return Judged({.name = "tokens_not_domains",
                 .text = "Experts follow the token more than the kind of text.",
                 .source = "talk \"Demystifying Mixtral of Experts\"",
                 .figure = "explained",
                 .unit = "share"},
                evidence, tally, tally.Majority(), "layers",
                fmt::format("Beyond all other predictors the token explains {} of the first "
                            "choices' entropy, the kind of text {} (medians).",
                            Percent(tally.value()), Percent(tally.null())));
}

Claim IndependentLayers(const ClaimEvidence& evidence) {
  Tally tally(0.1);  // of the most there can be
  const double most = std::log2(std::max(2, evidence.n_experts));
  for (const CrossLayerCell& cell : evidence.cross_layer) {
    std::optional<Interval> interval = cell.interval;
    if (interval) interval = Interval{interval->low / most, interval->high / most};
    tally.About(cell.information.miller_madow / most, interval, cell.shift_null / most);
  }
  return Judged({.name = "independent_layers",
                 .text = "The experts of different layers have little to do with each other.",
                 .source = "talk \"Demystifying Mixtral of Experts\"",
                 .figure = "crosslayer",
                 .unit = "share"},
                evidence, tally, tally.Majority(), "data sets and pairs of layers",
                fmt::format("First choices of two layers share {} of the information they could "
                            "(median).",
                            Percent(tally.value())));
}

}  // namespace

const char* Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSupported:
      return "supported";
    case Verdict::kContradicted:
      return "contradicted";
    case Verdict::kMixed:
      return "mixed";
    case Verdict::kUnderpowered:
      return "underpowered";
    case Verdict::kNotTested:
      return "not tested";
  }
  return "";
}

std::vector<Claim> JudgeClaims(const ClaimEvidence& evidence) {
  MOESCOPE_CHECK(!evidence.layers.empty());
  return {Topics(evidence),
          Mathematics(evidence),
          FirstLayer(evidence),
          Locality(evidence),
          BeyondTokens(evidence),
          Indentation(evidence),
          Words(evidence),
          CodeExperts(evidence),
          TokensNotDomains(evidence),
          IndependentLayers(evidence)};
}

}  // namespace moescope::study
