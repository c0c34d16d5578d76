#include "study/analysis/proportion.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace moescope::study {

double NormalTail(double z) {
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

double NormalQuantile(double p) {
  MOESCOPE_CHECK(p > 0 && p < 1);
  // Bisection: the tail falls strictly on all values of z where it is a normal number.
  double low = -40, high = 40;
  for (int step = 0; step < 100; ++step) {
    const double middle = (low + high) / 2;
    // The lower tail is the more exact one for small p.
    (NormalTail(-middle) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

Interval WilsonInterval(int64_t successes, int64_t trials, double level) {
  if (trials <= 0) return {std::nan(""), std::nan("")};
  const double n = static_cast<double>(trials), share = static_cast<double>(successes) / n;
  const double z = NormalQuantile((1 + level) / 2);
  const double middle = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double reach =
      z / (1 + z * z / n) * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {std::max(0.0, middle - reach), std::min(1.0, middle + reach)};
}

}  // namespace moescope::study
