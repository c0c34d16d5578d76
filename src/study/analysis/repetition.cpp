#include "study/analysis/repetition.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/expert_sets.h"
#include "study/analysis/row_pairs.h"
#include "study/analysis/token_null.h"

namespace moescope::study {
namespace {

// What one document adds to a cell of one lag.
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

// Adds to the pairs of `sums` and returns how many the sequence has.
int64_t CountPairs(const LayerView& view, const SequenceRange& sequence, const PairRule& rule,
                   DocumentSums& sums) {
  const auto set = view.sets.set_of_row();
  int64_t pairs = 0;
  ForEachPair(view.rows, sequence, rule, [&](int64_t i, int64_t j) {
    ++pairs;
    sums.first_repeats += view.first[i] >= 0 && view.first[i] == view.first[j];
    sums.any_overlaps += view.sets.Meet(set[i], set[j]) ? 1 : 0;
  });
  sums.pairs += pairs;
  return pairs;
}

// `sums` has one place a lag. The rows of a sequence that could change places are the same at every
// lag, so they are counted once.
void SumDocument(const LayerView& view, const DocumentRange& document, const std::vector<int>& lags,
                 const RepetitionOptions& options, PairCounter& counter, RowGroup& group,
                 DocumentSums* sums) {
  for (int64_t s = document.first_sequence; s < document.first_sequence + document.n_sequences;
       ++s) {
    const SequenceRange& sequence = view.rows.sequences[s];
    PairCounts all;
    for (size_t l = 0; l < lags.size(); ++l) {
      const int64_t n_pairs =
          CountPairs(view, sequence, {lags[l], options.differing_tokens}, sums[l]);
      if (n_pairs == 0 || !options.nulls) continue;
      if (all.pairs == 0) {
        group.clear();
        group.Append(view, sequence.first_row, sequence.n_rows);
        all = group.Count(counter, options.differing_tokens, Combine(options.bootstrap.seed, s));
      }
      const double pairs = static_cast<double>(n_pairs);
      sums[l].shuffled_pairs += pairs;
      sums[l].shuffled_first_repeats += pairs * all.first_repeats / all.pairs;
      sums[l].shuffled_any_overlaps += pairs * all.any_overlaps / all.pairs;
    }
  }
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

// Sums of every document at one lag.
//   documents  [documents of the run, lags]
struct LagSums {
  const std::vector<DocumentSums>& documents;
  size_t n_lags;
  size_t lag;
  const DocumentSums& operator[](size_t document) const {
    return documents[document * n_lags + lag];
  }
};

void AddTokenNull(const TokenNullSums& token, RepetitionCell& cell) {
  const double covered = static_cast<double>(token.covered);
  cell.token = {ShareOrNan(token.expected_first_repeats, covered),
                ShareOrNan(token.expected_any_overlaps, covered)};
  cell.token_covered = {ShareOrNan(static_cast<double>(token.first_repeats), covered),
                        ShareOrNan(static_cast<double>(token.any_overlaps), covered)};
  cell.token_coverage = cell.pairs > 0 ? covered / static_cast<double>(cell.pairs) : 0;
}

void AddShuffleNull(const DatasetInfo& info, const LagSums& documents, RepetitionCell& cell) {
  DocumentSums total;
  for (int32_t d : info.documents) {
    total.shuffled_pairs += documents[d].shuffled_pairs;
    total.shuffled_first_repeats += documents[d].shuffled_first_repeats;
    total.shuffled_any_overlaps += documents[d].shuffled_any_overlaps;
  }
  cell.shuffle = {ShareOrNan(total.shuffled_first_repeats, total.shuffled_pairs),
                  ShareOrNan(total.shuffled_any_overlaps, total.shuffled_pairs)};
}

// `cells` are those of one data set, lag by lag.
void AddNulls(const LayerView& view, int dataset, const std::vector<DocumentSums>& documents,
              const RepetitionOptions& options, ThreadPool& pool, std::span<RepetitionCell> cells) {
  const DatasetInfo& info = view.rows.datasets[dataset];
  const uint64_t key = Combine(options.bootstrap.seed, KeyOfName(info.name));
  const int n_experts = view.layer.n_experts;
  const NullRepetition uniform = {1.0 / n_experts,
                                  UniformOverlap(n_experts, view.layer.experts_per_token)};
  const NullRepetition marginal = MarginalNull(view, info, options, Combine(key, 1));
  std::vector<PairRule> rules;
  for (const RepetitionCell& cell : cells) rules.push_back({cell.lag, options.differing_tokens});
  std::vector<TokenNullSums> token(cells.size());
  if (view.rows.HasTokenIds(dataset)) {
    token =
        ComputeTokenNull(view.rows, dataset, view.layer, view.sets, rules, Combine(key, 2), pool);
  }
  for (size_t l = 0; l < cells.size(); ++l) {
    cells[l].uniform = uniform;
    cells[l].marginal = marginal;
    AddShuffleNull(info, {documents, cells.size(), l}, cells[l]);
    AddTokenNull(token[l], cells[l]);
  }
}

void AddIntervals(const RowColumns& rows, const DatasetInfo& info, const LagSums& documents,
                  const BootstrapOptions& options, ThreadPool& pool, RepetitionCell& cell) {
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

std::vector<int> ParseLags(const std::string& text) {
  std::vector<int> lags;
  for (size_t begin = 0; begin <= text.size();) {
    const char* stop = text.data() + std::min(text.find(',', begin), text.size());
    int first = 0, last = 0;
    auto parsed = std::from_chars(text.data() + begin, stop, first);
    last = first;
    if (parsed.ec == std::errc() && parsed.ptr != stop && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, stop, last);
    }
    if (parsed.ec != std::errc() || parsed.ptr != stop || first < 1 || last < first ||
        last > kMaxLag) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--lags {}: expected numbers from 1 to {} separated by commas, or "
                              "ranges, as 1,2,4 or 1-16",
                              text, kMaxLag));
    }
    for (int lag = first; lag <= last; ++lag) lags.push_back(lag);
    begin = static_cast<size_t>(stop - text.data()) + 1;
  }
  std::sort(lags.begin(), lags.end());
  lags.erase(std::unique(lags.begin(), lags.end()), lags.end());
  return lags;
}

std::vector<RepetitionCell> ComputeRepetition(const RowColumns& rows, const LayerColumns& layer,
                                              const RepetitionOptions& options, ThreadPool& pool) {
  return ComputeRepetitionAtLags(rows, layer, {options.lag}, options, pool);
}

std::vector<RepetitionCell> ComputeRepetitionAtLags(const RowColumns& rows,
                                                    const LayerColumns& layer,
                                                    const std::vector<int>& lags,
                                                    const RepetitionOptions& options,
                                                    ThreadPool& pool) {
  for (int lag : lags) {
    if (lag >= 1 && lag <= kMaxLag) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("lag {}: expected a number from 1 to {}", lag, kMaxLag));
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

  const size_t n_lags = lags.size();
  std::vector<DocumentSums> documents(rows.documents.size() * n_lags);
  struct Scratch {
    PairCounter counter;
    RowGroup group;
  };
  std::vector<Scratch> scratch(pool.n_threads(), {PairCounter(sets, layer.n_experts), {}});
  pool.Run(static_cast<int64_t>(rows.documents.size()), [&](int64_t task, int worker) {
    SumDocument(view, rows.documents[task], lags, options, scratch[worker].counter,
                scratch[worker].group, documents.data() + static_cast<size_t>(task) * n_lags);
  });

  std::vector<RepetitionCell> cells;
  for (size_t d = 0; d < rows.datasets.size(); ++d) {
    const DatasetInfo& info = rows.datasets[d];
    for (size_t l = 0; l < n_lags; ++l) {
      const LagSums sums = {documents, n_lags, l};
      RepetitionCell& cell = cells.emplace_back();
      cell.dataset = info.name;
      cell.layer = layer.layer;
      cell.lag = lags[l];
      cell.n_units = static_cast<int64_t>(info.units.size());
      for (int32_t index : info.documents) {
        cell.pairs += sums[index].pairs;
        cell.first_repeats += sums[index].first_repeats;
        cell.any_overlaps += sums[index].any_overlaps;
      }
      const double pairs = static_cast<double>(cell.pairs);
      cell.first_repeat = ShareOrNan(static_cast<double>(cell.first_repeats), pairs);
      cell.any_overlap = ShareOrNan(static_cast<double>(cell.any_overlaps), pairs);
      AddIntervals(rows, info, sums, options.bootstrap, pool, cell);
    }
    if (!options.nulls) continue;
    AddNulls(view, static_cast<int>(d), documents, options, pool, std::span(cells).last(n_lags));
  }
  return cells;
}

}  // namespace moescope::study
