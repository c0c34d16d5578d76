// p-values adjusted for a family of tests, in the order given. NaN stays NaN and is not counted.
#pragma once

#include <span>
#include <vector>

namespace moescope::study {

// False discovery rate. Source: Benjamini and Hochberg, 1995.
std::vector<double> AdjustBenjaminiHochberg(std::span<const double> p);

// Family-wise error, step-down, under any dependence. Source: Holm, 1979.
std::vector<double> AdjustHolm(std::span<const double> p);

}  // namespace moescope::study
