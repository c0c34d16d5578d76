// Effects of interventions: as rows, and on a terminal as a table with bars and a heat map.
#pragma once

#include <string>
#include <vector>

#include "routing/intervention.h"
#include "study/analysis/ablation_table.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// Where an intervention holds, in words: "expert 3, all layers", "layer 5".
std::string PlaceText(const routing::Intervention& intervention, const routing::RoutedModel& model);

// `interventions`: what each branch of the rows ran under.
FigureTable AblationFigure(const std::vector<AblationRow>& rows,
                           const std::vector<routing::Intervention>& interventions,
                           const routing::RoutedModel& model);
// Per mode: single cells as a heat map of layers and experts with the largest below it, anything
// else line by line.
std::string AblationText(const std::vector<AblationRow>& rows,
                         const std::vector<routing::Intervention>& interventions,
                         const routing::RoutedModel& model, const TerminalStyle& style);

}  // namespace moescope::study
