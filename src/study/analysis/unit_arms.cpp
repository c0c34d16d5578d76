#include "study/analysis/unit_arms.h"

#include <algorithm>

#include "base/error.h"
#include "study/analysis/odds_ratio.h"
#include "study/analysis/unit_counts.h"

namespace moescope::study {
namespace {

double LogRatio(double group_in, double group_rows, double rest_in, double rest_rows) {
  return LogOddsRatio({group_in, group_rows - group_in, rest_in, rest_rows - rest_in});
}

}  // namespace

int64_t UnitArms::n_units(bool group) const {
  return std::count(in_group.begin(), in_group.end(), group ? 1 : 0);
}

int64_t UnitArms::n_rows(bool group) const {
  int64_t sum = 0;
  for (size_t u = 0; u < units.size(); ++u) sum += (in_group[u] == 1) == group ? rows[u] : 0;
  return sum;
}

UnitArms MakeUnitArms(const RowColumns& rows, std::span<const Arm> arm,
                      std::span<const uint8_t> keep) {
  MOESCOPE_CHECK(arm.size() == rows.datasets.size());
  const std::vector<int64_t> n_rows = CountRows(rows);
  UnitArms arms;
  const auto add_stratum = [&](const std::vector<int32_t>& units, bool group) {
    if (units.empty()) return;
    arms.strata.push_back(static_cast<int64_t>(units.size()));
    arms.stratum_in_group.push_back(group);
    for (int32_t unit : units) {
      arms.units.push_back(unit);
      arms.in_group.push_back(group);
      arms.rows.push_back(n_rows[unit]);
    }
  };
  for (const Arm side : {Arm::kGroup, Arm::kRest}) {
    std::vector<int32_t> single;
    for (size_t d = 0; d < arm.size(); ++d) {
      if (arm[d] != side) continue;
      std::vector<int32_t> units;
      for (int32_t unit : rows.datasets[d].units) {
        if (n_rows[unit] > 0 && (keep.empty() || keep[unit] != 0)) units.push_back(unit);
      }
      if (units.size() == 1) {
        single.push_back(units[0]);
      } else {
        add_stratum(units, side == Arm::kGroup);
      }
    }
    add_stratum(single, side == Arm::kGroup);
  }
  return arms;
}

ArmCounts CountArms(const UnitArms& arms, std::span<const int32_t> inclusions_of_run,
                    int n_experts) {
  ArmCounts counts;
  counts.n_experts = n_experts;
  for (int32_t unit : arms.units) {
    const auto of_unit =
        inclusions_of_run.subspan(static_cast<size_t>(unit) * n_experts, n_experts);
    counts.included.insert(counts.included.end(), of_unit.begin(), of_unit.end());
  }
  return counts;
}

std::vector<double> LogOddsRatios(const UnitArms& arms, const ArmCounts& counts) {
  std::vector<int64_t> in(2 * counts.n_experts);
  for (size_t u = 0; u < arms.units.size(); ++u) {
    for (int e = 0; e < counts.n_experts; ++e) {
      in[arms.in_group[u] * counts.n_experts + e] += counts.included[u * counts.n_experts + e];
    }
  }
  const double group_rows = static_cast<double>(arms.n_rows(true));
  const double rest_rows = static_cast<double>(arms.n_rows(false));
  std::vector<double> ratios;
  for (int e = 0; e < counts.n_experts; ++e) {
    ratios.push_back(LogRatio(static_cast<double>(in[counts.n_experts + e]), group_rows,
                              static_cast<double>(in[e]), rest_rows));
  }
  return ratios;
}

std::vector<double> PermuteLogOddsRatios(const UnitArms& arms, const ArmCounts& counts,
                                         const LabelPermutations& permutations, ThreadPool& pool) {
  const int n_experts = counts.n_experts;
  const size_t n_units = arms.units.size();
  std::vector<int64_t> all(n_experts);
  int64_t all_rows = 0;
  for (size_t u = 0; u < n_units; ++u) {
    for (int e = 0; e < n_experts; ++e) all[e] += counts.included[u * n_experts + e];
    all_rows += arms.rows[u];
  }
  // Only the smaller arm is summed, the other is what is left. A run has fewer than 2^31 rows.
  const int32_t summed = arms.n_units(true) <= arms.n_units(false) ? 1 : 0;
  std::vector<double> ratios(permutations.size() * n_experts);
  constexpr int64_t kPerTask = 64;
  pool.Run((permutations.size() + kPerTask - 1) / kPerTask, [&](int64_t task, int) {
    std::vector<int32_t> labels(n_units), in(n_experts);
    const int64_t end = std::min(permutations.size(), (task + 1) * kPerTask);
    for (int64_t i = task * kPerTask; i < end; ++i) {
      permutations.Fill(i, labels);
      std::fill(in.begin(), in.end(), 0);
      int64_t rows = 0;
      for (size_t u = 0; u < n_units; ++u) {
        if (labels[u] != summed) continue;
        rows += arms.rows[u];
        const int32_t* included = counts.included.data() + u * n_experts;
        for (int e = 0; e < n_experts; ++e) in[e] += included[e];
      }
      for (int e = 0; e < n_experts; ++e) {
        const double here = in[e], other = static_cast<double>(all[e] - in[e]);
        const double log_ratio =
            LogRatio(here, static_cast<double>(rows), other, static_cast<double>(all_rows - rows));
        ratios[i * n_experts + e] = summed == 1 ? log_ratio : -log_ratio;
      }
    }
  });
  return ratios;
}

std::vector<Interval> BootstrapLogOddsRatios(const UnitArms& arms, const ArmCounts& counts,
                                             uint64_t key, const BootstrapOptions& options,
                                             ThreadPool& pool) {
  if (std::min(arms.n_units(true), arms.n_units(false)) < kMinUnits) return {};
  const int n_experts = counts.n_experts, n_columns = 1 + n_experts;
  std::vector<double> sums;
  for (size_t u = 0; u < arms.units.size(); ++u) {
    sums.push_back(static_cast<double>(arms.rows[u]));
    const auto first = counts.included.begin() + static_cast<int64_t>(u) * n_experts;
    sums.insert(sums.end(), first, first + n_experts);
  }
  const auto statistics = [&](std::span<const double> totals, std::span<double> values) {
    for (int e = 0; e < n_experts; ++e) {
      double in[2] = {0, 0}, rows[2] = {0, 0};
      for (size_t s = 0; s < arms.strata.size(); ++s) {
        rows[arms.stratum_in_group[s]] += totals[s * n_columns];
        in[arms.stratum_in_group[s]] += totals[s * n_columns + 1 + e];
      }
      values[e] = LogRatio(in[1], rows[1], in[0], rows[0]);
    }
  };
  return BootstrapStatistics(sums, n_columns, arms.strata, n_experts, statistics, key, options,
                             pool);
}

}  // namespace moescope::study
