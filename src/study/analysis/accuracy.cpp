#include "study/analysis/accuracy.h"

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/proportion.h"

namespace moescope::study {
namespace {

// [n_units, 2]: right answers, items.
std::vector<double> SumUnits(std::span<const Answered> items) {
  std::map<std::string, size_t> index;
  std::vector<double> sums;
  for (const Answered& item : items) {
    const auto [place, is_new] = index.try_emplace(item.unit, index.size());
    if (is_new) sums.resize(sums.size() + 2);
    sums[2 * place->second] += item.correct ? 1 : 0;
    sums[2 * place->second + 1] += 1;
  }
  return sums;
}

}  // namespace

Accuracy MeasureAccuracy(std::span<const Answered> items, const std::string& key,
                         const BootstrapOptions& bootstrap, ThreadPool& pool) {
  MOESCOPE_CHECK(!items.empty());
  const std::vector<double> sums = SumUnits(items);
  Accuracy accuracy;
  accuracy.n_items = static_cast<int64_t>(items.size());
  accuracy.n_units = static_cast<int64_t>(sums.size() / 2);
  double variance = 0;
  for (const Answered& item : items) {
    accuracy.n_correct += item.correct ? 1 : 0;
    accuracy.chance += item.chance;
    variance += item.chance * (1 - item.chance);
  }
  const auto n = static_cast<double>(items.size());
  accuracy.share = static_cast<double>(accuracy.n_correct) / n;
  accuracy.chance /= n;
  accuracy.at_chance = accuracy.chance > 0 &&
                       std::abs(accuracy.share - accuracy.chance) <= 2 * std::sqrt(variance) / n;
  if (accuracy.n_units == accuracy.n_items) {
    accuracy.method = "wilson";
    accuracy.interval = WilsonInterval(accuracy.n_correct, accuracy.n_items, bootstrap.level);
    return accuracy;
  }
  accuracy.method = "bootstrap";
  accuracy.why_no_interval = WhyNoInterval(accuracy.n_units, "");
  const Ratio ratio[] = {{0, 1}};
  const auto intervals = BootstrapRatios(sums, 2, ratio, KeyOfName(key), bootstrap, pool);
  if (!intervals.empty()) accuracy.interval = intervals[0];
  return accuracy;
}

}  // namespace moescope::study
