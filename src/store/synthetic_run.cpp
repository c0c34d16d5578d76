#include "store/synthetic_run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace moescope::store {
namespace {

// SplitMix64 as a function of its counter: random access to a random stream.
uint64_t Hash(uint64_t seed, uint64_t counter) {
  uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

double Uniform(uint64_t hash) {
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

// Roughly normal: router logits have no heavy tails.
float Normal(uint64_t hash) {
  double sum = 0;
  for (int i = 0; i < 4; ++i) sum += static_cast<double>((hash >> (16 * i)) & 0xFFFF) / 65536.0;
  return static_cast<float>((sum - 2.0) * 1.7320508);
}

void FillRow(const SyntheticRun& run, int64_t token, int layer, SyntheticWave::Layer& out) {
  const RunDescription& d = run.description;
  auto n_experts = static_cast<size_t>(d.n_experts);
  auto k = static_cast<size_t>(d.experts_per_token);
  std::vector<float> logits(n_experts);
  uint64_t row = static_cast<uint64_t>(token) * static_cast<uint64_t>(d.n_layers) +
                 static_cast<uint64_t>(layer);
  for (size_t e = 0; e < n_experts; ++e) logits[e] = Normal(Hash(run.seed, row * n_experts + e));
  std::vector<int16_t> order(n_experts);
  std::iota(order.begin(), order.end(), int16_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int16_t a, int16_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  auto logit = [&](size_t rank) { return logits[static_cast<size_t>(order[rank])]; };
  float chosen_sum = 0;
  for (size_t i = 0; i < k; ++i) chosen_sum += std::exp(logit(i) - logit(0));
  for (size_t i = 0; i < k; ++i) {
    out.experts.push_back(order[i]);
    out.weights.push_back(std::exp(logit(i) - logit(0)) / chosen_sum);
  }
  out.margins.push_back(k < n_experts ? logit(k - 1) - logit(k)
                                      : std::numeric_limits<float>::infinity());
  double sum = 0;
  double weighted = 0;
  for (float value : logits) {
    double p = std::exp(static_cast<double>(value));
    sum += p;
    weighted += p * static_cast<double>(value);
  }
  out.entropies.push_back(static_cast<float>(std::log(sum) - weighted / sum));
  if (d.has_logits) out.logits.insert(out.logits.end(), logits.begin(), logits.end());
}

}  // namespace

RunDescription SyntheticDescription(int n_layers, int n_experts, int experts_per_token) {
  RunDescription d;
  d.model_name = "synthetic";
  d.architecture = n_experts > 0 ? "mixtral" : "llama";
  d.model_identity = "0123456789abcdef";
  d.expert_type = "BF16";
  d.router_type = n_experts > 0 ? "F32" : "";
  d.n_layers = n_layers;
  d.n_experts = n_experts;
  d.experts_per_token = experts_per_token;
  d.score_function = n_experts > 0 ? "softmax over chosen" : "";
  d.tokenizer_identity = "fedcba9876543210";
  d.vocab_size = 256;
  d.bos = "document";
  d.chunk = 512;
  d.datasets = {{"a", "", ""}, {"b", "book", "{text}"}};
  d.precision = "exact";
  d.kernel_level = "scalar";
  d.engine_version = "0";
  return d;
}

std::vector<VocabularyEntry> SyntheticVocabulary(int size) {
  std::vector<VocabularyEntry> entries;
  for (int id = 0; id < size; ++id) {
    std::string byte(1, static_cast<char>(id));
    entries.push_back({byte, byte});
  }
  return entries;
}

std::vector<DocumentRecord> SyntheticRun::Documents() const {
  std::vector<DocumentRecord> documents;
  for (int64_t first = 0; first < n_tokens;) {
    auto index = static_cast<int64_t>(documents.size());
    uint64_t hash = Hash(seed ^ 0xD0C5, static_cast<uint64_t>(index));
    int64_t size = hash % 17 == 0
                       ? 0
                       : 1 + static_cast<int64_t>(Uniform(hash) * 2.0 *
                                                  static_cast<double>(mean_document_tokens));
    size = std::min(size, n_tokens - first);
    DocumentRecord document;
    document.document = index;
    document.dataset = index % 2 == 0 ? "a" : "b";
    document.source = "file-" + std::to_string(index);
    document.unit = "unit-" + std::to_string(index / 5);
    document.n_bytes = static_cast<uint64_t>(size) * 4;
    document.first_token = first;
    document.n_tokens = size;
    document.hash = hash;
    documents.push_back(std::move(document));
    first += size;
  }
  return documents;
}

std::vector<LayerRoutes> SyntheticWave::Routes() const {
  std::vector<LayerRoutes> routes;
  for (const Layer& l : layers) {
    routes.push_back({l.experts, l.weights, l.margins, l.entropies, l.logits});
  }
  return routes;
}

SyntheticWave MakeWave(const SyntheticRun& run, const std::vector<DocumentRecord>& documents,
                       int64_t first_document, int64_t first, int64_t end) {
  SyntheticWave wave;
  for (auto i = static_cast<size_t>(first_document); i < documents.size(); ++i) {
    if (documents[i].first_token >= end && end < run.n_tokens) break;
    wave.documents.push_back(documents[i]);
  }
  auto document = std::upper_bound(
      documents.begin(), documents.end(), first,
      [](int64_t token, const DocumentRecord& d) { return token < d.first_token; });
  --document;
  constexpr int kChunk = 512;
  for (int64_t token = first; token < end; ++token) {
    while (token >= document->first_token + document->n_tokens) ++document;
    int64_t row = token - document->first_token;
    TokenRecord record;
    record.token = token;
    record.document = document->document;
    record.sequence = document->document * 100 + row / kChunk;
    record.position = static_cast<int32_t>(row % kChunk);
    // Skewed, as text is: small ids are frequent.
    double u = Uniform(Hash(run.seed ^ 0x1D5, static_cast<uint64_t>(token)));
    record.token_id = static_cast<int32_t>(u * u * u * (run.description.vocab_size - 1));
    record.byte_start = static_cast<uint32_t>(row * 4);
    record.byte_end = static_cast<uint32_t>(row * 4 + 4);
    bool last = row + 1 == document->n_tokens || record.position == kChunk - 1;
    record.loss = last
                      ? std::numeric_limits<float>::quiet_NaN()
                      : 3 * std::abs(Normal(Hash(run.seed ^ 0x1055, static_cast<uint64_t>(token))));
    record.special = row == 0 ? 1 : 0;
    wave.tokens.push_back(record);
  }
  wave.layers.resize(static_cast<size_t>(run.description.n_route_layers()));
  for (int layer = 0; layer < run.description.n_route_layers(); ++layer) {
    for (int64_t token = first; token < end; ++token) {
      FillRow(run, token, layer, wave.layers[static_cast<size_t>(layer)]);
    }
  }
  return wave;
}

void WriteSynthetic(const SyntheticRun& run, const std::string& directory, int64_t wave_tokens,
                    uint64_t memory_bytes) {
  RunWriter writer(directory, run.description, SyntheticVocabulary(run.description.vocab_size),
                   memory_bytes);
  if (writer.complete()) return;
  std::vector<DocumentRecord> documents = run.Documents();
  while (writer.n_tokens() < run.n_tokens) {
    int64_t first = writer.n_tokens();
    int64_t end = std::min(first + wave_tokens, run.n_tokens);
    SyntheticWave wave = MakeWave(run, documents, writer.n_documents_begun(), first, end);
    writer.CommitWave(wave.documents, wave.tokens, wave.Routes());
  }
  writer.Finish();
}

}  // namespace moescope::store
