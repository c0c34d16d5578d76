// Lines in a panel of braille dots, two by four in a character: curves over layers on a terminal.
#pragma once

#include <string>
#include <vector>

namespace moescope::study {

struct PlotLine {
  std::vector<double> values;  // one for each place on the x axis; NaN: a gap
  int colour = 0;              // of the palette, see palette.h
  bool dashed = false;         // a null: dots with gaps, without a colour
};

struct PlotSize {
  int width = 60;  // characters of the panel, without its axis
  int height = 10;
};

// The panel with its y axis in percent and `x_labels` beneath, as many as fit. Where lines of
// several colours meet in a character, the last one gives the colour. "" when no value is finite.
// Requires: every line has as many values as there are labels.
std::string LinePlot(const std::vector<PlotLine>& lines, const std::vector<std::string>& x_labels,
                     const PlotSize& size, bool colour);

}  // namespace moescope::study
