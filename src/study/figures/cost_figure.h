// What tokens cost over experts and batches, as rows and for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"
#include "study/simulate/cost.h"

namespace moescope::study {

FigureTable CostFigure(const std::vector<CostCell>& cells, const MachineRates& machine,
                       const CostOptions& options);
std::string CostText(const std::vector<CostCell>& cells, const MachineRates& machine,
                     const CostOptions& options);

}  // namespace moescope::study
