// Repetition as curves: over layers (figure 10 of the Mixtral paper) and over the distance of the
// two tokens. Rows are those of Table 5.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/repetition.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// `cells` at several layers, one lag. Two panels: first choice, any choice; a line a data set and
// two dashed nulls, the uniform one and the marginal one averaged over data sets; then numbers.
std::string RepetitionByLayerText(const std::vector<RepetitionCell>& cells,
                                  const TerminalStyle& style);

// `cells` at several lags, as RepetitionLagTable has them: a row for each data set and layer.
FigureTable RepetitionByLagFigure(const std::vector<RepetitionCell>& cells, bool differing_tokens);
std::string RepetitionByLagText(const std::vector<RepetitionCell>& cells,
                                const TerminalStyle& style);

}  // namespace moescope::study
