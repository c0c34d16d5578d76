// Which experts are chosen together, as rows and as a heat table.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/coactivation.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

FigureTable CoactivationFigure(const std::vector<CoactivationCell>& cells, bool as_published);
// A table of experts by experts for each cell; where it does not fit the width, the pairs that
// differ most from what is expected.
std::string CoactivationText(const std::vector<CoactivationCell>& cells, bool as_published,
                             const TerminalStyle& style);

}  // namespace moescope::study
