#include "study/figures/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/figures/text_table.h"

namespace moescope::study {

std::string RealText(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  const double unit = std::pow(10.0, digits);
  const double rounded = std::round(value * unit) / unit;
  return fmt::format("{:.{}f}", rounded == 0 ? 0.0 : value, digits);  // no "-0.0"
}

std::string IntervalText(const std::optional<Interval>& interval, int digits) {
  return interval ? RealText(interval->low, digits) + "-" + RealText(interval->high, digits) : "-";
}

std::string ProbabilityText(double p) {
  return p < 0.00005 ? "<0.0001" : RealText(p, p < 0.01 ? 4 : 3);
}

std::string Percent(double share) {
  return RealText(100 * share, 1);
}

std::string PercentInterval(const std::optional<Interval>& interval) {
  if (!interval) return "-";
  return Percent(interval->low) + "-" + Percent(interval->high);
}

std::string WhyText(const std::vector<std::pair<std::string, std::string>>& reasons) {
  std::vector<std::pair<std::string, std::string>> named;
  for (const auto& reason : reasons) {
    if (reason.second.empty()) continue;
    if (std::find(named.begin(), named.end(), reason) == named.end()) named.push_back(reason);
  }
  std::string text;
  for (const auto& [dataset, why] : named) {
    text +=
        fmt::format("{}{} ({})", text.empty() ? "No interval: " : ", ", Printable(dataset), why);
  }
  return text.empty() ? text : text + ".\n";
}

}  // namespace moescope::study
