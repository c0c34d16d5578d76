// The card of one expert, as rows and on a terminal.
#pragma once

#include <string>

#include "study/analysis/expert_card.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// "card": a row per context; in JSON also "tokens", "datasets" and "neighbours".
FigureTable CardFigure(const ExpertCard& card);
std::string CardText(const ExpertCard& card, const TerminalStyle& style);

}  // namespace moescope::study
