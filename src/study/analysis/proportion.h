// The normal distribution, and the interval of a proportion of independent trials.
#pragma once

#include <cstdint>

#include "study/analysis/bootstrap.h"

namespace moescope::study {

// The probability that a standard normal variable exceeds z, and the value below which it lies with
// probability p.
// NormalQuantile is exact to about 1e-15 of the probability. Requires: 0 < p < 1.
double NormalTail(double z);
double NormalQuantile(double p);

// Wilson's score interval of successes / trials; {NaN, NaN} without trials. For independent trials
// only: rows of a unit are not, answers to separate prompts are.
// Source: Wilson, "Probable inference", 1927.
Interval WilsonInterval(int64_t successes, int64_t trials, double level = 0.95);

}  // namespace moescope::study
