// Caches of experts as rows, and as tables of percents for terminals.
#pragma once

#include <string>
#include <vector>

#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"
#include "study/simulate/cache.h"
#include "study/simulate/prefetch.h"

namespace moescope::study {

// prefetch: the further list of that name; may be empty.
FigureTable CacheFigure(const std::vector<CacheCell>& cells,
                        const std::vector<PrefetchCell>& prefetch, const CacheOptions& options);
// Requires: cells as SimulateCaches gives them, layer after layer.
std::string CacheText(const std::vector<CacheCell>& cells,
                      const std::vector<PrefetchCell>& prefetch, const CacheOptions& options,
                      const TerminalStyle& style);

}  // namespace moescope::study
