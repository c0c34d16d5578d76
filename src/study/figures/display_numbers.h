// Numbers as tables on a terminal show them; "-" where there is none.
#pragma once

#include <optional>
#include <string>

#include "study/analysis/bootstrap.h"

namespace moescope::study {

std::string DisplayPercent(double share);                                     // "34.1"
std::string DisplayPercentInterval(const std::optional<Interval>& interval);  // "31.0-37.2"
std::string DisplayReal(double value, int digits);

}  // namespace moescope::study
