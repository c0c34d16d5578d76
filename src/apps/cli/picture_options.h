// --svg, --png and --spec: the files a command draws its chart to.
#pragma once

#include <string>

#include "study/figures/figure_table.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct PictureFiles {
  std::string svg, png, spec;  // "": not asked for
};
void AddPictureOptions(CLI::App& app, PictureFiles& files);

// Writes the pictures asked for; false where none is.
bool WritePictures(const PictureFiles& files, const study::FigureTable& table,
                   const study::Statement& statement, const std::string& heading);

}  // namespace moescope::cli
