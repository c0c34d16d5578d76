#include "study/analysis/repetition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "study/analysis/expert_sets.h"
#include "study/analysis/random.h"
#include "study/analysis/row_pairs.h"
#include "study/analysis/token_null.h"

namespace moescope::study {
namespace {

// What one document adds to a cell.
struct DocumentSums {
  int64_t pairs = 0;
  int64_t first_repeats = 0;
  int64_t any_overlaps = 0;
  double shuffled_pairs = 0;  // pairs of sequences that have a shuffle null
  double shuffled_first_repeats = 0;
  double shuffled_any_overlaps = 0;
};

struct LayerView {
  const RowColumns& rows;
  const LayerColumns& layer;
  const ExpertSets& sets;
  std::vector<int16_t> first;  // [n_rows]
};

// Rows of a sequence or data set, copied out so that they can be reordered.
struct RowGroup {
  std::vector<int32_t> token;
  std::vector<int16_t> first;
  std::vector<int32_t> set;

  void clear() { token.clear(), first.clear(), set.clear(); }
  void Append(const LayerView& view, int64_t first_row, int64_t n_rows) {
    const auto sets = view.sets.set_of_row().subspan(first_row, n_rows);
    token.insert(token.end(), view.rows.token_id.begin() + first_row,
                 view.rows.token_id.begin() + first_row + n_rows);
    first.insert(first.end(), view.first.begin() + first_row,
                 view.first.begin() + first_row + n_rows);
    set.insert(set.end(), sets.begin(), sets.end());
  }
  PairCounts Count(PairCounter& counter, bool differing_tokens, uint64_t key) {
    return differing_tokens ? counter.DifferingPairs(token, first, set, key)
                            : counter.AllPairs(first, set, key);
  }
};

DocumentSums SumDocument(const LayerView& view, const DocumentRange& document,
                         const RepetitionOptions& options, PairCounter& counter, RowGroup& group) {
  DocumentSums sums;
  const PairRule rule = {options.lag, options.differing_tokens};
  const auto set = view.sets.set_of_row();
  for (int64_t s = document.first_sequence; s < document.first_sequence + document.n_sequences;
       ++s) {
    const SequenceRange& sequence = view.rows.sequences[s];
    int64_t pairs = 0;
    ForEachPair(view.rows, sequence, rule, [&](int64_t i, int64_t j) {
      ++pairs;
      sums.first_repeats += view.first[i] >= 0 && view.first[i] == view.first[j];
      sums.any_overlaps += view.sets.Meet(set[i], set[j]) ? 1 : 0;
    });
    sums.pairs += pairs;
    if (pairs == 0 || !options.nulls) continue;
    group.clear();
    group.Append(view, sequence.first_row, sequence.n_rows);
    const PairCounts all =
        group.Count(counter, options.differing_tokens, Combine(options.bootstrap.seed, s));
    sums.shuffled_pairs += static_cast<double>(pairs);
    sums.shuffled_first_repeats += static_cast<double>(pairs) * all.first_repeats / all.pairs;
    sums.shuffled_any_overlaps += static_cast<double>(pairs) * all.any_overlaps / all.pairs;
  }
  return sums;
}

// 1 - C(E - K, K) / C(E, K): two sets of K of E drawn evenly share a member.
double UniformOverlap(int n_experts, int n_chosen) {
  double disjoint = 1;
  for (int i = 0; i < n_chosen; ++i) {
    disjoint *= std::max(0.0, static_cast<double>(n_experts - n_chosen - i)) / (n_experts - i);
  }
  return 1 - disjoint;
}

double ShareOrNan(double part, double whole) {
  return whole > 0 ? part / whole : std::nan("");
}

NullRepetition MarginalNull(const LayerView& view, const DatasetInfo& dataset,
                            const RepetitionOptions& options, uint64_t key) {
  RowGroup group;
  for (int32_t d : dataset.documents) {
    const DocumentRange& document = view.rows.documents[d];
    group.Append(view, document.first_row, document.n_rows);
  }
  PairCounter counter(view.sets, view.layer.n_experts);
  const PairCounts all = group.Count(counter, options.differing_tokens, key);
  return {ShareOrNan(all.first_repeats, all.pairs), ShareOrNan(all.any_overlaps, all.pairs)};
}

void AddNulls(const LayerView& view, int dataset, const std::vector<DocumentSums>& documents,
              const RepetitionOptions& options, ThreadPool& pool, RepetitionCell& cell) {
  const DatasetInfo& info = view.rows.datasets[dataset];
  const uint64_t key = Combine(options.bootstrap.seed, KeyOfName(info.name));
  const int n_experts = view.layer.n_experts;
  cell.uniform = {1.0 / n_experts, UniformOverlap(n_experts, view.layer.experts_per_token)};
  cell.marginal = MarginalNull(view, info, options, Combine(key, 1));
  DocumentSums total;
  for (int32_t d : info.documents) {
    total.shuffled_pairs += documents[d].shuffled_pairs;
    total.shuffled_first_repeats += documents[d].shuffled_first_repeats;
    total.shuffled_any_overlaps += documents[d].shuffled_any_overlaps;
  }
  cell.shuffle = {ShareOrNan(total.shuffled_first_repeats, total.shuffled_pairs),
                  ShareOrNan(total.shuffled_any_overlaps, total.shuffled_pairs)};
  TokenNullSums token;
  if (view.rows.HasTokenIds(dataset)) {
    token = ComputeTokenNull(view.rows, dataset, view.layer, view.sets,
                             {options.lag, options.differing_tokens}, Combine(key, 2), pool);
  }
  const double covered = static_cast<double>(token.covered);
  cell.token = {ShareOrNan(token.expected_first_repeats, covered),
                ShareOrNan(token.expected_any_overlaps, covered)};
  cell.token_covered = {ShareOrNan(static_cast<double>(token.first_repeats), covered),
                        ShareOrNan(static_cast<double>(token.any_overlaps), covered)};
  cell.token_coverage = cell.pairs > 0 ? covered / static_cast<double>(cell.pairs) : 0;
}

void AddIntervals(const RowColumns& rows, const DatasetInfo& info,
                  const std::vector<DocumentSums>& documents, const BootstrapOptions& options,
                  ThreadPool& pool, RepetitionCell& cell) {
  enum { kPairs, kFirst, kAny, kColumns };
  std::vector<int32_t> place(rows.units.size(), -1);
  for (size_t u = 0; u < info.units.size(); ++u) place[info.units[u]] = static_cast<int32_t>(u);
  std::vector<double> sums(info.units.size() * kColumns);
  for (int32_t d : info.documents) {
    double* unit = sums.data() + static_cast<size_t>(place[rows.documents[d].unit]) * kColumns;
    unit[kPairs] += static_cast<double>(documents[d].pairs);
    unit[kFirst] += static_cast<double>(documents[d].first_repeats);
    unit[kAny] += static_cast<double>(documents[d].any_overlaps);
  }
  const Ratio ratios[] = {{kFirst, kPairs}, {kAny, kPairs}};
  const auto intervals =
      BootstrapRatios(sums, kColumns, ratios, KeyOfName(info.name), options, pool);
  cell.why_no_interval = WhyNoInterval(cell.n_units, info.unit_by);
  if (cell.pairs == 0 && cell.why_no_interval.empty()) cell.why_no_interval = "no pairs";
  if (intervals.empty() || cell.pairs == 0) return;
  cell.first_repeat_interval = intervals[0];
  cell.any_overlap_interval = intervals[1];
}

}  // namespace

std::vector<RepetitionCell> ComputeRepetition(const RowColumns& rows, const LayerColumns& layer,
                                              const RepetitionOptions& options, ThreadPool& pool) {
  if (options.lag < 1 || options.lag > kMaxLag) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("lag {}: expected a number from 1 to {}", options.lag, kMaxLag));
  }
  for (size_t d = 0; options.differing_tokens && d < rows.datasets.size(); ++d) {
    if (rows.HasTokenIds(static_cast<int>(d))) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("data set {} has no token ids, so pairs whose tokens differ cannot be "
                            "told; leave --differing-tokens out",
                            rows.datasets[d].name));
  }
  const ExpertSets sets(layer);
  LayerView view = {rows, layer, sets, {}};
  view.first.resize(rows.n_rows());
  for (int64_t row = 0; row < rows.n_rows(); ++row) {
    view.first[row] = layer.experts[row * layer.experts_per_token];
  }

  std::vector<DocumentSums> documents(rows.documents.size());
  struct Scratch {
    PairCounter counter;
    RowGroup group;
  };
  std::vector<Scratch> scratch(pool.n_threads(), {PairCounter(sets, layer.n_experts), {}});
  pool.Run(static_cast<int64_t>(documents.size()), [&](int64_t task, int worker) {
    documents[task] = SumDocument(view, rows.documents[task], options, scratch[worker].counter,
                                  scratch[worker].group);
  });

  std::vector<RepetitionCell> cells;
  for (size_t d = 0; d < rows.datasets.size(); ++d) {
    const DatasetInfo& info = rows.datasets[d];
    RepetitionCell& cell = cells.emplace_back();
    cell.dataset = info.name;
    cell.layer = layer.layer;
    cell.lag = options.lag;
    cell.n_units = static_cast<int64_t>(info.units.size());
    for (int32_t index : info.documents) {
      cell.pairs += documents[index].pairs;
      cell.first_repeats += documents[index].first_repeats;
      cell.any_overlaps += documents[index].any_overlaps;
    }
    const double pairs = static_cast<double>(cell.pairs);
    cell.first_repeat = ShareOrNan(static_cast<double>(cell.first_repeats), pairs);
    cell.any_overlap = ShareOrNan(static_cast<double>(cell.any_overlaps), pairs);
    if (options.nulls) AddNulls(view, static_cast<int>(d), documents, options, pool, cell);
    AddIntervals(rows, info, documents, options.bootstrap, pool, cell);
  }
  return cells;
}

}  // namespace moescope::study
