// Whether indentation goes to one expert, as rows and for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/indentation.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

FigureTable IndentationFigure(const std::vector<IndentationCell>& cells);
std::string IndentationText(const std::vector<IndentationCell>& cells, const TerminalStyle& style);

}  // namespace moescope::study
