// From what the lab measured to what the study side makes tables of.
#pragma once

#include <vector>

#include "lab/ablate.h"
#include "study/analysis/ablation_table.h"
#include "study/analysis/statement.h"

namespace moescope::cli {

// Units that have a prediction, by data set.
std::vector<study::AblationDataset> DatasetsOf(const lab::Ablation& ablation);

study::Statement StatementOf(const lab::Ablation& ablation,
                             const study::BootstrapOptions& bootstrap);

}  // namespace moescope::cli
