// Odds ratios of two-by-two tables, one table or pooled over strata.
#pragma once

namespace moescope::study {

// Rows of a group of data sets against those of the rest, by whether they chose an expert.
struct TwoByTwo {
  double group_in = 0, group_out = 0;
  double rest_in = 0, rest_out = 0;
  double total() const { return group_in + group_out + rest_in + rest_out; }
};

// Natural logarithm, with 0.5 added to each cell: finite for any counts.
// Source: Haldane, 1956; Anscombe, 1956.
double LogOddsRatio(const TwoByTwo& table);

// One row more chose the expert and one more did not, each divided between group and rest as their
// rows are: cells that say nothing of a preference, and no empty ones. Requires: rows.
// Source: Sweeting, Sutton and Lambert, 2004 (the correction by size of arm).
TwoByTwo WithNeutralRows(const TwoByTwo& table);

// The odds ratio common to several tables, nothing added to cells: R / S, where R sums
// group_in rest_out / total and S group_out rest_in / total.
// Source: Mantel and Haenszel, 1959.
class MantelHaenszel {
 public:
  void Add(const TwoByTwo& table);  // tables without rows add nothing
  double r() const { return r_; }
  double s() const { return s_; }
  double odds_ratio() const;  // NaN if R or S is 0
  // Variance of the logarithm if rows were independent. Source: Robins, Breslow and Greenland,
  // 1986.
  double log_variance() const;

 private:
  double r_ = 0, s_ = 0;
  double pr_ = 0, ps_qr_ = 0, qs_ = 0;
};

}  // namespace moescope::study
