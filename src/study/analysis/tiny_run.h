// Small runs written by hand, for tests of what reads runs: tokens as text, routes as given.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "store/run_writer.h"
#include "store/synthetic_run.h"

namespace moescope::study {

struct TinyToken {
  std::string bytes;             // "<s>": special
  std::vector<int16_t> experts;  // [n_layers * experts_per_token], layer by layer; {}: dense
  float loss = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> margins = {};  // [n_layers]; {}: 0
};

struct TinyDocument {
  std::string dataset;
  std::string unit;
  std::vector<TinyToken> tokens;
};

// Each document is one sequence. Token ids are given to bytes in order of appearance, after the
// 256 single bytes. 0 experts: a dense run.
inline void WriteTinyRun(const std::string& directory, int n_layers, int n_experts,
                         int experts_per_token, const std::vector<TinyDocument>& documents) {
  store::RunDescription description =
      store::SyntheticDescription(n_layers, n_experts, experts_per_token);
  description.datasets.clear();
  std::vector<store::VocabularyEntry> vocabulary = store::SyntheticVocabulary(256);
  const auto id_of = [&](const std::string& bytes) {
    for (size_t id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary[id].bytes == bytes) return static_cast<int32_t>(id);
    }
    vocabulary.push_back({bytes, bytes});
    return static_cast<int32_t>(vocabulary.size() - 1);
  };
  std::vector<store::DocumentRecord> records;
  std::vector<store::TokenRecord> tokens;
  const int n_routed = description.n_route_layers();
  std::vector<std::vector<int16_t>> experts(n_routed);
  std::vector<std::vector<float>> margins(n_routed);
  for (const TinyDocument& document : documents) {
    bool is_new = true;
    for (const auto& dataset : description.datasets) is_new &= dataset.name != document.dataset;
    if (is_new) description.datasets.push_back({document.dataset, "book", ""});
    store::DocumentRecord& record = records.emplace_back();
    record.document = static_cast<int64_t>(records.size()) - 1;
    record.dataset = document.dataset;
    record.unit = document.unit;
    record.first_token = static_cast<int64_t>(tokens.size());
    record.n_tokens = static_cast<int64_t>(document.tokens.size());
    for (const TinyToken& tiny : document.tokens) {
      const bool special = tiny.bytes == "<s>";
      store::TokenRecord& token = tokens.emplace_back();
      token.token = static_cast<int64_t>(tokens.size()) - 1;
      token.document = token.sequence = record.document;
      token.position = static_cast<int32_t>(token.token - record.first_token);
      token.token_id = id_of(tiny.bytes);
      token.special = special;
      token.byte_start = static_cast<uint32_t>(record.n_bytes);
      if (!special) record.n_bytes += tiny.bytes.size();
      token.byte_end = static_cast<uint32_t>(record.n_bytes);
      token.loss = tiny.loss;
      for (int layer = 0; layer < n_routed; ++layer) {
        const auto begin = tiny.experts.begin() + layer * experts_per_token;
        experts[layer].insert(experts[layer].end(), begin, begin + experts_per_token);
        margins[layer].push_back(tiny.margins.empty() ? 0 : tiny.margins[layer]);
      }
    }
  }
  description.vocab_size = static_cast<int>(vocabulary.size());
  const std::vector<float> weights(tokens.size() * experts_per_token,
                                   1.0f / static_cast<float>(std::max(1, experts_per_token)));
  const std::vector<float> zeros(tokens.size());
  std::vector<store::LayerRoutes> routes;
  for (int layer = 0; layer < n_routed; ++layer) {
    routes.push_back({experts[layer], weights, margins[layer], zeros, {}});
  }
  store::RunWriter writer(directory, description, vocabulary, uint64_t{64} << 20);
  writer.CommitWave(records, tokens, routes);
  writer.Finish();
}

}  // namespace moescope::study
