#include "study/analysis/cross_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <list>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace moescope::study {
namespace {

constexpr int64_t kMinShift = 64;  // neighbours within the longest lag are alike
constexpr int kTokenShifts = 19;   // of the null given the token
constexpr size_t kLayersInMemory = 4;
constexpr double kMaxUnitTable = 1 << 24;  // counts by unit beyond which there is no interval

// The two choices of the rows that have both, in row order.
struct Choices {
  std::vector<int16_t> first, second;
  std::vector<int32_t> token, unit;
  size_t size() const { return first.size(); }
};

Choices Gather(const RowColumns& rows, const DatasetInfo& info, const std::vector<int16_t>& first,
               const std::vector<int16_t>& second) {
  Choices choices;
  for (int32_t d : info.documents) {
    const DocumentRange& document = rows.documents[d];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      if (first[row] < 0 || second[row] < 0) continue;
      choices.first.push_back(first[row]);
      choices.second.push_back(second[row]);
      choices.token.push_back(rows.token_id[row]);
      choices.unit.push_back(document.unit);
    }
  }
  return choices;
}

double Log2Terms(const std::vector<int64_t>& counts) {
  double sum = 0;
  for (int64_t count : counts) {
    if (count > 0) sum += static_cast<double>(count) * std::log2(static_cast<double>(count));
  }
  return sum;
}

// Adds pairs (first[i], second[(i + shift) mod n]) of rows [begin, begin + n) to a table.
void CountShifted(const Choices& choices, const std::vector<int32_t>* order, size_t begin, size_t n,
                  size_t shift, int n_experts, std::vector<int64_t>& counts) {
  const auto row_of = [&](size_t i) { return order ? (*order)[begin + i] : begin + i; };
  for (size_t i = 0, j = shift; i < n; ++i, j = j + 1 == n ? 0 : j + 1) {
    ++counts[static_cast<size_t>(choices.first[row_of(i)]) * n_experts + choices.second[row_of(j)]];
  }
}

void AddShiftNull(const Choices& choices, const CrossLayerOptions& options, uint64_t key,
                  ThreadPool& pool, CrossLayerCell& cell) {
  cell.shift_null = cell.p_value = std::nan("");
  const int64_t n = static_cast<int64_t>(choices.size());
  const int64_t margin = std::min(kMinShift, n / 4);
  if (options.n_shifts < 1 || margin < 1) return;
  std::vector<double> information(options.n_shifts);
  pool.Run(options.n_shifts, [&](int64_t task, int) {
    Random random(Combine(key, task));
    const auto shift = margin + static_cast<int64_t>(random.Below(n - 2 * margin + 1));
    std::vector<int64_t> counts(cell.counts.size());
    CountShifted(choices, nullptr, 0, choices.size(), static_cast<size_t>(shift), cell.n_experts,
                 counts);
    information[task] = InformationOf(counts, cell.n_experts).plug_in;
  });
  const double sum = std::accumulate(information.begin(), information.end(), 0.0);
  const auto as_large = std::count_if(information.begin(), information.end(), [&](double value) {
    return value >= cell.information.plug_in;
  });
  cell.shift_null = sum / options.n_shifts;
  cell.p_value = static_cast<double>(1 + as_large) / (1 + options.n_shifts);
}

// Runs of rows of one token id in `order`, those seen often enough.
struct TokenRun {
  size_t begin = 0, n = 0;
};

std::vector<TokenRun> FrequentTokens(const Choices& choices, int64_t min_count,
                                     std::vector<int32_t>& order) {
  order.resize(choices.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return choices.token[a] < choices.token[b]; });
  std::vector<TokenRun> runs;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && choices.token[order[end]] == choices.token[order[begin]]) ++end;
    if (choices.token[order[begin]] >= 0 && static_cast<int64_t>(end - begin) >= min_count) {
      runs.push_back({begin, end - begin});
    }
    begin = end;
  }
  return runs;
}

// What the rows of some ids say: information weighted by rows.
struct GivenToken {
  double plug_in = 0, miller_madow = 0, shifted = 0;
};

GivenToken InformationOfToken(const Choices& choices, const std::vector<int32_t>& order,
                              const TokenRun& run, int n_experts, uint64_t key) {
  std::vector<int64_t> counts(static_cast<size_t>(n_experts) * n_experts);
  CountShifted(choices, &order, run.begin, run.n, 0, n_experts, counts);
  const MutualInformation information = InformationOf(counts, n_experts);
  const double n = static_cast<double>(run.n);
  GivenToken sums = {n * information.plug_in, n * information.miller_madow, 0};
  Random random(key);
  for (int draw = 0; draw < kTokenShifts; ++draw) {
    std::fill(counts.begin(), counts.end(), 0);
    const size_t shift = 1 + random.Below(run.n - 1);
    CountShifted(choices, &order, run.begin, run.n, shift, n_experts, counts);
    sums.shifted += n * InformationOf(counts, n_experts).plug_in / kTokenShifts;
  }
  return sums;
}

void AddGivenToken(const Choices& choices, const CrossLayerOptions& options, uint64_t key,
                   ThreadPool& pool, CrossLayerCell& cell) {
  const double none = std::nan("");
  cell.covered = cell.given_token = {none, none};
  cell.given_token_null = none;
  if (!options.given_token) return;
  std::vector<int32_t> order;
  const auto runs = FrequentTokens(choices, std::max<int64_t>(2, options.min_count), order);
  std::vector<int64_t> covered(cell.counts.size());
  size_t n_covered = 0;
  for (const TokenRun& run : runs) {
    CountShifted(choices, &order, run.begin, run.n, 0, cell.n_experts, covered);
    n_covered += run.n;
  }
  if (n_covered == 0) return;
  std::vector<GivenToken> parts(runs.size());
  pool.Run(static_cast<int64_t>(runs.size()), [&](int64_t task, int) {
    parts[task] = InformationOfToken(choices, order, runs[task], cell.n_experts,
                                     Combine(key, choices.token[order[runs[task].begin]]));
  });
  GivenToken total;
  for (const GivenToken& part : parts) {
    total.plug_in += part.plug_in;
    total.miller_madow += part.miller_madow;
    total.shifted += part.shifted;
  }
  const double n = static_cast<double>(n_covered);
  cell.token_coverage = n / static_cast<double>(choices.size());
  cell.covered = InformationOf(covered, cell.n_experts);
  cell.given_token = {total.plug_in / n, total.miller_madow / n};
  cell.given_token_null = total.shifted / n;
}

void AddInterval(const Choices& choices, const DatasetInfo& info, size_t n_run_units,
                 const BootstrapOptions& options, ThreadPool& pool, CrossLayerCell& cell) {
  cell.n_units = static_cast<int64_t>(info.units.size());
  cell.why_no_interval = WhyNoInterval(cell.n_units, info.unit_by);
  if (!cell.why_no_interval.empty()) return;
  const size_t n_cells = cell.counts.size();
  if (static_cast<double>(n_cells) * static_cast<double>(info.units.size()) > kMaxUnitTable) {
    cell.why_no_interval = "too many experts and units to resample";
    return;
  }
  std::vector<int32_t> place(n_run_units, -1);
  for (size_t u = 0; u < info.units.size(); ++u) place[info.units[u]] = static_cast<int32_t>(u);
  std::vector<double> sums(info.units.size() * n_cells);
  for (size_t i = 0; i < choices.size(); ++i) {
    sums[static_cast<size_t>(place[choices.unit[i]]) * n_cells +
         static_cast<size_t>(choices.first[i]) * cell.n_experts + choices.second[i]] += 1;
  }
  const int64_t stratum = cell.n_units;
  const auto intervals = BootstrapStatistics(
      sums, static_cast<int>(n_cells), std::span(&stratum, 1), 1,
      [&](std::span<const double> totals, std::span<double> values) {
        const std::vector<int64_t> counts(totals.begin(), totals.end());
        values[0] = InformationOf(counts, cell.n_experts).plug_in;
      },
      KeyOfName(info.name), options, pool);
  if (!intervals.empty()) cell.interval = intervals[0];
}

// First choices of the layers used last.
class FirstChoices {
 public:
  FirstChoices(const store::Run& run, store::Database& database, const RowColumns& rows)
      : run_(run), database_(database), rows_(rows) {}

  // Valid until the next but one call.
  const std::vector<int16_t>& Get(int layer) {
    auto found = std::find_if(kept_.begin(), kept_.end(),
                              [&](const auto& entry) { return entry.first == layer; });
    if (found == kept_.end()) {
      if (kept_.size() == kLayersInMemory) kept_.pop_back();
      const LayerColumns columns = LoadLayer(run_, database_, rows_, layer);
      std::vector<int16_t> first(rows_.n_rows());
      for (size_t row = 0; row < first.size(); ++row) {
        first[row] = columns.experts[row * columns.experts_per_token];
      }
      kept_.emplace_front(layer, std::move(first));
    } else {
      kept_.splice(kept_.begin(), kept_, found);
    }
    return kept_.front().second;
  }

 private:
  const store::Run& run_;
  store::Database& database_;
  const RowColumns& rows_;
  std::list<std::pair<int, std::vector<int16_t>>> kept_;
};

int ParseLayer(const std::string& text, const char* begin, const char* end,
               const std::vector<int>& available) {
  int layer = 0;
  const auto [stop, error] = std::from_chars(begin, end, layer);
  if (error != std::errc() || stop != end) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--layers {}: expected pairs as 0:7,7:15 or layers as 0,7,15", text));
  }
  if (!std::binary_search(available.begin(), available.end(), layer)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--layers {}: the run has layers {} to {}, not {}", text,
                            available.front(), available.back(), layer));
  }
  return layer;
}

std::vector<std::pair<int, int>> ParsePairs(const std::string& text,
                                            const std::vector<int>& available) {
  std::vector<std::pair<int, int>> pairs;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const size_t colon = std::min(text.find(':', begin), end);
    const int layer = ParseLayer(text, text.data() + begin, text.data() + colon, available);
    const int other =
        ParseLayer(text, text.data() + std::min(colon + 1, end), text.data() + end, available);
    if (layer == other) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--layers {}: a pair of two different layers is needed", text));
    }
    pairs.emplace_back(layer, other);
    begin = end + 1;
  }
  return pairs;
}

std::vector<std::pair<int, int>> AllPairs(const std::vector<int>& layers) {
  std::vector<std::pair<int, int>> pairs;
  for (size_t a = 0; a < layers.size(); ++a) {
    for (size_t b = a + 1; b < layers.size(); ++b) pairs.emplace_back(layers[a], layers[b]);
  }
  return pairs;
}

}  // namespace

MutualInformation InformationOf(const std::vector<int64_t>& counts, int n_columns) {
  std::vector<int64_t> of_row(counts.size() / n_columns), of_column(n_columns);
  int64_t total = 0, n_filled = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    of_row[i / n_columns] += counts[i];
    of_column[i % n_columns] += counts[i];
    total += counts[i];
    n_filled += counts[i] > 0;
  }
  if (total == 0) return {std::nan(""), std::nan("")};
  const double n = static_cast<double>(total);
  const double bits =
      std::log2(n) + (Log2Terms(counts) - Log2Terms(of_row) - Log2Terms(of_column)) / n;
  const auto is_filled = [](int64_t count) { return count > 0; };
  const auto n_rows = std::count_if(of_row.begin(), of_row.end(), is_filled);
  const auto n_filled_columns = std::count_if(of_column.begin(), of_column.end(), is_filled);
  const double bias =
      static_cast<double>(n_filled - n_rows - n_filled_columns + 1) / (2 * n * std::log(2.0));
  return {std::max(0.0, bits), bits - bias};
}

std::vector<CrossLayerCell> ComputeCrossLayer(const RowColumns& rows, int n_experts,
                                              std::pair<int, int> layers,
                                              const std::vector<int16_t>& first,
                                              const std::vector<int16_t>& second,
                                              const CrossLayerOptions& options, ThreadPool& pool) {
  std::vector<CrossLayerCell> cells;
  for (const DatasetInfo& info : rows.datasets) {
    const Choices choices = Gather(rows, info, first, second);
    CrossLayerCell& cell = cells.emplace_back();
    cell.dataset = info.name;
    cell.layer = layers.first;
    cell.other = layers.second;
    cell.n_experts = n_experts;
    cell.rows = static_cast<int64_t>(choices.size());
    cell.counts.resize(static_cast<size_t>(n_experts) * n_experts);
    CountShifted(choices, nullptr, 0, choices.size(), 0, n_experts, cell.counts);
    cell.information = InformationOf(cell.counts, n_experts);
    const uint64_t key = Combine(Combine(options.bootstrap.seed, KeyOfName(info.name)),
                                 Combine(layers.first, layers.second));
    AddShiftNull(choices, options, Combine(key, 1), pool, cell);
    AddGivenToken(choices, options, Combine(key, 2), pool, cell);
    AddInterval(choices, info, rows.units.size(), options.bootstrap, pool, cell);
  }
  return cells;
}

std::vector<std::pair<int, int>> ParseLayerPairs(const std::string& text,
                                                 const std::vector<int>& available) {
  if (available.size() < 2) {
    throw Error(ErrorKind::kBadInput, "two layers with routes are needed to compare layers");
  }
  if (text.find(':') != std::string::npos) return ParsePairs(text, available);
  std::vector<std::pair<int, int>> pairs;
  if (text.empty()) {
    for (size_t l = 0; l + 1 < available.size(); ++l) {
      pairs.emplace_back(available[l], available[l + 1]);
    }
  }
  for (const auto& pair : AllPairs(ParseLayers(text, available))) {
    if (std::find(pairs.begin(), pairs.end(), pair) == pairs.end()) pairs.push_back(pair);
  }
  if (pairs.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--layers {}: at least two layers are needed", text));
  }
  return pairs;
}

std::vector<CrossLayerCell> CrossLayerTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows,
                                            const std::vector<std::pair<int, int>>& layers,
                                            const CrossLayerOptions& options, ThreadPool& pool) {
  RequireRoutes(run);
  FirstChoices first_choices(run, database, rows);
  std::vector<CrossLayerCell> cells;
  for (const auto& pair : layers) {
    const auto& first = first_choices.Get(pair.first);
    const auto& second = first_choices.Get(pair.second);
    auto more =
        ComputeCrossLayer(rows, run.description().n_experts, pair, first, second, options, pool);
    std::move(more.begin(), more.end(), std::back_inserter(cells));
  }
  return cells;
}

}  // namespace moescope::study
