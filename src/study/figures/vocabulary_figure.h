// Vocabulary specialisation, as rows and for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/vocabulary_specialisation.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

FigureTable VocabularyFigure(const std::vector<VocabularyCell>& cells, int64_t min_count);
std::string VocabularyText(const std::vector<VocabularyCell>& cells, int64_t min_count,
                           const TerminalStyle& style);

}  // namespace moescope::study
