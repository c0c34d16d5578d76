// Cells of a FigureTable as JSON values.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "study/figures/figure_table.h"

namespace moescope::study {

nlohmann::ordered_json CellJson(const Cell& cell);

}  // namespace moescope::study
