#include "study/analysis/token_first_choices.h"

#include <algorithm>
#include <cmath>

namespace moescope::study {

TokenFirstChoices::TokenFirstChoices(const RowColumns& rows, const DatasetInfo& dataset,
                                     const LayerColumns& layer)
    : rows_(rows), layer_(layer), none_(layer.n_experts) {
  int32_t largest = -1;
  for (int32_t d : dataset.documents) {
    const DocumentRange& document = rows.documents[d];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      largest = std::max(largest, rows.token_id[row]);
    }
  }
  totals_.resize(static_cast<size_t>(largest + 1));
  counts_.resize(totals_.size() * layer.n_experts);
  for (int32_t d : dataset.documents) PutBack(rows.documents[d]);
}

void TokenFirstChoices::Add(const DocumentRange& document, int32_t sign) {
  for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
    const int32_t token = rows_.token_id[row];
    const int expert = layer_.experts[row * layer_.experts_per_token];
    if (token < 0 || expert < 0) continue;
    counts_[static_cast<size_t>(token) * layer_.n_experts + expert] += sign;
    totals_[token] += sign;
  }
}

std::span<const int32_t> TokenFirstChoices::Counts(int32_t token_id) const {
  if (token_id < 0) return none_;
  return std::span(counts_).subspan(static_cast<size_t>(token_id) * layer_.n_experts,
                                    layer_.n_experts);
}

double TokenFirstChoices::AllAlike(std::span<const int32_t> tokens) const {
  double alike = 0;
  for (int expert = 0; expert < layer_.n_experts; ++expert) {
    double all = 1;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto before =
          std::count(tokens.begin(), tokens.begin() + static_cast<int64_t>(i), tokens[i]);
      const double n = static_cast<double>(Total(tokens[i]) - before);
      if (!(n > 0)) return std::nan("");
      all *= std::max(0.0, static_cast<double>(Counts(tokens[i])[expert] - before)) / n;
    }
    alike += all;
  }
  return alike;
}

}  // namespace moescope::study
