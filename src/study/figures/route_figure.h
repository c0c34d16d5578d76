// Routes of words, and path distances of pairs of them, as rows and on a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/path_distance.h"
#include "study/analysis/word_routes.h"
#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"

namespace moescope::study {

// "route": a row per word, layer, expert; in JSON also "words" and "paths".
FigureTable WordRoutesFigure(const std::vector<WordRoutes>& words, const std::vector<int>& layers);
// A strip a layer: as wide as the share of each expert, in its colour.
std::string WordRoutesText(const std::vector<WordRoutes>& words, const std::vector<int>& layers,
                           const TerminalStyle& style);

// "route_pairs": a row per pair.
FigureTable PathDistancesFigure(const std::vector<PairDistance>& pairs,
                                const std::vector<int>& layers, const PathDistanceOptions& options);
std::string PathDistancesText(const std::vector<PairDistance>& pairs,
                              const std::vector<int>& layers, const PathDistanceOptions& options,
                              const TerminalStyle& style);

// "2 > 5 > 1".
std::string PathName(const std::vector<int16_t>& experts);

}  // namespace moescope::study
