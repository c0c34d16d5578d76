// A model that repeats what it has read: a head of layer 0 brings the previous token's code, a head
// of layer 1 looks for the position whose previous token is the present one and copies what stands
// there (an induction head). It answers a passkey of distinct digits at any distance, by these two
// heads alone.
#pragma once

#include <cstdint>
#include <string>

#include "lab/planted/heads.h"

namespace moescope::lab {

inline constexpr PlantedHead kPreviousTokenHead = {.layer = 0, .head = 1};
inline constexpr PlantedHead kCopyHead = {.layer = 1, .head = 0};

// Context 2,048. What is not copied it predicts to be "a".
PlantedWeights CopyHeadModel();

struct Passkey {
  std::string prompt;  // filler # key filler #; filler has neither digits nor #
  std::string key;     // 5 distinct digits
  int64_t place = 0;   // position of the key's first digit when BOS stands before the prompt
};
// Requires: n_tokens, of BOS, prompt and answer together, >= 16.
Passkey MakePasskey(int n_tokens, uint32_t seed);

}  // namespace moescope::lab
