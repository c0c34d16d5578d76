// Two runs of the same text set against each other, as rows and on a terminal.
#pragma once

#include <string>

#include "study/analysis/run_diff.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// "diff": a row per layer and data set (null: all); in JSON also "losses" and "shares".
FigureTable DiffFigure(const RunDiff& diff);
std::string DiffText(const RunDiff& diff, const TerminalStyle& style);
// Statements of both runs: what agrees once, what differs under A and B.
std::string DiffStatementText(const Statement& a, const Statement& b, const TerminalStyle& style);

}  // namespace moescope::study
