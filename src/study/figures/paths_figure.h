// Paths of first choices as rows (with links for a flow diagram) and on a terminal.
#pragma once

#include <string>

#include "study/analysis/paths.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// "paths": a row per path; in JSON also "links".
//   what  what the rows were restricted to ("token 'def'"); "": nothing
FigureTable PathsFigure(const Paths& paths, const std::string& what);
std::string PathsText(const Paths& paths, const std::string& what, const TerminalStyle& style);

}  // namespace moescope::study
