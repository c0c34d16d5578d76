// What --stats tells of a model's weights: where they were, what was read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/model/model.h"

namespace moescope::cli {

// "weights: 30 of 64 experts have a slot, ..." in a few lines, each ended.
std::string WeightStatsText(const engine::Model& model);

// The same by name, for JSON: counts, bytes, shares from 0 to 1. Empty where weights are not
// streamed.
std::vector<std::pair<std::string, double>> WeightStats(const engine::Model& model);

}  // namespace moescope::cli
