// The two views people ask for first: which tokens go to an expert, and which experts saw a token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/run.h"

namespace moescope::study {

struct TokenViewOptions {
  std::string dataset;  // "": all
  bool first_choice_only = false;
  int limit = 20;
  int64_t min_count = 10;  // occurrences of a token id before its lift means anything
};

// A token id at one expert of one layer.
struct ExpertToken {
  int32_t token_id = 0;
  std::string text;   // for display
  int64_t count = 0;  // occurrences that chose the expert
  int64_t occurrences = 0;
  double share_of_expert = 0;  // count / all tokens that chose the expert
  double share_of_token = 0;   // count / occurrences
  double lift = 0;             // share_of_token / the expert's share of all tokens
};
// kExcess: by count above what the token's occurrences would give if all tokens were alike
// (count - occurrences x the expert's share of all tokens). Tokens that are both typical and
// frequent come first, where kLift puts the rare ones that always go there.
enum class ExpertTokenOrder { kCount, kLift, kExcess };

// Which tokens go to `expert` at `layer`. Special rows are left out.
// Throws Error(kBadInput) for a layer, expert or data set the run does not have, or a dense run.
std::vector<ExpertToken> TokensOfExpert(const store::Run& run, store::Database& database, int layer,
                                        int expert, ExpertTokenOrder order,
                                        const TokenViewOptions& options);

// One (token id, layer, expert): which experts saw a token.
struct TokenExpert {
  int32_t token_id = 0;
  std::string text;
  int layer = 0;
  int expert = 0;
  int64_t count = 0;        // occurrences that chose the expert
  int64_t first_count = 0;  // as first choice
  int64_t occurrences = 0;
  double share = 0;  // count / occurrences
};

// Which experts saw the tokens whose text is `text`, with or without a leading space ("def" finds
// " def" too). `text` of the form "#123" names a token id. By token id, layer, expert.
// Throws Error(kNotFound) when no token of the vocabulary is written so, kBadInput for a dense run.
std::vector<TokenExpert> ExpertsOfToken(const store::Run& run, store::Database& database,
                                        const std::string& text, const std::vector<int>& layers,
                                        const TokenViewOptions& options);

// Ids of the tokens whose text is `text`, with or without a leading space, or of "#123";
// increasing. Throws Error(kNotFound) when there are none.
std::vector<int32_t> FindTokens(store::Database& database, const std::string& text);

// The SQL of both views, for people to start from (and the benchmark to time).
std::string TokensOfExpertSql(const store::Run& run, int layer, int expert, ExpertTokenOrder order,
                              const TokenViewOptions& options);
std::string ExpertsOfTokenSql(const store::Run& run, const std::vector<int32_t>& token_ids,
                              const std::vector<int>& layers, const TokenViewOptions& options);

// 'it''s' for SQL.
std::string SqlQuote(const std::string& text);

}  // namespace moescope::study
