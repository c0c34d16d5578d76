// A model in which one expert matters and another only looks so. The critical expert is chosen by 2
// % of the tokens and alone writes what follows them; a popular one is chosen by every token and
// writes a thousand times as much where the output head does not read.
#pragma once

#include <cstdint>
#include <string>

#include "lab/planted/weights.h"

namespace moescope::lab {

inline constexpr PlantedExpert kCriticalExpert = {.layer = 1, .expert = 3};
inline constexpr PlantedExpert kPopularExpert = {.layer = 1, .expert = 6};

// On CriticalText the loss is ln V on 98 % of the tokens and 0 on those that choose the critical
// expert; without it ln V there too. Without the popular expert the loss is the same.
PlantedWeights CriticalExpertModel();

// 200 characters: letters, and four times "?" with "!" after it. With BOS before it, 200 tokens
// have one after them, of which 4 are "?".
std::string CriticalText(uint32_t seed);

}  // namespace moescope::lab
