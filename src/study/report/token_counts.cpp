#include "study/report/token_counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/error.h"

namespace moescope::study {
namespace {

// Imported routes may come without their text.
constexpr int32_t kUnknownToken = -1;

}  // namespace

TokenCounts CountTokens(const RowColumns& rows, const LayerColumns& layer, int n_tokens) {
  TokenCounts counts;
  counts.layer = layer.layer;
  counts.n_experts = layer.n_experts;
  counts.occurrences.resize(static_cast<size_t>(n_tokens));
  counts.chosen.resize(static_cast<size_t>(n_tokens) * static_cast<size_t>(layer.n_experts));
  counts.expert_rows.resize(static_cast<size_t>(layer.n_experts));
  const auto K = static_cast<size_t>(layer.experts_per_token);
  for (size_t row = 0; row < rows.token_id.size(); ++row) {
    const int32_t id = rows.token_id[row];
    if (id == kUnknownToken) continue;
    if (id < 0 || id >= n_tokens) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("tokens of the run: expected ids below {}, found {}", n_tokens, id));
    }
    const auto token = static_cast<size_t>(id);
    ++counts.n_rows;
    ++counts.occurrences[token];
    for (size_t slot = 0; slot < K; ++slot) {
      const int16_t expert = layer.experts[row * K + slot];
      if (expert < 0) continue;
      ++counts.chosen[token * static_cast<size_t>(layer.n_experts) + static_cast<size_t>(expert)];
      ++counts.expert_rows[static_cast<size_t>(expert)];
    }
  }
  return counts;
}

std::vector<TypicalToken> TypicalTokens(const TokenCounts& counts, int expert,
                                        ExpertTokenOrder order, int64_t min_count, int limit) {
  std::vector<TypicalToken> tokens;
  const auto E = static_cast<size_t>(counts.n_experts);
  const int64_t expert_rows = counts.expert_rows[static_cast<size_t>(expert)];
  if (expert_rows == 0) return tokens;
  const double share_of_all = static_cast<double>(expert_rows) / static_cast<double>(counts.n_rows);
  for (size_t token = 0; token < counts.occurrences.size(); ++token) {
    const int64_t occurrences = counts.occurrences[token];
    const int64_t count = counts.chosen[token * E + static_cast<size_t>(expert)];
    if (occurrences < min_count || count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(occurrences);
    tokens.push_back({static_cast<int32_t>(token), count, share, share / share_of_all});
  }
  const auto key = [&](const TypicalToken& token) {
    if (order == ExpertTokenOrder::kLift) return token.lift;
    const auto count = static_cast<double>(token.count);
    if (order == ExpertTokenOrder::kCount) return count;
    return count - static_cast<double>(counts.occurrences[static_cast<size_t>(token.token_id)]) *
                       share_of_all;
  };
  const auto before = [&](const TypicalToken& a, const TypicalToken& b) {
    return std::tuple(-key(a), -a.count, a.token_id) < std::tuple(-key(b), -b.count, b.token_id);
  };
  const size_t kept = std::min(tokens.size(), static_cast<size_t>(limit));
  std::partial_sort(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(kept), tokens.end(),
                    before);
  tokens.resize(kept);
  return tokens;
}

std::vector<int32_t> FrequentTokens(const std::vector<int64_t>& occurrences, int limit) {
  std::vector<int32_t> ids;
  for (size_t token = 0; token < occurrences.size(); ++token) {
    if (occurrences[token] > 0) ids.push_back(static_cast<int32_t>(token));
  }
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return occurrences[static_cast<size_t>(a)] > occurrences[static_cast<size_t>(b)];
  });
  ids.resize(std::min(ids.size(), static_cast<size_t>(limit)));
  return ids;
}

}  // namespace moescope::study
