#include "study/analysis/indentation.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/iid_null.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/unit_halves.h"

namespace moescope::study {
namespace {

// First choices of one unit by expert.
struct UnitCounts {
  std::vector<int64_t> indentation;  // [n_experts]
  std::vector<int64_t> all;          // [n_experts]
};

struct DatasetCounts {
  std::unordered_map<int32_t, UnitCounts> units;
  std::vector<int16_t> first;  // of all rows that have one, in row order
  int64_t tokens = 0;
  int64_t largest_token = 0;  // occurrences of the most frequent id among them
};

DatasetCounts CountDataset(const RowColumns& rows, const DatasetInfo& info,
                           const LayerColumns& layer, const std::vector<uint8_t>& is_indentation) {
  DatasetCounts counts;
  std::unordered_map<int32_t, int64_t> of_token;
  counts.first.reserve(info.n_rows);
  for (int32_t d : info.documents) {
    const DocumentRange& document = rows.documents[d];
    UnitCounts& unit = counts.units[document.unit];
    unit.indentation.resize(layer.n_experts);
    unit.all.resize(layer.n_experts);
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int16_t expert = layer.experts[row * layer.experts_per_token];
      if (expert < 0) continue;
      counts.first.push_back(expert);
      ++unit.all[expert];
      if (is_indentation[row] == 0) continue;
      ++unit.indentation[expert];
      ++counts.tokens;
      counts.largest_token = std::max(counts.largest_token, ++of_token[rows.token_id[row]]);
    }
  }
  return counts;
}

int64_t Sum(const std::vector<int64_t>& counts) {
  int64_t sum = 0;
  for (int64_t count : counts) sum += count;
  return sum;
}

// Ties to the lower index; -1 when nothing was counted.
int MostFrequent(const std::vector<int64_t>& counts) {
  const auto largest = std::max_element(counts.begin(), counts.end());
  return *largest > 0 ? static_cast<int>(largest - counts.begin()) : -1;
}

double Share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : std::nan("");
}

void AddSplitHalf(const DatasetInfo& info, const DatasetCounts& counts, const DatasetHalves& halves,
                  int n_experts, const BootstrapOptions& options, ThreadPool& pool,
                  IndentationCell& cell) {
  std::vector<int64_t> searched(n_experts);
  for (int32_t unit : info.units) {
    if (!halves.Searches(unit)) continue;
    for (int e = 0; e < n_experts; ++e) searched[e] += counts.units.at(unit).indentation[e];
  }
  cell.is_split = halves.is_split;
  cell.expert = MostFrequent(searched);
  const std::vector<int32_t> measured = halves.MeasuredUnits(info);
  std::vector<double> sums;  // [measured units, 2]
  int64_t hits = 0, all_hits = 0, all = 0;
  for (int32_t unit : measured) {
    const UnitCounts& of_unit = counts.units.at(unit);
    const int64_t tokens = Sum(of_unit.indentation);
    const int64_t unit_hits = cell.expert < 0 ? 0 : of_unit.indentation[cell.expert];
    sums.push_back(static_cast<double>(unit_hits));
    sums.push_back(static_cast<double>(tokens));
    cell.measured_tokens += tokens;
    hits += unit_hits;
    all += Sum(of_unit.all);
    if (cell.expert >= 0) all_hits += of_unit.all[cell.expert];
  }
  cell.n_units = static_cast<int64_t>(measured.size());
  cell.why_no_interval = WhyNoInterval(cell.n_units, info.unit_by);
  if (cell.expert < 0 || cell.measured_tokens == 0) {
    cell.share = cell.marginal_share = std::nan("");
    if (cell.why_no_interval.empty()) cell.why_no_interval = "no indentation in one of the halves";
    return;
  }
  cell.share = Share(hits, cell.measured_tokens);
  cell.marginal_share = Share(all_hits, all);
  const Ratio ratio = {0, 1};
  const auto intervals =
      BootstrapRatios(sums, 2, std::span(&ratio, 1), KeyOfName(info.name), options, pool);
  if (!intervals.empty()) cell.interval = intervals[0];
}

}  // namespace

std::vector<IndentationCell> ComputeIndentation(const RowColumns& rows, const LayerColumns& layer,
                                                const std::vector<uint8_t>& is_indentation,
                                                const BootstrapOptions& options, ThreadPool& pool) {
  const Halves halves = SplitInHalves(rows, options.seed);
  std::vector<IndentationCell> cells;
  for (const DatasetInfo& info : rows.datasets) {
    const DatasetCounts counts = CountDataset(rows, info, layer, is_indentation);
    if (counts.tokens == 0) continue;
    IndentationCell& cell = cells.emplace_back();
    cell.dataset = info.name;
    cell.layer = layer.layer;
    cell.tokens = counts.tokens;
    cell.largest_token_share = Share(counts.largest_token, counts.tokens);
    std::vector<int64_t> total(layer.n_experts);
    for (const auto& [unit, of_unit] : counts.units) {
      for (int e = 0; e < layer.n_experts; ++e) total[e] += of_unit.indentation[e];
    }
    cell.top_expert = MostFrequent(total);
    cell.top_share = Share(total[cell.top_expert], counts.tokens);
    cell.iid_share =
        ExpectedMaxShare(counts.first, 1, layer.n_experts, counts.tokens,
                         Combine(Combine(options.seed, KeyOfName(info.name)), layer.layer));
    AddSplitHalf(info, counts, HalvesOf(halves, info), layer.n_experts, options, pool, cell);
  }
  return cells;
}

std::vector<IndentationCell> IndentationTable(const store::Run& run, store::Database& database,
                                              const RowColumns& rows,
                                              const std::vector<int>& layers,
                                              const BootstrapOptions& options, ThreadPool& pool) {
  RequireRoutes(run);
  std::vector<uint8_t> is_indentation = ClassifyRows(rows, LoadVocabularyBytes(database));
  for (uint8_t& classes : is_indentation) classes = classes >> kIndentation & 1;
  return LayerTable("indentation", run, database, rows, layers, [&](const LayerColumns& layer) {
    return ComputeIndentation(rows, layer, is_indentation, options, pool);
  });
}

}  // namespace moescope::study
