#include "apps/cli/change_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

namespace moescope::cli {

void AddChangeOptions(CLI::App& app, ChangeOptions& options) {
  app.add_option("--intervene", options.interventions,
                 "change the routing: mask, zero, drop, swap:E, top-k=N, skip:B, bias=B, "
                 "temperature=T, force=RUN or force-weights=RUN; repeatable; MODE@1:3,5:0 says "
                 "itself where it holds");
  app.add_option("--cells", options.place.cells, "of --intervene: LAYER:EXPERT,...");
  app.add_option("--expert,--experts", options.place.experts,
                 "of --intervene: experts: 3, 0,2-5 or all");
  app.add_option("--layers", options.place.layers,
                 "of --intervene: layers: 0,3-5 or all (default)");
  app.add_option("--patch", options.patches,
                 "write captured residuals over those of a layer: FOLDER/SITE@LAYER[:POSITIONS], "
                 "SITE residual_after_attention or residual_after_moe; repeatable");
  app.add_option("--add", options.additions,
                 "add a vector to the residuals that a layer hands on: "
                 "FILE.npy@LAYER[:POSITIONS][xFACTOR], layer -1 is the embedding; repeatable");
}

lab::ModelChanges ChangeOptions::Changes() const {
  return {.interventions = PlaceInterventions(interventions, place),
          .patches = patches,
          .additions = additions};
}

void PrintChanges(const lab::PlannedChanges& changes) {
  if (changes.written().empty()) return;
  fmt::print(stderr, "changed: {}\n", fmt::join(changes.written(), ", "));
}

}  // namespace moescope::cli
