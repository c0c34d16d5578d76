#include "study/figures/cost_figure.h"

#include <fmt/format.h>

#include <utility>

#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {

FigureTable CostFigure(const std::vector<CostCell>& cells, const MachineRates& machine,
                       const CostOptions& options) {
  FigureTable table;
  table.figure = "cost";
  table.about = {{"dram_gb_per_s", Number(machine.dram_gb_per_s)},
                 {"gflops", Number(machine.gflops)},
                 {"dram_share", Number(machine.dram_share)},
                 {"flops_share", Number(machine.flops_share)},
                 {"context", int64_t{options.context}}};
  table.columns = {"kind",
                   "routing",
                   "experts_per_token",
                   "batch",
                   "distinct",
                   "bytes_per_token",
                   "flops_per_token",
                   "bound_tokens_per_s",
                   "predicted_tokens_per_s",
                   "limit",
                   "batches"};
  for (const CostCell& cell : cells) {
    table.rows.push_back({NameOf(cell.kind), NameOf(cell.routing), int64_t{cell.experts_per_token},
                          int64_t{cell.batch}, Number(cell.distinct), Number(cell.bytes_per_token),
                          Number(cell.flops_per_token), Number(cell.bound), Number(cell.predicted),
                          cell.limit, cell.n_batches});
  }
  return table;
}

std::string CostText(const std::vector<CostCell>& cells, const MachineRates& machine,
                     const CostOptions& options) {
  TextTable table;
  table.AddColumn("batches", TextTable::Align::kLeft);
  table.AddColumn("routing", TextTable::Align::kLeft);
  for (const char* heading : {"K", "batch", "experts a layer", "MB a token", "MFLOP a token",
                              "bound, tokens/s", "predicted"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("limit", TextTable::Align::kLeft);
  std::pair<BatchKind, int> group{BatchKind::kDecode,
                                  cells.empty() ? 0 : cells[0].experts_per_token};
  for (const CostCell& cell : cells) {
    const std::pair<BatchKind, int> of_cell{cell.kind, cell.experts_per_token};
    if (of_cell != std::exchange(group, of_cell)) table.AddGap();
    table.AddRow({NameOf(cell.kind), NameOf(cell.routing),
                  fmt::format("{}", cell.experts_per_token), fmt::format("{}", cell.batch),
                  RealText(cell.distinct, 2), RealText(cell.bytes_per_token / 1e6, 2),
                  RealText(cell.flops_per_token / 1e6, 1), RealText(cell.bound, 1),
                  RealText(cell.predicted, 1), cell.limit});
  }
  return fmt::format(
      "What a token reads and computes, {} positions back, and the rate that follows.\nThe "
      "machine: "
      "{:.1f} GB/s and {:.1f} GFLOPS; predicted at {:.0f} and {:.0f} % of them.\n\n{}",
      options.context, machine.dram_gb_per_s, machine.gflops, 100 * machine.dram_share,
      100 * machine.flops_share, table.Format());
}

}  // namespace moescope::study
