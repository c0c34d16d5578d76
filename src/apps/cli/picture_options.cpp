#include "apps/cli/picture_options.h"

#include <CLI/CLI.hpp>

#include "apps/cli/picture.h"
#include "base/platform/durable_file.h"
#include "study/report/chart.h"

namespace moescope::cli {

void AddPictureOptions(CLI::App& app, PictureFiles& files) {
  app.add_option("--svg", files.svg, "Write the chart as SVG (needs vl-convert-python)");
  app.add_option("--png", files.png, "Write the chart as PNG (needs vl-convert-python)");
  app.add_option("--spec", files.spec, "Write the chart as a Vega-Lite specification");
}

bool WritePictures(const PictureFiles& files, const study::FigureTable& table,
                   const study::Statement& statement, const std::string& heading) {
  if (files.svg.empty() && files.png.empty() && files.spec.empty()) return false;
  const std::string spec = study::PictureSpec(table, statement, heading);
  if (!files.spec.empty()) ReplaceFile(files.spec, AsBytes(spec));
  if (!files.svg.empty()) WritePicture(spec, PictureType::kSvg, files.svg);
  if (!files.png.empty()) WritePicture(spec, PictureType::kPng, files.png);
  return true;
}

}  // namespace moescope::cli
