// The experts that fine-tuning would train, as rows and for a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/figures/figure_table.h"
#include "study/figures/terminal.h"
#include "study/simulate/esft.h"

namespace moescope::study {

// A row for each layer and expert.
FigureTable EsftFigure(const std::vector<EsftLayer>& layers, EsftScore score, double share);
std::string EsftText(const std::vector<EsftLayer>& layers, EsftScore score, double share,
                     const TerminalStyle& style);

}  // namespace moescope::study
