// What explains first choices, as rows and as text for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/explained.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

FigureTable ExplainedFigure(const std::vector<ExplainedShare>& shares);
std::string ExplainedText(const std::vector<ExplainedShare>& shares, const TerminalStyle& style);

}  // namespace moescope::study
