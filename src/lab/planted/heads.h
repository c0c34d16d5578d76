// What attention heads of planted models do: where they look, and what they carry.
#pragma once

#include "lab/planted/weights.h"

namespace moescope::lab {

struct PlantedHead {
  int layer = 0, head = 0;
};

// Looks at the previous position, at position 0 at itself: query and key are both the constant, and
// the score depends on the distance alone, sum over pairs p of 40 cos((distance - 1) theta_p).
// Within 65,536 positions the next best score is 24 lower (at distances 0 and 2), so the weight on
// the previous token is 1 - 1e-10.
void LookAtPrevious(PlantedWeights& weights, PlantedHead head);

// Adds `score` where the query's row has coordinate `query` = 1 and the key's row `key` = 1. Uses
// the slowest rotary pairs, one for each call on a head, counted by `pair` from 0: with theta =
// 1e10 pair 0 turns by 2e-7 in 1,000 positions, pair 15 by 1e-2.
void LookFor(PlantedWeights& weights, PlantedHead head, int pair, int query, int key, double score);
// Adds factor * score where the key's row has another coordinate.
void AlsoKey(PlantedWeights& weights, PlantedHead head, int pair, int key, double factor);

// Carries coordinate `from` of what it looks at into coordinate `to` of where it looks from.
// `dimension`: one of the head's, its own for each call on a head.
void Carry(PlantedWeights& weights, PlantedHead head, int dimension, int from, int to,
           double factor = 1);

// Zeroes the columns of the output projection that read the head: nothing it carries arrives.
void Silence(PlantedWeights& weights, PlantedHead head);

}  // namespace moescope::lab
