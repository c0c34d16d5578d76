#include "study/report/text_samples.h"

#include <fmt/format.h>

#include <algorithm>

#include "study/analysis/token_views.h"

namespace moescope::study {
namespace {

struct TokenRange {
  int64_t first = 0;
  int64_t end = 0;
};

// The document's first tokens; one more than asked for, as the first may be special.
TokenRange PickDocument(store::Database& database, int max_tokens, TextSample& sample) {
  const store::Table found =
      database.Query(fmt::format("SELECT document, unit, first_token, n_tokens FROM documents "
                                 "WHERE dataset = {} AND n_tokens > 0 "
                                 "ORDER BY least(n_tokens, {}) DESC, document LIMIT 1",
                                 SqlQuote(sample.dataset), max_tokens));
  if (found.rows.empty()) return {};
  const auto& row = found.rows[0];
  sample.document = std::get<int64_t>(row[0]);
  if (const auto* unit = std::get_if<std::string>(&row[1])) sample.unit = *unit;
  const int64_t first = std::get<int64_t>(row[2]);
  return {first, first + std::min<int64_t>(std::get<int64_t>(row[3]), max_tokens + 1)};
}

std::string PlainTokens(const TokenRange& range) {
  return fmt::format("token >= {} AND token < {} AND NOT CAST(special AS BOOLEAN)", range.first,
                     range.end);
}

void LoadTokens(store::Database& database, const TokenRange& range, TextSample& sample) {
  const store::Table tokens = database.Query(fmt::format(
      "SELECT bytes FROM tokens LEFT JOIN vocabulary USING (token_id) WHERE {} ORDER BY token",
      PlainTokens(range)));
  for (const auto& row : tokens.rows) {
    const auto* bytes = std::get_if<std::string>(&row[0]);
    sample.bytes.push_back(bytes == nullptr ? std::string() : *bytes);
  }
}

// Imported routes may come without their text.
bool HasText(const TextSample& sample) {
  return std::ranges::any_of(sample.bytes, [](const std::string& piece) { return !piece.empty(); });
}

double AsReal(const store::Value& value) {
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  return 0;
}

void LoadLayerOf(store::Database& database, const TokenRange& range, int layer, int K,
                 TextSample& sample) {
  std::string columns;
  for (int slot = 0; slot < K; ++slot)
    columns += fmt::format("{}expert_{}", slot == 0 ? "" : ", ", slot);
  for (int slot = 0; slot < K; ++slot) columns += fmt::format(", weight_{}", slot);
  const store::Table routes = database.Query(fmt::format(
      "SELECT {} FROM routes JOIN tokens USING (token) WHERE layer = {} AND {} ORDER BY token",
      columns, layer, PlainTokens(range)));
  std::vector<int> experts;
  std::vector<double> weights;
  for (const auto& row : routes.rows) {
    for (size_t slot = 0; slot < static_cast<size_t>(K); ++slot) {
      const auto* expert = std::get_if<int64_t>(&row[slot]);
      experts.push_back(expert == nullptr ? -1 : static_cast<int>(*expert));
      weights.push_back(AsReal(row[static_cast<size_t>(K) + slot]));
    }
  }
  sample.experts.push_back(std::move(experts));
  sample.weights.push_back(std::move(weights));
}

}  // namespace

std::vector<TextSample> LoadTextSamples(const store::Run& run, store::Database& database,
                                        const std::vector<std::string>& datasets,
                                        const std::vector<int>& layers, int max_tokens) {
  std::vector<TextSample> samples;
  for (const std::string& dataset : datasets) {
    TextSample sample;
    sample.dataset = dataset;
    const TokenRange range = PickDocument(database, max_tokens, sample);
    if (range.first == range.end) continue;
    LoadTokens(database, range, sample);
    if (!HasText(sample)) continue;
    for (int layer : layers)
      LoadLayerOf(database, range, layer, run.description().experts_per_token, sample);
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace moescope::study
