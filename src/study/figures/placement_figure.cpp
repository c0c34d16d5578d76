#include "study/figures/placement_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;
constexpr double kFullBar = 4;  // times the mean load
constexpr int kBarWidth = 16;

bool HasGpus(const PlacementCell& cell) {
  return cell.placement != "experts";
}

Cell OfGpus(const PlacementCell& cell, double value) {
  return HasGpus(cell) ? Number(value) : Cell();
}

std::string RangeText(const PlacementCell& cell) {
  if (cell.n_placements < 2) return "";
  return RealText(cell.lowest_mean, 2) + "-" + RealText(cell.highest_mean, 2);
}

NamedRows OverRows(const PlacementResult& result, const PlacementOptions& options) {
  NamedRows list = {
      "over", {"layer", "batches", "placement", "capacity", "over", "over_null_shuffle"}, {}};
  for (const PlacementCell& cell : result.cells) {
    for (size_t c = 0; c < options.capacities.size(); ++c) {
      list.rows.push_back({int64_t{cell.layer}, NameOf(cell.kind), cell.placement,
                           options.capacities[c], Number(cell.observed.over[c]),
                           Number(cell.shuffled.over[c])});
    }
  }
  return list;
}

NamedRows CapacityRows(const PlacementResult& result) {
  NamedRows list = {"capacity",
                    {"layer", "batches", "capacity", "dropped", "rerouted", "lost",
                     "dropped_null_shuffle", "rerouted_null_shuffle", "lost_null_shuffle"},
                    {}};
  for (const CapacityCell& cell : result.capacities) {
    list.rows.push_back({int64_t{cell.layer}, NameOf(cell.kind), cell.capacity,
                         Number(cell.observed.dropped), Number(cell.observed.rerouted),
                         Number(cell.observed.lost), Number(cell.shuffled.dropped),
                         Number(cell.shuffled.rerouted), Number(cell.shuffled.lost)});
  }
  return list;
}

NamedRows EplbRows(const PlacementResult& result, const Cluster& cluster) {
  NamedRows list = {"eplb", {"layer", "place", "gpu", "node", "expert", "planned_imbalance"}, {}};
  for (const PlannedLayer& planned : result.planned) {
    for (size_t place = 0; place < planned.eplb.size(); ++place) {
      const int gpu = cluster.GpuOfPlace(static_cast<int>(place));
      list.rows.push_back({int64_t{planned.layer}, static_cast<int64_t>(place), int64_t{gpu},
                           int64_t{cluster.NodeOfGpu(gpu)}, int64_t{planned.eplb[place]},
                           Number(planned.imbalance)});
    }
  }
  return list;
}

std::string LoadsTable(const PlacementResult& result, const PlacementOptions& options) {
  TextTable table;
  table.AddColumn("layer");
  table.AddColumn("batches", kLeft);
  table.AddColumn("placement", kLeft);
  for (const char* heading : {"busiest", "lowest-highest", "shuffled", "p95"}) {
    table.AddColumn(heading);
  }
  for (double capacity : options.capacities) table.AddColumn(fmt::format("P(>{})", capacity));
  for (const char* heading : {"leave GPU", "node"}) table.AddColumn(heading);
  table.AddColumn("", kLeft);
  int layer = result.cells.front().layer;
  for (const PlacementCell& cell : result.cells) {
    if (cell.layer != std::exchange(layer, cell.layer)) table.AddGap();
    std::vector<std::string> line = {
        fmt::format("{}", cell.layer),   NameOf(cell.kind), cell.placement,
        RealText(cell.observed.mean, 2), RangeText(cell),   RealText(cell.shuffled.mean, 2),
        RealText(cell.observed.p95, 2)};
    for (double over : cell.observed.over) line.push_back(Percent(over));
    line.push_back(HasGpus(cell) ? Percent(cell.observed.leaves_gpu) : "");
    line.push_back(HasGpus(cell) ? Percent(cell.observed.leaves_node) : "");
    const double mean = std::isfinite(cell.observed.mean) ? cell.observed.mean : 0;
    line.push_back(Bar(std::min(1.0, mean / kFullBar), kBarWidth));
    table.AddRow(std::move(line));
  }
  return table.Format();
}

std::string CapacityTable(const PlacementResult& result) {
  TextTable table;
  table.AddColumn("layer");
  table.AddColumn("batches", kLeft);
  for (const char* heading :
       {"capacity", "dropped", "or rerouted", "and lost", "shuffled: dropped", "rerouted"}) {
    table.AddColumn(heading);
  }
  int layer = result.capacities.empty() ? 0 : result.capacities.front().layer;
  for (const CapacityCell& cell : result.capacities) {
    if (cell.layer != std::exchange(layer, cell.layer)) table.AddGap();
    table.AddRow({fmt::format("{}", cell.layer), NameOf(cell.kind),
                  fmt::format("{}", cell.capacity), Percent(cell.observed.dropped),
                  Percent(cell.observed.rerouted), Percent(cell.observed.lost),
                  Percent(cell.shuffled.dropped), Percent(cell.shuffled.rerouted)});
  }
  return table.Format();
}

}  // namespace

FigureTable PlacementFigure(const PlacementResult& result, const PlacementOptions& options) {
  const Cluster& cluster = options.cluster;
  FigureTable table;
  table.figure = "placement";
  table.about = {{"gpus", int64_t{cluster.n_gpus}},
                 {"nodes", int64_t{cluster.n_nodes}},
                 {"replicas", int64_t{cluster.n_replicas}},
                 {"groups", int64_t{cluster.n_groups}},
                 {"batch", int64_t{options.batch}},
                 {"measured_on_other_units", int64_t{result.is_split}}};
  table.columns = {"layer",
                   "batches",
                   "placement",
                   "imbalance",
                   "imbalance_lowest",
                   "imbalance_highest",
                   "imbalance_p95",
                   "imbalance_max",
                   "imbalance_null_shuffle",
                   "leaves_gpu",
                   "leaves_node",
                   "leaves_gpu_null_shuffle",
                   "leaves_node_null_shuffle",
                   "placements",
                   "n_batches"};
  for (const PlacementCell& cell : result.cells) {
    table.rows.push_back(
        {int64_t{cell.layer}, NameOf(cell.kind), cell.placement, Number(cell.observed.mean),
         Number(cell.lowest_mean), Number(cell.highest_mean), Number(cell.observed.p95),
         Number(cell.observed.max), Number(cell.shuffled.mean),
         OfGpus(cell, cell.observed.leaves_gpu), OfGpus(cell, cell.observed.leaves_node),
         OfGpus(cell, cell.shuffled.leaves_gpu), OfGpus(cell, cell.shuffled.leaves_node),
         int64_t{cell.n_placements}, cell.n_batches});
  }
  table.more = {OverRows(result, options), CapacityRows(result), EplbRows(result, cluster)};
  return table;
}

std::string PlacementText(const PlacementResult& result, const PlacementOptions& options,
                          const TerminalStyle&) {
  const Cluster& cluster = options.cluster;
  return fmt::format(
      "Load of the busiest over the mean, batch by batch of {} tokens: of single experts, and of "
      "{} "
      "GPUs on {} node{}\nthat hold {} experts with copies. prefill: consecutive tokens; decode: "
      "one "
      "from each of {} streams; shuffled: the\nsame decisions in random order. random: {} "
      "placements. P(>c): percent of batches beyond c.\nPlacements {}.\n\n{}\n"
      "Percent of assignments that experts refuse when a batch may give each c times the mean:\n\n"
      "{}",
      FormatCount(static_cast<uint64_t>(options.batch)), cluster.n_gpus, cluster.n_nodes,
      cluster.n_nodes == 1 ? "" : "s", cluster.n_replicas, options.batch, options.n_random,
      result.is_split ? "were made for one half of the units and measured on the other"
                      : "were made for the tokens they are measured on: there is a single unit",
      LoadsTable(result, options), CapacityTable(result));
}

}  // namespace moescope::study
