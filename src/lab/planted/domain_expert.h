// A model with an expert for one kind of text, whatever its tokens, and a router that reads tokens:
// what a test of "does this expert prefer that text?" must tell apart.
//
// A text opens with [ or ]; a head carries that to every later position. In layer 2 expert 5
// belongs to texts that open with [, expert 6 to the others: shares of a layer add up, so what one
// kind uses more another must use less. Routers of layers 0 and 1 read the token and the one before
// it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/planted/weights.h"

namespace moescope::lab {

inline constexpr PlantedExpert kDomainExpert = {.layer = 2, .expert = 5};
inline constexpr PlantedExpert kOtherDomainExpert = {.layer = 2, .expert = 6};
// Expert 0 of layer 1 is chosen by 80 % of the tokens k to o and 20 % of p to t, as the token
// before has it; expert 1 by the rest of them.
inline constexpr PlantedExpert kTokenExpert = {.layer = 1, .expert = 0};
inline constexpr PlantedExpert kOtherTokenExpert = {.layer = 1, .expert = 1};

PlantedWeights DomainExpertModel();

struct DomainCorpus {
  bool square_first = true;   // opens with [ and ends with ], or the other way round
  double share_of_low = 0.5;  // of letters k to o among k to t
  int n_texts = 24;
  uint32_t seed = 1;
};
// Texts of 122 characters: the tags, and between them by turns a letter of a to j, drawn evenly,
// and one of k to t. With the same share_of_low both kinds of text have the same distribution of
// tokens.
std::vector<std::string> DomainTexts(const DomainCorpus& corpus);

}  // namespace moescope::lab
