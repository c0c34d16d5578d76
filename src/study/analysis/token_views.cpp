#include "study/analysis/token_views.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {
namespace {

void CheckLayer(const store::Run& run, int layer) {
  const std::vector<int> layers = run.description().LayerNumbers();
  if (std::find(layers.begin(), layers.end(), layer) != layers.end()) return;
  throw Error(ErrorKind::kBadInput, fmt::format("layer {}: {} has layers {} to {}", layer,
                                                run.directory(), layers.front(), layers.back()));
}

void CheckTokenIds(const store::Run& run) {
  if (run.description().vocab_size > 0) return;
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("{} has no token ids: its routes were imported without them", run.directory()));
}

void CheckDataset(store::Database& database, const std::string& dataset) {
  if (dataset.empty()) return;
  std::string names;
  for (const auto& row : database.Query("SELECT DISTINCT dataset FROM documents ORDER BY 1").rows) {
    const auto& name = std::get<std::string>(row[0]);
    if (name == dataset) return;
    names += (names.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorKind::kNotFound,
              fmt::format("the run has no data set {}; it has {}", dataset, names));
}

// " AND ..." that keeps one data set's tokens, without touching documents row by row.
std::string DatasetCondition(const std::string& dataset) {
  if (dataset.empty()) return "";
  return " AND document IN (SELECT document FROM documents WHERE dataset = " +
         store::Quoted(dataset) + ")";
}

template <typename T>
std::string Join(const std::vector<T>& values) {
  return fmt::format("{}", fmt::join(values, ", "));
}

double Real(const store::Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  return std::get<double>(value);
}

std::string Text(const store::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text ? *text : "";
}

}  // namespace

std::string TokensOfExpertSql(const store::Run& run, int layer, int expert, ExpertTokenOrder order,
                              const TokenViewOptions& options) {
  std::string chosen = fmt::format("expert_0 = {}", expert);
  const int n_slots = options.first_choice_only ? 1 : run.description().experts_per_token;
  for (int slot = 1; slot < n_slots; ++slot) {
    chosen += fmt::format(" OR expert_{} = {}", slot, expert);
  }
  const bool by_lift = order == ExpertTokenOrder::kLift;
  const char* first = by_lift ? "lift DESC, count DESC"
                      : order == ExpertTokenOrder::kExcess
                          ? "count - occurrences * chosen / tokens DESC"
                          : "count DESC";
  return fmt::format(
      "WITH counts AS (\n"
      "  SELECT token_id, count(*) AS occurrences, count(*) FILTER ({}) AS count\n"
      "  FROM tokens JOIN routes USING (token)\n"
      "  WHERE layer = {} AND NOT special AND token_id IS NOT NULL{}\n"
      "  GROUP BY token_id),\n"
      "total AS (SELECT sum(occurrences) AS tokens, sum(count) AS chosen FROM counts)\n"
      "SELECT token_id, text, count, occurrences, count / chosen AS share_of_expert,\n"
      "       count / occurrences AS share_of_token,\n"
      "       (count / occurrences) / (chosen / tokens) AS lift\n"
      "FROM counts CROSS JOIN total LEFT JOIN vocabulary USING (token_id)\n"
      "WHERE count > 0{}\n"
      "ORDER BY {}, token_id LIMIT {}",
      chosen, layer, DatasetCondition(options.dataset),
      by_lift ? fmt::format(" AND occurrences >= {}", options.min_count) : "", first,
      options.limit);
}

std::vector<ExpertToken> TokensOfExpert(const store::Run& run, store::Database& database, int layer,
                                        int expert, ExpertTokenOrder order,
                                        const TokenViewOptions& options) {
  RequireRoutes(run);
  CheckTokenIds(run);
  CheckLayer(run, layer);
  if (expert < 0 || expert >= run.description().n_experts) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("expert {}: {} has experts 0 to {}", expert, run.directory(),
                            run.description().n_experts - 1));
  }
  CheckDataset(database, options.dataset);
  std::vector<ExpertToken> tokens;
  for (const auto& row :
       database.Query(TokensOfExpertSql(run, layer, expert, order, options)).rows) {
    tokens.push_back({static_cast<int32_t>(std::get<int64_t>(row[0])), Text(row[1]),
                      std::get<int64_t>(row[2]), std::get<int64_t>(row[3]), Real(row[4]),
                      Real(row[5]), Real(row[6])});
  }
  return tokens;
}

std::string ExpertsOfTokenSql(const store::Run& run, const std::vector<int32_t>& token_ids,
                              const std::vector<int>& layers, const TokenViewOptions& options) {
  const int n_slots = options.first_choice_only ? 1 : run.description().experts_per_token;
  std::string columns, arms;
  for (int slot = 0; slot < n_slots; ++slot) {
    columns += fmt::format(", expert_{}", slot);
    arms +=
        fmt::format("{}SELECT token_id, layer, expert_{} AS expert, n, {} AS n_first FROM chosen",
                    slot == 0 ? "" : "\n  UNION ALL ", slot, slot == 0 ? "n" : "0");
  }
  // Counted by the whole choice first, so that routes are read once and not once a slot.
  return fmt::format(
      "WITH hits AS (\n"
      "  SELECT token, token_id FROM tokens\n"
      "  WHERE token_id IN ({}) AND NOT special{}),\n"
      "totals AS (SELECT token_id, count(*) AS occurrences FROM hits GROUP BY token_id),\n"
      "chosen AS (\n"
      "  SELECT token_id, layer{}, count(*) AS n\n"
      "  FROM routes JOIN hits USING (token)\n"
      "  WHERE layer IN ({})\n"
      "  GROUP BY ALL),\n"
      "seen AS (\n"
      "  {})\n"
      "SELECT token_id, text, layer, expert, sum(n) AS count, sum(n_first) AS first,\n"
      "       occurrences, sum(n) / occurrences AS share\n"
      "FROM seen JOIN totals USING (token_id) LEFT JOIN vocabulary USING (token_id)\n"
      "WHERE expert IS NOT NULL\n"
      "GROUP BY token_id, text, layer, expert, occurrences\n"
      "ORDER BY token_id, layer, expert",
      Join(token_ids), DatasetCondition(options.dataset), columns, Join(layers), arms);
}

std::vector<int32_t> FindTokens(store::Database& database, const std::string& text) {
  std::vector<int32_t> ids;
  std::string condition = fmt::format("bytes = encode({}) OR bytes = encode({})",
                                      store::Quoted(text), store::Quoted(" " + text));
  if (text.size() > 1 && text[0] == '#') {
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + 1, text.data() + text.size(), id);
    if (error == std::errc() && stop == text.data() + text.size()) {
      condition = fmt::format("token_id = {}", id);
    }
  }
  for (const auto& row :
       database.Query("SELECT token_id FROM vocabulary WHERE " + condition + " ORDER BY 1").rows) {
    ids.push_back(static_cast<int32_t>(std::get<int64_t>(row[0])));
  }
  if (!ids.empty()) return ids;
  throw Error(ErrorKind::kNotFound,
              fmt::format("no token of the vocabulary is written '{}'; give one piece of a word as "
                          "the tokenizer cuts it, or #ID; see 'moescope query RUN \"SELECT * FROM "
                          "vocabulary\"'",
                          text));
}

std::vector<TokenExpert> ExpertsOfToken(const store::Run& run, store::Database& database,
                                        const std::string& text, const std::vector<int>& layers,
                                        const TokenViewOptions& options) {
  RequireRoutes(run);
  CheckTokenIds(run);
  for (int layer : layers) CheckLayer(run, layer);
  CheckDataset(database, options.dataset);
  const std::vector<int32_t> ids = FindTokens(database, text);
  std::vector<TokenExpert> experts;
  for (const auto& row : database.Query(ExpertsOfTokenSql(run, ids, layers, options)).rows) {
    experts.push_back({static_cast<int32_t>(std::get<int64_t>(row[0])), Text(row[1]),
                       static_cast<int>(std::get<int64_t>(row[2])),
                       static_cast<int>(std::get<int64_t>(row[3])), std::get<int64_t>(row[4]),
                       std::get<int64_t>(row[5]), std::get<int64_t>(row[6]), Real(row[7])});
  }
  return experts;
}

std::string SqlQuote(const std::string& text) {
  return store::Quoted(text);
}

}  // namespace moescope::study
