#include "study/figures/cache_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr int kBarWidth = 20;

const char* BudgetName(CacheBudget budget) {
  return budget == CacheBudget::kLayer ? "layer" : "global";
}
const char* OrderName(CacheOrder order) {
  return order == CacheOrder::kStream ? "stream" : "sequences";
}

std::string CacheName(const CacheCell& cell) {
  return cell.layer == kAllLayers ? "all layers" : fmt::format("layer {}", cell.layer);
}

// Belady's hits already stand beside the first policy.
bool IsBoundAgain(std::span<const CacheCell> cells, size_t at) {
  return cells[at].rule == routing::EvictionRule::kBelady && cells[at].rule != cells.front().rule;
}

// Of one data set and layer: a line a size, a column a policy; a bar of the first one.
//   cells  [policies, sizes]
std::string SizesTable(std::span<const CacheCell> cells, size_t n_sizes) {
  TextTable table;
  table.AddColumn("experts");
  for (size_t at = 0; at < cells.size(); at += n_sizes) {
    if (IsBoundAgain(cells, at)) continue;
    table.AddColumn(routing::NameOf(cells[at].rule));
    if (at == 0) {
      table.AddColumn("95 %");
      table.AddColumn("shuffled");
      table.AddColumn("bound");
    }
  }
  table.AddColumn("", TextTable::Align::kLeft);
  for (size_t s = 0; s < n_sizes; ++s) {
    std::vector<std::string> line = {fmt::format("{}", cells[s].size)};
    for (size_t at = s; at < cells.size(); at += n_sizes) {
      if (IsBoundAgain(cells, at)) continue;
      line.push_back(Percent(cells[at].hit));
      if (at != s) continue;
      line.push_back(PercentInterval(cells[at].interval));
      line.push_back(Percent(cells[at].shuffled));
      line.push_back(Percent(cells[at].belady));
    }
    line.push_back(Bar(std::isfinite(cells[s].hit) ? cells[s].hit : 0, kBarWidth));
    table.AddRow(std::move(line));
  }
  return table.Format();
}

NamedRows PrefetchRows(const std::vector<PrefetchCell>& cells) {
  NamedRows list = {"prefetch",
                    {"dataset", "from_layer", "layer", "size", "prefetched", "recall",
                     "recall_null_popular", "lru_hit", "hit", "hit_null_popular", "lookups"},
                    {}};
  for (const PrefetchCell& cell : cells) {
    list.rows.push_back({cell.dataset, int64_t{cell.from_layer}, int64_t{cell.layer},
                         int64_t{cell.size}, int64_t{cell.n_prefetched}, Number(cell.recall),
                         Number(cell.recall_popular), Number(cell.lru_hit), Number(cell.hit),
                         Number(cell.hit_popular), cell.lookups});
  }
  return list;
}

// Beside the middle one of the cache sizes; --json has them all.
std::string PrefetchText(const std::vector<PrefetchCell>& cells, const CacheOptions& options) {
  if (cells.empty()) return "";
  const int size = options.sizes[(options.sizes.size() - 1) / 2];
  TextTable table;
  table.AddColumn("data set", TextTable::Align::kLeft);
  for (const char* heading :
       {"layers", "recall", "popular", "lru", "and prefetched", "or popular"}) {
    table.AddColumn(heading);
  }
  for (const PrefetchCell& cell : cells) {
    if (cell.size != size) continue;
    table.AddRow({Printable(cell.dataset), fmt::format("{}-{}", cell.from_layer, cell.layer),
                  Percent(cell.recall), Percent(cell.recall_popular), Percent(cell.lru_hit),
                  Percent(cell.hit), Percent(cell.hit_popular)});
  }
  return fmt::format(
      "\nPrefetch: for each token the {} experts that most often follow its first choice at the "
      "layer before,\nlearned on the other half of the units. recall: of the experts needed; "
      "popular: the most used ones\ninstead. With them beside an LRU cache of {}:\n\n{}",
      cells.front().n_prefetched, size, table.Format());
}

}  // namespace

FigureTable CacheFigure(const std::vector<CacheCell>& cells,
                        const std::vector<PrefetchCell>& prefetch, const CacheOptions& options) {
  FigureTable table;
  table.figure = "cache";
  table.about = {{"budget", BudgetName(options.budget)}, {"order", OrderName(options.order)}};
  table.columns = {"dataset",        "cache",       "layer",
                   "policy",         "size",        "hit",
                   "hit_low",        "hit_high",    "hit_null_shuffle",
                   "hit_belady",     "warm_hit",    "lookups",
                   "hits",           "cold_misses", "units",
                   "why_no_interval"};
  for (const CacheCell& cell : cells) {
    table.rows.push_back({cell.dataset, CacheName(cell),
                          cell.layer == kAllLayers ? Cell() : Cell(int64_t{cell.layer}),
                          routing::NameOf(cell.rule), int64_t{cell.size}, Number(cell.hit),
                          Low(cell.interval), High(cell.interval), Number(cell.shuffled),
                          Number(cell.belady), Number(cell.warm_hit), cell.lookups, cell.hits,
                          cell.cold_misses, cell.n_units, TextOrNull(cell.why_no_interval)});
  }
  table.more = {PrefetchRows(prefetch)};
  return table;
}

std::string CacheText(const std::vector<CacheCell>& cells,
                      const std::vector<PrefetchCell>& prefetch, const CacheOptions& options,
                      const TerminalStyle&) {
  std::string text = fmt::format(
      "Hits of a cache of experts, percent of lookups; {}, {}.\nShuffled: {} on the same decisions "
      "in random order within their sequences. Bound: Belady's,\nwhich knows the future; no demand "
      "policy has more hits.\n",
      options.budget == CacheBudget::kLayer ? "one for each layer" : "one for all layers",
      options.order == CacheOrder::kStream ? "kept from sequence to sequence"
                                           : "empty at the start of each sequence",
      routing::NameOf(options.rules.front()));
  const size_t n_sizes = options.sizes.size(), n_group = n_sizes * options.rules.size();
  for (size_t at = 0; at < cells.size(); at += n_group) {
    const CacheCell& cell = cells[at];
    text += fmt::format("\n{}, {}: {} lookups, {} of them first uses\n\n{}", CacheName(cell),
                        Printable(cell.dataset), FormatCount(static_cast<uint64_t>(cell.lookups)),
                        FormatCount(static_cast<uint64_t>(cell.cold_misses)),
                        SizesTable(std::span(cells).subspan(at, n_group), n_sizes));
  }
  return text + PrefetchText(prefetch, options) + "\n" + WhyLines(cells);
}

}  // namespace moescope::study
