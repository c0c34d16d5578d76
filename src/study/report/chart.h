// Figures as charts: Vega-Lite specifications made from the templates in web/charts, which the page
// and the pictures of `figure --svg` share. How a template is written: docs/adding-a-figure.md.
#pragma once

#include <string>

#include "study/figures/figure_table.h"

namespace moescope::study {

// Whether web/charts has a chart of this figure ("7", "domains").
bool HasChart(const std::string& figure);
// The figures that have one, in alphabetical order: "10, 7, 9, affinity".
std::string FiguresWithChart();

// The charts of a figure for the page, without their rows: a JSON array of
//   {"name", "table": "rows" or a further list, "panels": [column], "width", "spec"}
// One chart is drawn for each combination of values that the rows have in the panel columns;
// "{{column}}" in the title of `spec` stands for its value. Empty when there is no template.
std::string PageCharts(const FigureTable& table, const Statement& statement);

// One Vega-Lite specification with its rows inside: all panels of all charts of a figure under one
// heading, with the statement below it.
// Requires: HasChart(table.figure). Throws Error(kBadInput) when there is nothing to draw.
std::string PictureSpec(const FigureTable& table, const Statement& statement,
                        const std::string& heading);

}  // namespace moescope::study
