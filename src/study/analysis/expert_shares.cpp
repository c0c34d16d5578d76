#include "study/analysis/expert_shares.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace moescope::study {
namespace {

// Columns of a unit's sums: rows, then for each choice its assignments and its count per expert;
// choice 0 is "either", choice 1 + s slot s.
struct Layout {
  int n_experts = 0;
  int n_choices = 1;
  int n_columns() const { return 1 + n_choices * (1 + n_experts); }
  int Assignments(int choice) const { return 1 + choice * (1 + n_experts); }
  int Expert(int choice, int expert) const { return Assignments(choice) + 1 + expert; }
};

// [n_units of the data set, n_columns]
std::vector<double> CountByUnit(const RowColumns& rows, const DatasetInfo& info,
                                const LayerColumns& layer, const Layout& layout) {
  std::vector<int32_t> place(rows.units.size(), -1);
  for (size_t u = 0; u < info.units.size(); ++u) place[info.units[u]] = static_cast<int32_t>(u);
  std::vector<double> sums(info.units.size() * layout.n_columns());
  const int n_slots = layer.experts_per_token;
  for (int32_t d : info.documents) {
    const DocumentRange& document = rows.documents[d];
    double* unit = sums.data() + static_cast<size_t>(place[document.unit]) * layout.n_columns();
    unit[0] += static_cast<double>(document.n_rows);
    const int16_t* expert = layer.experts.data() + document.first_row * n_slots;
    for (int64_t row = 0; row < document.n_rows; ++row) {
      for (int slot = 0; slot < n_slots; ++slot, ++expert) {
        if (*expert < 0) continue;
        unit[layout.Assignments(0)] += 1;
        unit[layout.Expert(0, *expert)] += 1;
        if (layout.n_choices == 1) continue;
        unit[layout.Assignments(1 + slot)] += 1;
        unit[layout.Expert(1 + slot, *expert)] += 1;
      }
    }
  }
  return sums;
}

}  // namespace

std::string ChoiceName(int choice) {
  static const char* const kNames[] = {"first", "second", "third", "fourth"};
  if (choice == kEitherChoice) return "either";
  return choice < 4 ? kNames[choice] : fmt::format("choice {}", choice + 1);
}

std::vector<ExpertShare> ComputeExpertShares(const RowColumns& rows, const LayerColumns& layer,
                                             const SharesOptions& options, ThreadPool& pool) {
  const int n_slots = layer.experts_per_token;
  const Layout layout = {layer.n_experts, options.by_choice ? 1 + n_slots : 1};
  const bool of_tokens = options.convention == ShareConvention::kTokens;
  std::vector<ExpertShare> shares;
  for (const DatasetInfo& info : rows.datasets) {
    const std::vector<double> sums = CountByUnit(rows, info, layer, layout);
    std::vector<double> totals(layout.n_columns());
    for (size_t i = 0; i < sums.size(); ++i) totals[i % totals.size()] += sums[i];
    std::vector<Ratio> ratios;
    for (int choice = 0; choice < layout.n_choices; ++choice) {
      for (int expert = 0; expert < layer.n_experts; ++expert) {
        ratios.push_back(
            {layout.Expert(choice, expert), of_tokens ? 0 : layout.Assignments(choice)});
      }
    }
    const auto intervals = BootstrapRatios(sums, layout.n_columns(), ratios, KeyOfName(info.name),
                                           options.bootstrap, pool);
    for (size_t r = 0; r < ratios.size(); ++r) {
      ExpertShare& share = shares.emplace_back();
      share.dataset = info.name;
      share.layer = layer.layer;
      share.expert = static_cast<int>(r) % layer.n_experts;
      share.choice = static_cast<int>(r) / layer.n_experts - 1;
      share.count = static_cast<int64_t>(totals[ratios[r].numerator]);
      share.rows = info.n_rows;
      const double whole = totals[ratios[r].denominator];
      share.share = whole > 0 ? static_cast<double>(share.count) / whole : std::nan("");
      share.even_share = 1.0 / layer.n_experts;
      if (of_tokens && share.choice == kEitherChoice) share.even_share *= n_slots;
      share.n_units = static_cast<int64_t>(info.units.size());
      share.why_no_interval = WhyNoInterval(share.n_units, info.unit_by);
      if (!intervals.empty()) share.interval = intervals[r];
    }
  }
  return shares;
}

}  // namespace moescope::study
