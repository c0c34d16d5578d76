// Effects of interventions as charts draw them: the rows of the figure with what all data sets
// together are called, and beside them short lists of the largest effects.
#pragma once

#include <string>
#include <vector>

#include "study/figures/ablation_figure.h"

namespace moescope::study {

inline constexpr const char* kAllTogether = "all together";

// The rows of AblationFigure, `dataset` kAllTogether where they have none, and two lists:
//   largest     of each mode and data set the interventions with the largest effects, at most
//               kMostDrawn, largest first; with `where` ("expert 3, all layers")
//   by_dataset  those of all together in each data set; empty with a single data set
// `scale_low` and `scale_high` are the largest |effect| on either side of zero, so that equal
// effects of either sign are equally strong in colour, and in all panels.
FigureTable AblationDrawing(const std::vector<AblationRow>& rows,
                            const std::vector<routing::Intervention>& interventions,
                            const routing::RoutedModel& model);
inline constexpr size_t kMostDrawn = 24;

// A sentence a mode: what costs most, and how much of that the next and the median cost.
std::vector<std::string> AblationSentences(const std::vector<AblationRow>& rows,
                                           const std::vector<routing::Intervention>& interventions,
                                           const routing::RoutedModel& model);

}  // namespace moescope::study
