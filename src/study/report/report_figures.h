// The figures of a page that come as tables with charts: each analysis once, its rows as --json has
// them, the command that prints them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/repetition.h"
#include "study/analysis/statement.h"
#include "study/figures/figure_table.h"

namespace moescope::study {

// Six significant digits: more than a chart, a table or a reader can tell apart, half the bytes.
nlohmann::json RoundedJson(double value);

// {"columns": [...], "rows": [[...]]}: the same columns as the figure's --json, rows as arrays.
nlohmann::json TableJson(const FigureTable& table);

// One figure of the page: TableJson with "about", further lists under "more", "charts" (chart.h)
// and "command".
nlohmann::json FigureBlock(const FigureTable& table, const Statement& statement,
                           const std::string& command);

struct ReportFiguresOptions {
  std::vector<int> layers;  // of analyses that take long for all
  std::string run;          // as commands name it: one word of a shell
  BootstrapOptions bootstrap;
};

// {"figures": {name: block}, "claims": block, "absent": [[figure, why]]}: everything about routes
// beyond shares and repetition. `repetition` has lag 1 at every layer.
// Throws Error(kCorrupt) for a damaged run, kCancelled.
nlohmann::json RouteFigures(const store::Run& run, store::Database& database,
                            const RowColumns& rows, const Statement& statement,
                            const std::vector<RepetitionCell>& repetition,
                            const ReportFiguresOptions& options, ThreadPool& pool);

}  // namespace moescope::study
