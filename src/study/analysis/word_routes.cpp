#include "study/analysis/word_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/route_paths.h"
#include "study/analysis/unit_strata.h"

namespace moescope::study {
namespace {

// A word while layers go by.
struct Word {
  const Occurrences* occurrences;
  std::vector<int32_t> unit;    // [n] place of each occurrence's unit among the word's units
  std::vector<int64_t> strata;  // units of each stratum
  RoutePaths paths;
  std::vector<std::vector<double>> first_shares;  // [layer][expert], of rows with a path
};

// Numbers the units of a word, and counts documents.
Word MakeWord(const RowColumns& rows, const Occurrences& occurrences, WordRoutes& routes) {
  Word word = {&occurrences, {}, {}, RoutePaths(static_cast<int64_t>(occurrences.rows.size())), {}};
  const std::vector<int32_t> documents = DocumentsOfRows(rows, occurrences.rows);
  std::vector<uint8_t> is_used(rows.units.size());
  for (int32_t d : documents) is_used[rows.documents[d].unit] = 1;
  const UnitStrata units = StratifyUnits(rows, is_used);
  word.strata = units.strata;
  for (int32_t d : documents) word.unit.push_back(units.place[rows.documents[d].unit]);
  routes.word = occurrences.text;
  routes.occurrences = static_cast<int64_t>(occurrences.rows.size());
  routes.documents =
      static_cast<int64_t>(std::set<int32_t>(documents.begin(), documents.end()).size());
  routes.n_units = units.n_units;
  routes.why_no_interval = WhyNoInterval(units.n_units, "");
  return word;
}

void FindLastPiece(const RowColumns& rows, const std::vector<std::string>& vocabulary,
                   const Occurrences& occurrences, WordRoutes& routes) {
  std::map<int32_t, int64_t> counts;
  for (int32_t row : occurrences.rows) ++counts[rows.token_id[row]];
  int64_t most = 0;
  for (const auto& [id, count] : counts) {
    if (count <= most) continue;
    most = count;
    routes.last_piece = id;
  }
  if (most == 0) return;
  routes.last_piece_share = static_cast<double>(most) / static_cast<double>(routes.occurrences);
  const auto id = static_cast<size_t>(routes.last_piece);
  if (routes.last_piece >= 0 && id < vocabulary.size()) routes.last_piece_text = vocabulary[id];
}

// Shares of all assignments of the text: [n_experts].
std::vector<double> TextShares(const RowColumns& rows, const LayerColumns& layer, int dataset) {
  std::vector<int64_t> counts(layer.n_experts);
  int64_t total = 0;
  for (const DocumentRange& document : rows.documents) {
    if (dataset >= 0 && document.dataset != dataset) continue;
    const int16_t* expert = layer.experts.data() + document.first_row * layer.experts_per_token;
    for (int64_t i = 0; i < document.n_rows * layer.experts_per_token; ++i) {
      if (expert[i] < 0) continue;
      ++counts[expert[i]];
      ++total;
    }
  }
  std::vector<double> shares(layer.n_experts);
  for (int e = 0; e < layer.n_experts; ++e) {
    shares[e] = static_cast<double>(counts[e]) / static_cast<double>(std::max<int64_t>(1, total));
  }
  return shares;
}

void AddLayer(const LayerColumns& layer, const std::vector<double>& text_shares,
              const BootstrapOptions& bootstrap, ThreadPool& pool, Word& word, WordRoutes& routes) {
  const int n_slots = layer.experts_per_token, n_columns = layer.n_experts + 1;
  const std::vector<int32_t>& rows = word.occurrences->rows;
  std::vector<double> sums(static_cast<size_t>(routes.n_units) * n_columns);
  std::vector<int64_t> first(layer.n_experts), counts(n_columns);
  for (size_t i = 0; i < rows.size(); ++i) {
    const int16_t* expert = layer.experts.data() + int64_t{rows[i]} * n_slots;
    double* unit = sums.data() + static_cast<size_t>(word.unit[i]) * n_columns;
    if (expert[0] >= 0) ++first[expert[0]];
    for (int slot = 0; slot < n_slots; ++slot) {
      if (expert[slot] < 0) continue;
      unit[expert[slot]] += 1;
      unit[layer.n_experts] += 1;
      ++counts[expert[slot]];
      ++counts[layer.n_experts];
    }
  }
  std::vector<Ratio> ratios;
  for (int e = 0; e < layer.n_experts; ++e) ratios.push_back({e, layer.n_experts});
  const auto intervals = BootstrapStratifiedRatios(sums, n_columns, word.strata, ratios,
                                                   KeyOfName(routes.word), bootstrap, pool);
  int64_t n_first = 0;
  for (int64_t count : first) n_first += count;
  std::vector<double>& first_shares = word.first_shares.emplace_back();
  for (int e = 0; e < layer.n_experts; ++e) {
    WordShare share = {layer.layer, e, counts[e], first[e], std::nan(""), text_shares[e], {}};
    if (counts[layer.n_experts] > 0) {
      share.share = static_cast<double>(counts[e]) / static_cast<double>(counts[layer.n_experts]);
    }
    if (!intervals.empty()) share.interval = intervals[e];
    routes.shares.push_back(share);
    first_shares.push_back(static_cast<double>(first[e]) /
                           static_cast<double>(std::max<int64_t>(1, n_first)));
  }
  word.paths.AddLayer([&](int64_t item) { return layer.experts[int64_t{rows[item]} * n_slots]; });
}

void FinishPaths(const Word& word, int max_paths, WordRoutes& routes) {
  const std::vector<int64_t> counts = word.paths.Counts();
  routes.distinct_paths = word.paths.n_paths();
  int64_t total = 0;
  std::vector<int32_t> order(counts.size());
  for (size_t path = 0; path < counts.size(); ++path) {
    order[path] = static_cast<int32_t>(path);
    total += counts[path];
  }
  const size_t n_shown = std::min<size_t>(max_paths, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<int64_t>(n_shown), order.end(),
      [&](int32_t a, int32_t b) { return counts[a] != counts[b] ? counts[a] > counts[b] : a < b; });
  for (size_t i = 0; i < n_shown; ++i) {
    WordPath path = {word.paths.Experts(order[i]), counts[order[i]], 0, 1};
    path.share = static_cast<double>(path.count) / static_cast<double>(total);
    for (size_t l = 0; l < path.experts.size(); ++l) {
      path.independent *= word.first_shares[l][path.experts[l]];
    }
    routes.paths.push_back(std::move(path));
  }
}

}  // namespace

std::vector<WordRoutes> ComputeWordRoutes(const store::Run& run, store::Database& database,
                                          const RowColumns& rows,
                                          const std::vector<std::string>& vocabulary,
                                          const std::vector<Occurrences>& words,
                                          const std::vector<int>& layers,
                                          const WordRoutesOptions& options, ThreadPool& pool) {
  std::vector<WordRoutes> routes(words.size());
  std::vector<Word> working;
  for (size_t w = 0; w < words.size(); ++w) {
    working.push_back(MakeWord(rows, words[w], routes[w]));
    FindLastPiece(rows, vocabulary, words[w], routes[w]);
  }
  ForEachLayer("routes", run, database, rows, layers, [&](const LayerColumns& layer) {
    const std::vector<double> text_shares = TextShares(rows, layer, options.dataset);
    for (size_t w = 0; w < words.size(); ++w) {
      AddLayer(layer, text_shares, options.bootstrap, pool, working[w], routes[w]);
    }
  });
  for (size_t w = 0; w < words.size(); ++w) FinishPaths(working[w], options.max_paths, routes[w]);
  return routes;
}

std::vector<int32_t> DocumentsOfRows(const RowColumns& rows, const std::vector<int32_t>& of) {
  std::vector<int32_t> documents;
  documents.reserve(of.size());
  size_t d = 0;
  for (int32_t row : of) {
    while (rows.documents[d].first_row + rows.documents[d].n_rows <= row) ++d;
    documents.push_back(static_cast<int32_t>(d));
  }
  return documents;
}

int FindDataset(const RowColumns& rows, const std::string& name) {
  if (name.empty()) return -1;
  std::string names;
  for (size_t d = 0; d < rows.datasets.size(); ++d) {
    if (rows.datasets[d].name == name) return static_cast<int>(d);
    names += (d == 0 ? "" : ", ") + rows.datasets[d].name;
  }
  throw Error(ErrorKind::kNotFound,
              fmt::format("the run has no data set {}; it has {}", name, names));
}

void RequireTokenIds(const store::Run& run) {
  if (run.description().vocab_size > 0) return;
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("{} has no token ids: its routes were imported without them", run.directory()));
}

}  // namespace moescope::study
