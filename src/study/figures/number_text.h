// Numbers as terminals show them: "-" for what could not be computed.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "study/analysis/bootstrap.h"

namespace moescope::study {

std::string RealText(double value, int digits);
std::string IntervalText(const std::optional<Interval>& interval, int digits);
// Three digits, and four where it is small: permutation p-values reach 1 / 10,000.
std::string ProbabilityText(double p);
// Of a share: percent with one decimal.
std::string Percent(double share);
std::string PercentInterval(const std::optional<Interval>& interval);

// One line for the reasons that data sets have no interval, each (data set, why) once; nothing
// where there is none.
std::string WhyText(const std::vector<std::pair<std::string, std::string>>& reasons);
// The same for rows that have `dataset` and `why_no_interval`.
template <typename Row>
std::string WhyLines(const std::vector<Row>& rows) {
  std::vector<std::pair<std::string, std::string>> reasons;
  for (const Row& row : rows) reasons.emplace_back(row.dataset, row.why_no_interval);
  return WhyText(reasons);
}

}  // namespace moescope::study
