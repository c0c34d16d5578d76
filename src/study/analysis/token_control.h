// Does a group of data sets prefer an expert beyond the tokens it is made of? Odds ratios pooled
// over token ids (Mantel-Haenszel), with errors that take rows of a unit as dependent.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "study/analysis/route_columns.h"
#include "study/analysis/unit_arms.h"

namespace moescope::study {

// The token ids that occur often enough in both arms, and the rows that have them.
class SharedTokens {
 public:
  // Ids with at least min_occurrences rows in each arm. 4 bytes a row of the run.
  SharedTokens(const RowColumns& rows, const UnitArms& arms, int64_t min_occurrences);

  int64_t n_ids() const { return n_ids_; }
  // Rows of an arm that have one of the ids.
  int64_t n_rows(bool group) const { return n_rows_[group ? 1 : 0]; }
  // -1: not one of the ids.
  int32_t IndexOfRow(int64_t row) const { return index_of_row_[row]; }

 private:
  int64_t n_ids_ = 0;
  int64_t n_rows_[2] = {0, 0};
  std::vector<int32_t> index_of_row_;
};

// One expert, on the rows of SharedTokens.
struct ControlledOdds {
  double odds_ratio = 0;        // Mantel-Haenszel over token ids; NaN if no id tells anything
  double crude_odds_ratio = 0;  // of the same rows, ids pooled carelessly
  double log_error_rows = 0;    // standard error of the logarithm if rows were independent
  double log_error_units = 0;   // with units as what is independent: linearised, by strata
  // Only one side ever chose the expert where the other could have: odds ratio and errors are those
  // of tables with neutral rows (odds_ratio.h), which lie nearer to 1 than the truth.
  bool is_separated = false;
};

// [n_experts]
std::vector<ControlledOdds> ControlForTokens(const RowColumns& rows, const LayerColumns& layer,
                                             const UnitArms& arms, const SharedTokens& tokens);

}  // namespace moescope::study
