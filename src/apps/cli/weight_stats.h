// What --stats tells of a model's weights: where they were, what was read.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/model/model.h"

namespace moescope::cli {

// "weights: 30 of 64 experts have a slot, ..." in a few lines, each ended.
std::string WeightStatsText(const engine::Model& model);

// Counts and bytes, or shares from 0 to 1, by name, for JSON.
using NamedNumbers = std::vector<std::pair<std::string, std::variant<int64_t, double>>>;
NamedNumbers WeightStats(const engine::Model& model);

}  // namespace moescope::cli
