// Caches of experts as rows, and as tables of percents for terminals.
#pragma once

#include <string>
#include <vector>

#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"
#include "study/simulate/cache.h"

namespace moescope::study {

FigureTable CacheFigure(const std::vector<CacheCell>& cells, const CacheOptions& options);
// Requires: cells as SimulateCaches gives them, layer after layer.
std::string CacheText(const std::vector<CacheCell>& cells, const CacheOptions& options,
                      const TerminalStyle& style);

}  // namespace moescope::study
