#include "study/analysis/affinity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/multiple_testing.h"
#include "study/analysis/proportion.h"
#include "study/analysis/token_control.h"
#include "study/analysis/unit_counts.h"
#include "study/analysis/unit_split.h"

namespace moescope::study {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kPower = 0.8;

// Words in the names of data sets of programs.
constexpr std::array<const char*, 3> kCodeWords = {"code", "python", "github"};

bool SaysCode(std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::any_of(kCodeWords.begin(), kCodeWords.end(),
                     [&](const char* word) { return name.find(word) != std::string::npos; });
}

std::string NamesOf(const RowColumns& rows) {
  std::vector<std::string> names;
  for (const DatasetInfo& info : rows.datasets) names.push_back(info.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

size_t IndexOf(const RowColumns& rows, const std::string& name) {
  for (size_t d = 0; d < rows.datasets.size(); ++d) {
    if (rows.datasets[d].name == name) return d;
  }
  throw Error(ErrorKind::kNotFound, fmt::format("cannot compare data sets: the run has no '{}', it "
                                                "has {}",
                                                name, NamesOf(rows)));
}

std::string WhyNoPermutation(const UnitArms& arms, const LabelPermutations& permutations) {
  const int64_t group = arms.n_units(true), rest = arms.n_units(false);
  if (std::min(group, rest) < 2) {
    return fmt::format("{} and {} units, fewer than 2 on a side", group, rest);
  }
  if (permutations.n_arrangements() >= kMinArrangements) return "";
  return fmt::format("{} and {} units have {} arrangements, fewer than {}", group, rest,
                     permutations.n_arrangements(), kMinArrangements);
}

std::string WhyNoArmInterval(const UnitArms& arms) {
  const int64_t group = arms.n_units(true), rest = arms.n_units(false);
  if (std::min(group, rest) >= kMinUnits) return "";
  return fmt::format("{} and {} units, fewer than {} on a side", group, rest, kMinUnits);
}

std::vector<OddsEstimate> Estimates(const UnitArms& arms, const ArmCounts& counts, uint64_t key,
                                    const BootstrapOptions& options, ThreadPool& pool) {
  const std::vector<Interval> intervals = BootstrapLogOddsRatios(arms, counts, key, options, pool);
  const bool is_empty = std::min(arms.n_units(true), arms.n_units(false)) == 0;
  std::vector<OddsEstimate> estimates;
  for (double log_ratio : LogOddsRatios(arms, counts)) {
    OddsEstimate& estimate = estimates.emplace_back();
    estimate.odds_ratio = is_empty ? kNaN : std::exp(log_ratio);
    if (intervals.empty()) continue;
    const Interval& interval = intervals[estimates.size() - 1];
    estimate.interval = {std::exp(interval.low), std::exp(interval.high)};
  }
  return estimates;
}

}  // namespace

int OddsEstimate::side() const {
  if (!interval) return 0;
  return interval->low > 1 ? 1 : interval->high < 1 ? -1 : 0;
}

std::vector<Arm> ResolveArms(const RowColumns& rows, const AffinityOptions& options) {
  std::vector<Arm> arm(rows.datasets.size(), options.against.empty() ? Arm::kRest : Arm::kNone);
  for (const std::string& name : options.group) arm[IndexOf(rows, name)] = Arm::kGroup;
  for (size_t d = 0; options.group.empty() && d < arm.size(); ++d) {
    if (SaysCode(rows.datasets[d].name)) arm[d] = Arm::kGroup;
  }
  for (const std::string& name : options.against) {
    Arm& side = arm[IndexOf(rows, name)];
    if (side == Arm::kGroup) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot compare data sets: '{}' is in the group and in what it is "
                              "compared with",
                              name));
    }
    side = Arm::kRest;
  }
  const auto has = [&](Arm side) { return std::count(arm.begin(), arm.end(), side) > 0; };
  if (!has(Arm::kGroup)) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("cannot find the group: no data set is named for {}, the run has {}; "
                            "name one with --group NAME=SET,SET",
                            fmt::join(kCodeWords, ", "), NamesOf(rows)));
  }
  if (!has(Arm::kRest)) {
    throw Error(ErrorKind::kBadInput,
                "cannot compare data sets: all of them are in the group; expected others to "
                "compare it with");
  }
  return arm;
}

struct AffinityAnalysis::State {
  State(const RowColumns& run_rows, const AffinityOptions& given, ThreadPool& threads)
      : rows(run_rows),
        options(given),
        pool(threads),
        arm(ResolveArms(rows, options)),
        arms(MakeUnitArms(rows, arm, {})),
        permutations(arms.in_group, 2, options.n_permutations,
                     Combine(options.bootstrap.seed, KeyOfName("affinity"))),
        family(permutations.size(), Sides::kBoth),
        tokens(rows, arms, options.min_occurrences) {
    std::vector<uint8_t> half = SplitUnits(rows, 2, options.bootstrap.seed);
    halves[1] = MakeUnitArms(rows, arm, half);
    for (uint8_t& part : half) part = 1 - part;
    halves[0] = MakeUnitArms(rows, arm, half);
  }

  const RowColumns& rows;
  const AffinityOptions options;
  ThreadPool& pool;
  const std::vector<Arm> arm;
  const UnitArms arms;
  UnitArms halves[2];
  const LabelPermutations permutations;
  MaxTFamily family;
  const SharedTokens tokens;
  Affinity affinity;

  void Describe();
  void AddControl(const LayerColumns& layer, std::span<AffinityCell> cells);
  void AdjustControl();
};

AffinityAnalysis::AffinityAnalysis(const RowColumns& rows, const AffinityOptions& options,
                                   ThreadPool& pool)
    : state_(std::make_unique<State>(rows, options, pool)) {
  state_->Describe();
}

AffinityAnalysis::~AffinityAnalysis() = default;

void AffinityAnalysis::State::Describe() {
  affinity.group_name = options.group_name;
  for (size_t d = 0; d < arm.size(); ++d) {
    if (arm[d] == Arm::kGroup) affinity.group.push_back(rows.datasets[d].name);
    if (arm[d] == Arm::kRest) affinity.against.push_back(rows.datasets[d].name);
  }
  affinity.rule = options.group.empty()
                      ? fmt::format("data sets whose name contains {}", fmt::join(kCodeWords, ", "))
                      : "as given";
  affinity.group_units = arms.n_units(true);
  affinity.rest_units = arms.n_units(false);
  affinity.group_tokens = arms.n_rows(true);
  affinity.rest_tokens = arms.n_rows(false);
  affinity.n_permutations = permutations.size();
  affinity.is_exact = permutations.is_exact();
  affinity.control_ids = tokens.n_ids();
  const auto share = [](int64_t part, int64_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  affinity.group_coverage = share(tokens.n_rows(true), affinity.group_tokens);
  affinity.rest_coverage = share(tokens.n_rows(false), affinity.rest_tokens);
  affinity.why_no_p = WhyNoPermutation(arms, permutations);
  affinity.why_no_interval = WhyNoArmInterval(arms);
  if (tokens.n_ids() == 0) {
    affinity.why_no_control =
        fmt::format("no token id occurs {} times or more on both sides", options.min_occurrences);
  }
  for (const UnitArms& half : halves) {
    const std::string why = WhyNoArmInterval(half);
    if (!why.empty()) affinity.why_no_replication = "a half has " + why;
  }
}

void AffinityAnalysis::AddLayer(const LayerColumns& layer) {
  State& state = *state_;
  const int n_experts = layer.n_experts;
  const std::vector<int32_t> inclusions = CountInclusions(state.rows, layer);
  const ArmCounts counts = CountArms(state.arms, inclusions, n_experts);
  state.family.Add(LogOddsRatios(state.arms, counts),
                   PermuteLogOddsRatios(state.arms, counts, state.permutations, state.pool));

  const uint64_t key = Combine(KeyOfName("affinity"), layer.layer);
  const BootstrapOptions& bootstrap = state.options.bootstrap;
  const auto raw = Estimates(state.arms, counts, key, bootstrap, state.pool);
  std::vector<OddsEstimate> halves[2];
  for (int h = 0; h < 2; ++h) {
    const ArmCounts of_half = CountArms(state.halves[h], inclusions, n_experts);
    halves[h] = Estimates(state.halves[h], of_half, Combine(key, h), bootstrap, state.pool);
  }
  std::vector<AffinityCell> cells(n_experts);
  std::vector<double> included(2 * n_experts);
  for (size_t u = 0; u < state.arms.units.size(); ++u) {
    for (int e = 0; e < n_experts; ++e) {
      included[state.arms.in_group[u] * n_experts + e] += counts.included[u * n_experts + e];
    }
  }
  for (int e = 0; e < n_experts; ++e) {
    AffinityCell& cell = cells[e];
    cell.layer = layer.layer;
    cell.expert = e;
    cell.group_share = included[n_experts + e] / static_cast<double>(state.affinity.group_tokens);
    cell.rest_share = included[e] / static_cast<double>(state.affinity.rest_tokens);
    cell.raw = raw[e];
    for (int h = 0; h < 2; ++h) cell.halves[h] = halves[h][e];
    cell.replicated = state.affinity.why_no_replication.empty() && cell.halves[0].side() != 0 &&
                      cell.halves[0].side() == cell.halves[1].side();
  }
  state.AddControl(layer, cells);
  state.affinity.cells.insert(state.affinity.cells.end(), cells.begin(), cells.end());
}

void AffinityAnalysis::State::AddControl(const LayerColumns& layer, std::span<AffinityCell> cells) {
  const double z = NormalQuantile((1 + options.bootstrap.level) / 2);
  const auto controlled = ControlForTokens(rows, layer, arms, tokens);
  for (size_t e = 0; e < cells.size(); ++e) {
    AffinityCell& cell = cells[e];
    const bool is_known = affinity.why_no_control.empty();
    const double odds_ratio = is_known ? controlled[e].odds_ratio : kNaN;
    const double error = controlled[e].log_error_units;
    cell.controlled.odds_ratio = odds_ratio;
    cell.crude_on_covered = is_known ? controlled[e].crude_odds_ratio : kNaN;
    cell.controlled_log_error_rows = is_known ? controlled[e].log_error_rows : kNaN;
    cell.controlled_p = kNaN;
    if (std::isnan(odds_ratio) || !affinity.why_no_interval.empty() || !(error > 0)) continue;
    const double log_ratio = std::log(odds_ratio);
    cell.controlled.interval = {std::exp(log_ratio - z * error), std::exp(log_ratio + z * error)};
    cell.controlled_p = 2 * NormalTail(std::abs(log_ratio) / error);
  }
}

void AffinityAnalysis::State::AdjustControl() {
  std::vector<double> p;
  for (const AffinityCell& cell : affinity.cells) p.push_back(cell.controlled_p);
  const std::vector<double> adjusted = AdjustHolm(p);
  for (size_t c = 0; c < adjusted.size(); ++c) affinity.cells[c].controlled_p = adjusted[c];
}

Affinity AffinityAnalysis::Finish() {
  State& state = *state_;
  const std::vector<PermutedCell> tested = state.family.Finish();
  const double critical = state.family.critical_value();
  const double power = NormalQuantile(kPower);
  Affinity& affinity = state.affinity;
  const bool has_p = affinity.why_no_p.empty();
  affinity.critical_value = has_p ? critical : kNaN;
  for (size_t c = 0; c < affinity.cells.size(); ++c) {
    AffinityCell& cell = affinity.cells[c];
    cell.p = has_p ? tested[c].p : kNaN;
    cell.p_max = has_p ? tested[c].p_max : kNaN;
    cell.smallest_shown = has_p ? std::exp((critical + power) * tested[c].deviation) : kNaN;
  }
  state.AdjustControl();
  return std::move(affinity);
}

Affinity AffinityTable(const store::Run& run, store::Database& database, const RowColumns& rows,
                       const std::vector<int>& layers, const AffinityOptions& options,
                       ThreadPool& pool) {
  RequireRoutes(run);
  AffinityAnalysis analysis(rows, options, pool);
  ForEachLayer("affinity", run, database, rows, layers,
               [&](const LayerColumns& layer) { analysis.AddLayer(layer); });
  return analysis.Finish();
}

}  // namespace moescope::study
