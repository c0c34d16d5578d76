#include "study/analysis/token_control.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "study/analysis/odds_ratio.h"
#include "study/analysis/unit_counts.h"

namespace moescope::study {
namespace {

// Calls fn(arm, place in arms.units, document) for the documents that take part.
template <typename Fn>
void ForEachDocument(const RowColumns& rows, const UnitArms& arms, Fn&& fn) {
  std::vector<int32_t> place(rows.units.size(), -1);
  for (size_t u = 0; u < arms.units.size(); ++u) place[arms.units[u]] = static_cast<int32_t>(u);
  for (const DocumentRange& document : rows.documents) {
    const int32_t unit = place[document.unit];
    if (unit >= 0) fn(arms.in_group[unit], unit, document);
  }
}

// Rows by token id and arm, and those of them that chose each expert.
struct TokenTables {
  int n_experts = 0;
  std::vector<int32_t> rows;      // [id, arm]
  std::vector<int32_t> included;  // [id, arm, expert]

  int64_t n_ids() const { return static_cast<int64_t>(rows.size()) / 2; }
  TwoByTwo Table(int64_t id, int expert) const {
    const double group = rows[2 * id + 1], rest = rows[2 * id];
    const double group_in = included[(2 * id + 1) * n_experts + expert];
    const double rest_in = included[2 * id * n_experts + expert];
    return {group_in, group - group_in, rest_in, rest - rest_in};
  }
};

TokenTables CountTables(const RowColumns& rows, const LayerColumns& layer, const UnitArms& arms,
                        const SharedTokens& tokens) {
  const int n_slots = layer.experts_per_token;
  TokenTables tables;
  tables.n_experts = layer.n_experts;
  tables.rows.resize(2 * tokens.n_ids());
  tables.included.resize(tables.rows.size() * layer.n_experts);
  ForEachDocument(rows, arms, [&](int32_t arm, int32_t, const DocumentRange& document) {
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int64_t id = tokens.IndexOfRow(row);
      if (id < 0) continue;
      ++tables.rows[2 * id + arm];
      int32_t* included = tables.included.data() + (2 * id + arm) * layer.n_experts;
      const int16_t* experts = layer.experts.data() + row * n_slots;
      for (int slot = 0; slot < n_slots; ++slot) {
        if (experts[slot] >= 0 && !RepeatsEarlierSlot(experts, slot)) ++included[experts[slot]];
      }
    }
  });
  return tables;
}

// An expert's tables, pooled. Where one side never chooses the expert for a token that the other
// chooses it for, R or S is 0 and there is no odds ratio, however strong the preference: then every
// table gets neutral rows.
struct PooledTables {
  MantelHaenszel pooled;
  bool has_neutral_rows = false;

  PooledTables(const TokenTables& tables, int expert) {
    for (int64_t id = 0; id < tables.n_ids(); ++id) pooled.Add(tables.Table(id, expert));
    if ((pooled.r() > 0) == (pooled.s() > 0)) return;
    has_neutral_rows = true;
    pooled = {};
    for (int64_t id = 0; id < tables.n_ids(); ++id) pooled.Add(Table(tables, id, expert));
  }
  TwoByTwo Table(const TokenTables& tables, int64_t id, int expert) const {
    const TwoByTwo table = tables.Table(id, expert);
    return has_neutral_rows ? WithNeutralRows(table) : table;
  }
};

// By how much one more row changes the logarithm of the pooled odds ratio: derivatives of
// log R - log S by the four cells of each table.
struct Influence {
  int n_experts = 0;
  std::vector<double> out;   // [id, arm, expert] of a row that did not choose the expert
  std::vector<double> more;  // [id, arm, expert] what choosing it adds to that
};

void AddInfluence(const TwoByTwo& t, double r, double s, size_t rest_at, size_t group_at,
                  Influence& influence) {
  const double n = t.total();
  const double r_here = t.group_in * t.rest_out / (n * n);
  const double s_here = t.group_out * t.rest_in / (n * n);
  const double common = s_here / s - r_here / r;  // through the total, which every row raises
  const double group_in = t.rest_out / (n * r), group_out = -t.rest_in / (n * s);
  const double rest_in = -t.group_out / (n * s), rest_out = t.group_in / (n * r);
  influence.out[group_at] = common + group_out;
  influence.more[group_at] = group_in - group_out;
  influence.out[rest_at] = common + rest_out;
  influence.more[rest_at] = rest_in - rest_out;
}

// Influence of each unit's rows together: [n_units, n_experts].
std::vector<double> SumInfluence(const RowColumns& rows, const LayerColumns& layer,
                                 const UnitArms& arms, const SharedTokens& tokens,
                                 const Influence& influence) {
  const int n_experts = layer.n_experts, n_slots = layer.experts_per_token;
  std::vector<double> of_unit(arms.units.size() * n_experts);
  ForEachDocument(rows, arms, [&](int32_t arm, int32_t unit, const DocumentRange& document) {
    double* sums = of_unit.data() + static_cast<size_t>(unit) * n_experts;
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int64_t id = tokens.IndexOfRow(row);
      if (id < 0) continue;
      const size_t at = (2 * id + arm) * n_experts;
      for (int e = 0; e < n_experts; ++e) sums[e] += influence.out[at + e];
      const int16_t* experts = layer.experts.data() + row * n_slots;
      for (int slot = 0; slot < n_slots; ++slot) {
        if (experts[slot] < 0 || RepeatsEarlierSlot(experts, slot)) continue;
        sums[experts[slot]] += influence.more[at + experts[slot]];
      }
    }
  });
  return of_unit;
}

// Variance of a sum over units drawn stratum by stratum.
double StratifiedVariance(const std::vector<double>& of_unit, int n_experts, int expert,
                          const std::vector<int64_t>& strata) {
  double variance = 0;
  int64_t first = 0;
  for (int64_t size : strata) {
    double mean = 0, squares = 0;
    for (int64_t u = first; u < first + size; ++u) {
      mean += of_unit[u * n_experts + expert] / static_cast<double>(size);
    }
    for (int64_t u = first; u < first + size; ++u) {
      const double off = of_unit[u * n_experts + expert] - mean;
      squares += off * off;
    }
    if (size > 1) variance += squares * static_cast<double>(size) / static_cast<double>(size - 1);
    first += size;
  }
  return variance;
}

}  // namespace

SharedTokens::SharedTokens(const RowColumns& rows, const UnitArms& arms, int64_t min_occurrences)
    : index_of_row_(rows.n_rows(), -1) {
  struct Occurrences {
    int64_t count[2] = {0, 0};
    int32_t index = -1;
  };
  std::unordered_map<int32_t, Occurrences> ids;
  ForEachDocument(rows, arms, [&](int32_t arm, int32_t, const DocumentRange& document) {
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      if (rows.token_id[row] >= 0) ++ids[rows.token_id[row]].count[arm];
    }
  });
  ForEachDocument(rows, arms, [&](int32_t arm, int32_t, const DocumentRange& document) {
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const auto found = ids.find(rows.token_id[row]);
      if (found == ids.end()) continue;
      Occurrences& id = found->second;
      if (id.count[0] < min_occurrences || id.count[1] < min_occurrences) continue;
      if (id.index < 0) id.index = static_cast<int32_t>(n_ids_++);
      index_of_row_[row] = id.index;
      ++n_rows_[arm];
    }
  });
}

std::vector<ControlledOdds> ControlForTokens(const RowColumns& rows, const LayerColumns& layer,
                                             const UnitArms& arms, const SharedTokens& tokens) {
  const int n_experts = layer.n_experts;
  const TokenTables tables = CountTables(rows, layer, arms, tokens);
  std::vector<ControlledOdds> controlled(n_experts);
  Influence influence;
  influence.n_experts = n_experts;
  influence.out.resize(tables.included.size());
  influence.more.resize(tables.included.size());
  for (int e = 0; e < n_experts; ++e) {
    const PooledTables of_expert(tables, e);
    const MantelHaenszel& pooled = of_expert.pooled;
    TwoByTwo crude;
    for (int64_t id = 0; id < tokens.n_ids(); ++id) {
      const TwoByTwo table = tables.Table(id, e);
      crude.group_in += table.group_in, crude.group_out += table.group_out;
      crude.rest_in += table.rest_in, crude.rest_out += table.rest_out;
    }
    controlled[e].odds_ratio = pooled.odds_ratio();
    controlled[e].crude_odds_ratio = std::exp(LogOddsRatio(crude));
    controlled[e].log_error_rows = std::sqrt(pooled.log_variance());
    controlled[e].is_separated = of_expert.has_neutral_rows;
    if (std::isnan(controlled[e].odds_ratio)) continue;
    for (int64_t id = 0; id < tokens.n_ids(); ++id) {
      const size_t rest_at = 2 * id * n_experts + e;
      AddInfluence(of_expert.Table(tables, id, e), pooled.r(), pooled.s(), rest_at,
                   rest_at + n_experts, influence);
    }
  }
  const std::vector<double> of_unit = SumInfluence(rows, layer, arms, tokens, influence);
  for (int e = 0; e < n_experts; ++e) {
    const double variance = StratifiedVariance(of_unit, n_experts, e, arms.strata);
    ControlledOdds& odds = controlled[e];
    odds.log_error_units = std::isnan(odds.odds_ratio) ? std::nan("") : std::sqrt(variance);
    // The side that never chose the expert has units without any variance: that it never did says
    // no more than its number of rows allows.
    if (odds.is_separated) {
      odds.log_error_units = std::max(odds.log_error_units, odds.log_error_rows);
    }
  }
  return controlled;
}

}  // namespace moescope::study
