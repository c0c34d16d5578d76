// What skipping the last expert saves, as rows and for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"
#include "study/simulate/skip.h"

namespace moescope::study {

FigureTable SkipFigure(const std::vector<SkipCell>& cells);
std::string SkipText(const std::vector<SkipCell>& cells, const TerminalStyle& style);

}  // namespace moescope::study
