// `route --minimal`: pairs of words in the same templates, run through the run's model.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/cli/figures/figure.h"
#include "study/analysis/word_index.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct MinimalOptions {
  bool minimal = false;
  std::string model, templates;  // templates "": the built-in ones
  int n_null = 0;                // 0: not given
};

// Adds --minimal, -m, --templates, --null-pairs.
void AddMinimalOptions(CLI::App& app, MinimalOptions& options);
// Throws Error(kUsage) for --minimal without a model or pairs, and for what belongs to it alone.
void CheckMinimalOptions(const MinimalOptions& options, bool has_pairs);

// Throws Error as lab::OpenTextModel, PolicyOfRun, ParseWordTemplates and TemplateRoutes.
Figure MeasureMinimalPairs(
    const MinimalOptions& options, FigureSession& session, const study::WordIndex& index,
    const std::vector<std::pair<study::Occurrences, study::Occurrences>>& pairs,
    const std::vector<int>& layers);

}  // namespace moescope::cli
