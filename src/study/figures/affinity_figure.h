// Experts that a group of data sets prefers, as rows and as text for a terminal.
#pragma once

#include <string>

#include "study/analysis/affinity.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

FigureTable AffinityFigure(const Affinity& affinity);
// The cells with the smallest p, `n_shown` of them, and how many hold under control and replicate.
std::string AffinityText(const Affinity& affinity, int n_shown, const TerminalStyle& style);

}  // namespace moescope::study
