#include "apps/cli/ablation_result.h"

namespace moescope::cli {

std::vector<study::AblationDataset> DatasetsOf(const lab::Ablation& ablation) {
  std::vector<study::AblationDataset> datasets;
  for (size_t unit = 0; unit < ablation.units.size(); ++unit) {
    if (ablation.predictions[unit] == 0) continue;
    const std::string& name = ablation.units[unit].dataset;
    if (datasets.empty() || datasets.back().name != name) {
      datasets.push_back({.name = name,
                          .unit_by = ablation.description.UnitBy(name),
                          .n_units = 0,
                          .predictions = {},
                          .losses = {}});
    }
    study::AblationDataset& dataset = datasets.back();
    ++dataset.n_units;
    dataset.predictions.push_back(ablation.predictions[unit]);
    for (int column = 0; column <= ablation.n_branches; ++column) {
      dataset.losses.push_back(ablation.Loss(unit, static_cast<size_t>(column)));
    }
  }
  return datasets;
}

study::Statement StatementOf(const lab::Ablation& ablation,
                             const study::BootstrapOptions& bootstrap) {
  study::Statement statement;
  statement.complete = true;
  statement.description = ablation.description;
  statement.documents = ablation.n_documents;
  statement.tokens = ablation.n_rows;
  for (size_t unit = 0; unit < ablation.units.size(); ++unit) {
    statement.plain_tokens += ablation.units[unit].n_tokens;
    statement.units += ablation.predictions[unit] > 0;
  }
  statement.seed = bootstrap.seed;
  statement.bootstrap_samples = bootstrap.n_samples;
  return statement;
}

}  // namespace moescope::cli
