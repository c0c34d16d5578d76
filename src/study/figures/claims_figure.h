// Claims and their verdicts as rows, and as text for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/claims.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

FigureTable ClaimsFigure(const std::vector<Claim>& claims);
std::string ClaimsText(const std::vector<Claim>& claims, const TerminalStyle& style);

}  // namespace moescope::study
