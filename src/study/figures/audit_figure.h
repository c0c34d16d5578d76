// What criteria and measurement say of each expert, side by side: as rows, and on a terminal.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "study/analysis/bootstrap.h"
#include "study/analysis/rank_correlation.h"
#include "study/analysis/super_experts.h"
#include "study/figures/figure_table.h"

namespace moescope::study {

struct AuditPlaceText {
  std::string token;     // "" where there is none
  int64_t position = 0;  // in its sequence
};

// Of one (layer, expert). NaN: it was never chosen.
struct AuditRow {
  int layer = 0, expert = 0;
  int64_t assignments = 0;
  double share = 0;                 // of the layer's assignments
  double mean_weight = 0;           // where chosen
  double reap = 0;                  // mean of weight * ||output||_2; 0: never chosen
  double reconstruction = 0;        // sum over sequences of ||F'(X) - F(X)||_F
  double reconstruction_share = 0;  // of the sum of ||F(X)||_F
  double skip_share = 0;            // of its last choices, dropped at the layer's beta
  double output_peak = 0;
  AuditPlaceText peak_at;
  bool flagged = false;  // a super expert as published
  std::optional<double> effect;
  std::optional<Interval> effect_interval;
};
struct AuditLayer {
  int layer = 0;
  double skip_beta = 0;
  double residual_peak = 0, residual_median = 0;
  int residual_dim = -1;
  AuditPlaceText peak_at;
};

struct AuditTable {
  std::vector<AuditRow> rows;  // layer by layer
  std::vector<AuditLayer> layers;
  std::vector<SuperExpert> super_experts;
  std::vector<CriterionCorrelation> correlations;  // empty: effects were not measured
  std::string mode;                                // of the effects
};

// What the rows say as criteria, for CorrelateCriteria.
std::vector<Criterion> CriteriaOf(const std::vector<AuditRow>& rows);

FigureTable AuditFigure(const AuditTable& table);
std::string AuditText(const AuditTable& table);

}  // namespace moescope::study
