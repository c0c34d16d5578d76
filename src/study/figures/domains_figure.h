// Distances between data sets as rows, and as text for a terminal.
#pragma once

#include <string>

#include "study/analysis/domains.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// `other` is null for the distance from the rest.
FigureTable DomainsFigure(const Domains& domains);
// Each data set against the rest beside its nulls, layer by layer, then the matrix of each layer.
std::string DomainsText(const Domains& domains, const TerminalStyle& style);

}  // namespace moescope::study
