// Models that tell the modes of removing an expert apart: what takes its place is known.
#pragma once

#include <string>

#include "lab/planted/weights.h"

namespace moescope::lab {

// Which experts of layer 1 do the work that the text needs, by rank of their router logits.
enum class ModesPlant {
  kIdentical,    // ranks 1, 2 and 3 are the same: mask and drop lose nothing, zero half of it
  kNoOpBetween,  // ranks 1 and 3, rank 2 does nothing: mask keeps what drop loses
};

// The expert of rank 1, whose removal is measured.
inline constexpr PlantedExpert kFirstExpert = {.layer = 1, .expert = 2};

PlantedWeights ModesModel(ModesPlant plant);

// Pairs "?!" one after another: the model knows what follows "?" as far as its experts say.
std::string ModesText();

}  // namespace moescope::lab
