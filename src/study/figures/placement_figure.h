// Placements of experts on GPUs, as rows and for a terminal.
#pragma once

#include <string>

#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"
#include "study/simulate/placement.h"

namespace moescope::study {

// Rows: a layer, kind of batch and placement. Further lists: `over` (shares of batches beyond each
// capacity), `capacity` (what experts refuse), `eplb` (the expert at each place).
FigureTable PlacementFigure(const PlacementResult& result, const PlacementOptions& options);
std::string PlacementText(const PlacementResult& result, const PlacementOptions& options,
                          const TerminalStyle& style);

}  // namespace moescope::study
