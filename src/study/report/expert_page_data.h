// What the page of `ablate` or `audit` shows: its figure as one JSON block. The page's side of it:
// web/src/experts; its form: docs/report.md.
#pragma once

#include <string>
#include <vector>

#include "study/figures/figure_table.h"
#include "study/report/run_json.h"

namespace moescope::study {

struct ExpertPage {
  std::string title;
  std::vector<std::string> sentences;  // what stands out, below the title
  std::string command;                 // that made the page, for a shell
};

// `table`: AblationDrawing or AuditFigure.
std::string ExpertPageData(const ExpertPage& page, const FigureTable& table,
                           const Statement& statement, const std::vector<DatasetCounts>& datasets);

}  // namespace moescope::study
