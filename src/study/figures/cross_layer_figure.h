// How much two layers' first choices say about each other, as rows and for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/cross_layer.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// `counts` is the table of expert at `layer` by expert at `other`.
FigureTable CrossLayerFigure(const std::vector<CrossLayerCell>& cells,
                             const CrossLayerOptions& options);
std::string CrossLayerText(const std::vector<CrossLayerCell>& cells,
                           const CrossLayerOptions& options, const TerminalStyle& style);

}  // namespace moescope::study
