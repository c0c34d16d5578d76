#include "study/analysis/odds_ratio.h"

#include <cmath>

namespace moescope::study {

double LogOddsRatio(const TwoByTwo& table) {
  return std::log((table.group_in + 0.5) * (table.rest_out + 0.5) /
                  ((table.group_out + 0.5) * (table.rest_in + 0.5)));
}

TwoByTwo WithNeutralRows(const TwoByTwo& table) {
  const double group = (table.group_in + table.group_out) / table.total();
  return {table.group_in + group, table.group_out + group, table.rest_in + 1 - group,
          table.rest_out + 1 - group};
}

void MantelHaenszel::Add(const TwoByTwo& table) {
  const double total = table.total();
  if (total <= 0) return;
  const double r = table.group_in * table.rest_out / total;
  const double s = table.group_out * table.rest_in / total;
  const double p = (table.group_in + table.rest_out) / total;
  const double q = (table.group_out + table.rest_in) / total;
  r_ += r;
  s_ += s;
  pr_ += p * r;
  ps_qr_ += p * s + q * r;
  qs_ += q * s;
}

double MantelHaenszel::odds_ratio() const {
  return r_ > 0 && s_ > 0 ? r_ / s_ : std::nan("");
}

double MantelHaenszel::log_variance() const {
  if (!(r_ > 0 && s_ > 0)) return std::nan("");
  return pr_ / (2 * r_ * r_) + ps_qr_ / (2 * r_ * s_) + qs_ / (2 * s_ * s_);
}

}  // namespace moescope::study
