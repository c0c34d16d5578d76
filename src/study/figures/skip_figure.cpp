#include "study/figures/skip_figure.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {

FigureTable SkipFigure(const std::vector<SkipCell>& cells) {
  FigureTable table;
  table.figure = "skip";
  table.columns = {"dataset",    "layer",        "rule",           "beta",   "share",
                   "work_saved", "median_ratio", "dropped",        "tokens", "share_low",
                   "share_high", "units",        "why_no_interval"};
  for (const SkipCell& cell : cells) {
    table.rows.push_back({cell.dataset, int64_t{cell.layer}, cell.is_auto ? "auto" : "given",
                          Number(cell.beta), Number(cell.share), Number(cell.work_saved),
                          Number(cell.median_ratio), cell.dropped, cell.tokens, Low(cell.interval),
                          High(cell.interval), cell.n_units, TextOrNull(cell.why_no_interval)});
  }
  return table;
}

std::string SkipText(const std::vector<SkipCell>& cells, const TerminalStyle&) {
  TextTable table;
  table.AddColumn("data set", TextTable::Align::kLeft);
  for (const char* heading :
       {"layer", "beta", "", "dropped", "95 %", "work saved", "median", "tokens"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", TextTable::Align::kLeft);
  int layer = cells.empty() ? 0 : cells.front().layer;
  for (const SkipCell& cell : cells) {
    if (cell.layer != std::exchange(layer, cell.layer)) table.AddGap();
    table.AddRow({Printable(cell.dataset), fmt::format("{}", cell.layer), RealText(cell.beta, 4),
                  cell.is_auto ? "auto" : "", Percent(cell.share), PercentInterval(cell.interval),
                  Percent(cell.work_saved), RealText(cell.median_ratio, 4),
                  FormatCount(static_cast<uint64_t>(cell.tokens)),
                  Bar(std::isfinite(cell.share) ? cell.share : 0, 20)});
  }
  return "Tokens, in percent, whose last expert would be dropped: its weight is below beta times "
         "the "
         "first's.\nauto: the layer's median of that ratio, all data sets together. median: of the "
         "data set.\n\n" +
         table.Format() + "\n" + WhyLines(cells);
}

}  // namespace moescope::study
