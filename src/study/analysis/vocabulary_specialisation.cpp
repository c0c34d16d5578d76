#include "study/analysis/vocabulary_specialisation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/iid_null.h"
#include "study/analysis/unit_halves.h"

namespace moescope::study {
namespace {

double Share(double part, double whole) {
  return whole > 0 ? part / whole : std::nan("");
}

// The token after each row in its sequence: -1 none.
std::vector<int32_t> NextIds(const RowColumns& rows) {
  std::vector<int32_t> ids(rows.token_id.size(), -1);
  for (const SequenceRange& sequence : rows.sequences) {
    const int64_t end = sequence.first_row + sequence.n_rows;
    for (int64_t row = sequence.first_row; row + 1 < end; ++row) {
      if (rows.position[row + 1] == rows.position[row] + 1) ids[row] = rows.token_id[row + 1];
    }
  }
  return ids;
}

// Occurrences of each id and how many of them include each expert.
struct IdCounts {
  int n_experts = 0;
  std::vector<int32_t> occurrences;  // [id]
  std::vector<int32_t> of_expert;    // [id, n_experts]

  IdCounts(size_t n_ids, int experts)
      : n_experts(experts), occurrences(n_ids), of_expert(n_ids * experts) {}
  // The most frequent expert of an id: ties to the lower index.
  int Top(size_t id) const {
    const auto begin = of_expert.begin() + static_cast<int64_t>(id) * n_experts;
    return static_cast<int>(std::max_element(begin, begin + n_experts) - begin);
  }
  int32_t Count(size_t id, int expert) const { return of_expert[id * n_experts + expert]; }
};

// The rows of a data set that count for an id, document by document.
class DatasetView {
 public:
  DatasetView(const RowColumns& rows, const DatasetInfo& info, const LayerColumns& layer,
              const std::vector<int32_t>& ids)
      : rows_(rows), info_(info), layer_(layer), ids_(ids) {
    int32_t largest = -1;
    for (int32_t d : info.documents) {
      const DocumentRange& document = rows.documents[d];
      for (int64_t r = 0; r < document.n_rows; ++r) {
        largest = std::max(largest, ids[document.first_row + r]);
      }
    }
    n_ids_ = static_cast<size_t>(largest + 1);
  }

  size_t n_ids() const { return n_ids_; }

  // fn(unit, id, experts) for each row with an id and an expert.
  template <typename Fn>
  void ForEachRow(Fn&& fn) const {
    const int n_slots = layer_.experts_per_token;
    for (int32_t d : info_.documents) {
      const DocumentRange& document = rows_.documents[d];
      for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
        const std::span experts = std::span(layer_.experts).subspan(row * n_slots, n_slots);
        if (ids_[row] < 0 || std::all_of(experts.begin(), experts.end(),
                                         [](int16_t expert) { return expert < 0; })) {
          continue;
        }
        fn(document.unit, static_cast<size_t>(ids_[row]), experts);
      }
    }
  }

 private:
  const RowColumns& rows_;
  const DatasetInfo& info_;
  const LayerColumns& layer_;
  const std::vector<int32_t>& ids_;
  size_t n_ids_ = 0;
};

void Add(size_t id, std::span<const int16_t> experts, IdCounts& counts) {
  ++counts.occurrences[id];
  for (int16_t expert : experts) {
    if (expert >= 0) ++counts.of_expert[id * counts.n_experts + expert];
  }
}

struct NullSums {
  double shares = 0;   // summed over ids
  int64_t counts = 0;  // of the most frequent expert, summed over ids
};

// Each occurrence of `ids` drawn from the data set's own decisions; by id, so that threads cannot
// change the result.
void AddNull(const std::vector<size_t>& ids, const IdCounts& counts,
             const std::vector<int16_t>& decisions, int n_slots, uint64_t key, ThreadPool& pool,
             VocabularyCell& cell) {
  constexpr int64_t kIdsPerTask = 16;
  const int64_t n_tasks = (static_cast<int64_t>(ids.size()) + kIdsPerTask - 1) / kIdsPerTask;
  std::vector<NullSums> parts(n_tasks);
  std::vector<IidDraws> draws(pool.n_threads(), IidDraws(decisions, n_slots, counts.n_experts));
  pool.Run(n_tasks, [&](int64_t task, int worker) {
    const size_t end = std::min(ids.size(), static_cast<size_t>(task + 1) * kIdsPerTask);
    for (size_t i = static_cast<size_t>(task) * kIdsPerTask; i < end; ++i) {
      const int32_t n = counts.occurrences[ids[i]];
      Random random(Combine(key, ids[i]));
      for (int draw = 0; draw < kVocabularyNullDraws; ++draw) {
        const int64_t largest = draws[worker].MaxCount(n, random);
        parts[task].shares += static_cast<double>(largest) / n;
        parts[task].counts += largest;
      }
    }
  });
  NullSums total;
  for (const NullSums& part : parts) total.shares += part.shares, total.counts += part.counts;
  cell.null_type_weighted =
      Share(total.shares, static_cast<double>(ids.size()) * kVocabularyNullDraws);
  cell.null_token_weighted = Share(static_cast<double>(total.counts),
                                   static_cast<double>(cell.occurrences) * kVocabularyNullDraws);
}

void AddHeldOut(const RowColumns& rows, const DatasetInfo& info, const DatasetView& view,
                const IdCounts& counts, const DatasetHalves& halves,
                const VocabularyOptions& options, ThreadPool& pool, VocabularyCell& cell) {
  IdCounts searched(view.n_ids(), counts.n_experts);
  view.ForEachRow([&](int32_t unit, size_t id, std::span<const int16_t> experts) {
    if (halves.Searches(unit)) Add(id, experts, searched);
  });
  std::vector<int> top(view.n_ids(), -1);
  for (size_t id = 0; id < top.size(); ++id) {
    if (counts.occurrences[id] >= options.min_count && searched.occurrences[id] > 0) {
      top[id] = searched.Top(id);
    }
  }
  const std::vector<int32_t> measured = halves.MeasuredUnits(info);
  std::vector<int32_t> place(rows.units.size(), -1);
  for (size_t u = 0; u < measured.size(); ++u) place[measured[u]] = static_cast<int32_t>(u);
  std::vector<double> sums(measured.size() * 2);
  double hits = 0, all = 0;
  view.ForEachRow([&](int32_t unit, size_t id, std::span<const int16_t> experts) {
    if (place[unit] < 0 || top[id] < 0) return;
    const bool hit = std::find(experts.begin(), experts.end(), top[id]) != experts.end();
    sums[static_cast<size_t>(place[unit]) * 2] += hit;
    sums[static_cast<size_t>(place[unit]) * 2 + 1] += 1;
    hits += hit;
    all += 1;
  });
  cell.held_out = halves.is_split ? Share(hits, all) : std::nan("");
  cell.n_units = static_cast<int64_t>(measured.size());
  cell.why_no_interval = WhyNoInterval(cell.n_units, info.unit_by);
  if (all == 0 && cell.why_no_interval.empty()) cell.why_no_interval = "no id in both halves";
  const Ratio ratio = {0, 1};
  const auto intervals =
      BootstrapRatios(sums, 2, std::span(&ratio, 1), KeyOfName(info.name), options.bootstrap, pool);
  if (!intervals.empty() && all > 0) cell.held_out_interval = intervals[0];
}

VocabularyCell CellOf(const RowColumns& rows, const DatasetInfo& info, const LayerColumns& layer,
                      VocabularyTarget target, const std::vector<int32_t>& ids,
                      const DatasetHalves& halves, const VocabularyOptions& options,
                      ThreadPool& pool) {
  VocabularyCell cell;
  cell.dataset = info.name;
  cell.layer = layer.layer;
  cell.target = target;
  const DatasetView view(rows, info, layer, ids);
  IdCounts counts(view.n_ids(), layer.n_experts);
  std::vector<int16_t> decisions;
  decisions.reserve(info.n_rows * layer.experts_per_token);
  view.ForEachRow([&](int32_t, size_t id, std::span<const int16_t> experts) {
    Add(id, experts, counts);
    decisions.insert(decisions.end(), experts.begin(), experts.end());
  });
  std::vector<size_t> frequent;
  double shares = 0, hits = 0, all = 0;
  for (size_t id = 0; id < view.n_ids(); ++id) {
    const int32_t n = counts.occurrences[id];
    all += n;
    if (n < std::max<int64_t>(1, options.min_count)) continue;
    frequent.push_back(id);
    const int32_t largest = counts.Count(id, counts.Top(id));
    cell.occurrences += n;
    shares += static_cast<double>(largest) / n;
    hits += largest;
  }
  cell.ids = static_cast<int64_t>(frequent.size());
  cell.coverage = Share(static_cast<double>(cell.occurrences), all);
  cell.type_weighted = Share(shares, static_cast<double>(cell.ids));
  cell.token_weighted = Share(hits, static_cast<double>(cell.occurrences));
  const uint64_t key = Combine(Combine(options.bootstrap.seed, KeyOfName(info.name)),
                               static_cast<uint64_t>(layer.layer) * 2 + static_cast<int>(target));
  AddNull(frequent, counts, decisions, layer.experts_per_token, key, pool, cell);
  AddHeldOut(rows, info, view, counts, halves, options, pool, cell);
  return cell;
}

}  // namespace

std::vector<VocabularyCell> ComputeVocabulary(const RowColumns& rows, const LayerColumns& layer,
                                              const VocabularyOptions& options, ThreadPool& pool) {
  const Halves halves = SplitInHalves(rows, options.bootstrap.seed);
  const std::vector<int32_t> next = NextIds(rows);
  std::vector<VocabularyCell> cells;
  for (const DatasetInfo& info : rows.datasets) {
    for (const VocabularyTarget target : {VocabularyTarget::kInput, VocabularyTarget::kNext}) {
      const auto& ids = target == VocabularyTarget::kInput ? rows.token_id : next;
      cells.push_back(
          CellOf(rows, info, layer, target, ids, HalvesOf(halves, info), options, pool));
    }
  }
  return cells;
}

std::vector<VocabularyCell> VocabularyTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows, const std::vector<int>& layers,
                                            const VocabularyOptions& options, ThreadPool& pool) {
  RequireRoutes(run);
  for (size_t d = 0; d < rows.datasets.size(); ++d) {
    if (rows.HasTokenIds(static_cast<int>(d))) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} has no token ids for data set {}, so experts cannot be counted by "
                            "token",
                            run.directory(), rows.datasets[d].name));
  }
  return LayerTable("vocabulary", run, database, rows, layers, [&](const LayerColumns& layer) {
    return ComputeVocabulary(rows, layer, options, pool);
  });
}

}  // namespace moescope::study
