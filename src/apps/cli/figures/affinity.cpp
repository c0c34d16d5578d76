// Affinity: which experts a group of data sets prefers over the others.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/figures/figure.h"
#include "base/error.h"
#include "study/figures/affinity_figure.h"

namespace moescope::cli {
namespace {

struct AffinityArguments {
  std::string group, against;
  int n_shown = 20;
  study::AffinityOptions options;
};

// "a,b" to names; empty ones are left out.
std::vector<std::string> SplitNames(const std::string& text) {
  std::vector<std::string> names(1);
  for (char c : text) {
    if (c == ',') {
      names.emplace_back();
    } else {
      names.back() += c;
    }
  }
  std::erase(names, "");
  return names;
}

void ReadGroup(const std::string& text, study::AffinityOptions& options) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || SplitNames(text.substr(equals + 1)).empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--group {}: expected NAME=SET,SET, as code=python,latex", text));
  }
  options.group_name = text.substr(0, equals);
  options.group = SplitNames(text.substr(equals + 1));
}

}  // namespace

FigureFunction AddAffinity(CLI::App& app) {
  auto arguments = std::make_shared<AffinityArguments>();
  study::AffinityOptions& options = arguments->options;
  app.get_option("--layers")->description("Layers: 0,3 or all (default)");
  app.add_option("--group", arguments->group,
                 "NAME=SET,SET: the data sets; default: names with code, python or github");
  app.add_option("--against", arguments->against, "SET,SET: compared with; default: all others");
  app.add_option("--permutations", options.n_permutations, "Permutations of labels over units")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("--min-occurrences", options.min_occurrences,
                 "Of a token id on either side, to count in the token control")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--top", arguments->n_shown, "Cells shown in the terminal")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  return [arguments](FigureSession& session) -> Figure {
    study::AffinityOptions chosen = arguments->options;
    chosen.bootstrap = session.options.bootstrap;
    chosen.against = SplitNames(arguments->against);
    if (!arguments->group.empty()) ReadGroup(arguments->group, chosen);
    const std::vector<int> layers = session.options.layers.empty()
                                        ? session.run.description().LayerNumbers()
                                        : session.Layers();
    const study::Affinity affinity = study::AffinityTable(
        session.run, *session.database, session.rows, layers, chosen, session.pool);
    return {study::AffinityFigure(affinity),
            study::AffinityText(affinity, arguments->n_shown, session.style)};
  };
}

}  // namespace moescope::cli
