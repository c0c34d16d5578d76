// A model with a super expert: chosen by BOS alone, it writes 5,000 into one coordinate, and from
// then on every head looks at BOS, whose value is zero (a sink). Without it heads pick up what
// speaks for a wrong token, so the loss grows. And its negatives, which an analysis must not
// report.
#pragma once

#include "lab/planted/weights.h"

namespace moescope::lab {

struct SuperExpertPlan {
  int layer = 1;        // of 8; a negative: 6, in the last quarter
  int expert = 3;       // of 8
  double value = 5000;  // a negative: 1
};

// Every other expert writes 0.5 to 0.95. Characters: a to z.
PlantedWeights SuperExpertModel(const SuperExpertPlan& plan);
// The coordinate that the super expert writes.
int SuperCoordinate(const PlantedWeights& weights);

}  // namespace moescope::lab
