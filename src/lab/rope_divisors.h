// Llama 3's rotary scaling in GGUF's form, which has a divisor for each frequency instead of the
// parameters, and the way back.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "files/model_config.h"

namespace moescope::lab {

// What each frequency is divided by under config.rope_scaling, [head_dim / 2].
std::vector<float> RopeDivisors(const files::ModelConfig& config);

// A scaling whose divisors are these to float32's rounding: none at all, or Llama 3's with its
// published bounds (1 and 4 turns), a context that is a power of two and a factor that occurs among
// the divisors or is a power of two. Nullopt where no such is.
std::optional<files::RopeScaling> ScalingOfDivisors(const files::ModelConfig& config,
                                                    std::span<const float> divisors);

}  // namespace moescope::lab
