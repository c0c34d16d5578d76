// Two arms of units, a group of data sets against others, and the odds ratio of choosing an expert
// between them: its interval by resampling units, its null by permuting their labels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/permutation.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// What a data set takes part as.
enum class Arm : uint8_t { kNone, kGroup, kRest };

// The units that take part and how they are resampled: each data set by itself, except that those
// of an arm with a single unit are resampled together, since alone they would seem to have no
// variance.
struct UnitArms {
  std::vector<int32_t> units;     // into RowColumns::units, stratum by stratum
  std::vector<int32_t> in_group;  // [n_units] 1: group, 0: rest
  std::vector<int64_t> strata;    // units of each stratum
  std::vector<uint8_t> stratum_in_group;
  std::vector<int64_t> rows;  // [n_units]

  int64_t n_units(bool group) const;
  int64_t n_rows(bool group) const;
};

// Units with rows. arm [n data sets]; keep [units of the run] leaves out those with 0; empty: all.
UnitArms MakeUnitArms(const RowColumns& rows, std::span<const Arm> arm,
                      std::span<const uint8_t> keep);

// Rows of each unit of the arms that chose each expert: [n_units, n_experts].
struct ArmCounts {
  int n_experts = 0;
  std::vector<int32_t> included;
};

ArmCounts CountArms(const UnitArms& arms, std::span<const int32_t> inclusions_of_run,
                    int n_experts);

// Log odds ratio of inclusion, group against rest, 0.5 added to each cell: [n_experts].
std::vector<double> LogOddsRatios(const UnitArms& arms, const ArmCounts& counts);

// The same for every permutation of labels over units: [permutations.size(), n_experts]. Sums are
// of integers, so the values do not depend on threads.
std::vector<double> PermuteLogOddsRatios(const UnitArms& arms, const ArmCounts& counts,
                                         const LabelPermutations& permutations, ThreadPool& pool);

// Intervals of the log odds ratios, units resampled stratum by stratum. Empty when either arm has
// fewer than kMinUnits units.
std::vector<Interval> BootstrapLogOddsRatios(const UnitArms& arms, const ArmCounts& counts,
                                             uint64_t key, const BootstrapOptions& options,
                                             ThreadPool& pool);

}  // namespace moescope::study
