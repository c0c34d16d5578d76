// Whether the pieces of words go to one expert, as rows and for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/word_consistency.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

FigureTable WordsFigure(const std::vector<WordCell>& cells);
std::string WordsText(const std::vector<WordCell>& cells, const TerminalStyle& style);

FigureTable WordExpertsFigure(const std::vector<WordExpertCell>& cells);
std::string WordExpertsText(const std::vector<WordExpertCell>& cells, const TerminalStyle& style);

}  // namespace moescope::study
