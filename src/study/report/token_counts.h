// Which tokens went to which experts, counted for all tokens and experts of a layer in one pass:
// what the two token views of a report need, where one query per expert would read the layer E
// times.
#pragma once

#include <cstdint>
#include <vector>

#include "study/analysis/route_columns.h"
#include "study/analysis/token_views.h"

namespace moescope::study {

// One layer. Left out are special rows, as everywhere in the analyses, and rows whose token is
// unknown.
struct TokenCounts {
  int layer = 0;
  int n_experts = 0;
  int64_t n_rows = 0;                // whose token is known
  std::vector<int64_t> occurrences;  // [n_tokens]
  std::vector<int32_t> chosen;  // [n_tokens, n_experts] rows of the token that chose the expert
  std::vector<int64_t> expert_rows;  // [n_experts] rows that chose the expert
};

// `n_tokens`: size of the vocabulary; ids beyond it are a corrupt run: throws Error(kCorrupt).
TokenCounts CountTokens(const RowColumns& rows, const LayerColumns& layer, int n_tokens);

// A token at an expert; `lift` as in TokensOfExpert (analysis/token_views.h).
struct TypicalToken {
  int32_t token_id = 0;
  int64_t count = 0;
  double share_of_token = 0;
  double lift = 0;
};

// Tokens with at least `min_count` occurrences and one at the expert, in the given order, ties by
// count, then id: as TokensOfExpert, whose minimum holds for kLift only.
std::vector<TypicalToken> TypicalTokens(const TokenCounts& counts, int expert,
                                        ExpertTokenOrder order, int64_t min_count, int limit);

// The `limit` most frequent token ids, ties to the lower id.
std::vector<int32_t> FrequentTokens(const std::vector<int64_t>& occurrences, int limit);

}  // namespace moescope::study
