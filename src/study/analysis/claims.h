// What the Mixtral paper and its readers claimed about routing, each judged on one run: supported,
// contradicted, mixed, or more than these data can say, with the smallest effect they could have
// shown. The rules stand in docs/analyses.md.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/claim_evidence.h"

namespace moescope::study {

enum class Verdict { kSupported, kContradicted, kMixed, kUnderpowered, kNotTested };
const char* Name(Verdict verdict);  // "supported", ..., "not tested"

struct Claim {
  std::string name;    // "locality": one word, for --json
  std::string text;    // the claim, one sentence
  std::string source;  // who says so
  std::string figure;  // that shows what it is judged on
  Verdict verdict = Verdict::kNotTested;
  std::string evidence = {};  // one or two sentences with numbers; why, where it is not tested
  // The cells (data set, layer, expert) looked at, each judged by its interval.
  int n_for = 0, n_against = 0, n_undecided = 0;
  double threshold = 0;        // an effect below it counts as none
  double smallest_effect = 0;  // median over cells of what an interval could have told from none
  std::string unit;            // of the two: "share", "distance", "odds ratio"
};

// In the order of the page.
std::vector<Claim> JudgeClaims(const ClaimEvidence& evidence);

}  // namespace moescope::study
