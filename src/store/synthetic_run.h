// Runs made up from a seed, for tests and benchmarks of the store: any token's rows can be made
// without those before it, so that waves may be cut anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/run_writer.h"

namespace moescope::store {

struct SyntheticRun {
  RunDescription description;
  int64_t n_tokens = 0;
  uint64_t seed = 1;
  int64_t mean_document_tokens = 300;

  // Documents of the whole run, some of them without tokens.
  std::vector<DocumentRecord> Documents() const;
};

// A description with the given shape and everything else filled in; 0 experts: of a dense run.
RunDescription SyntheticDescription(int n_layers, int n_experts, int experts_per_token);
std::vector<VocabularyEntry> SyntheticVocabulary(int size);

// The buffers of one wave.
struct SyntheticWave {
  std::vector<DocumentRecord> documents;
  std::vector<TokenRecord> tokens;
  struct Layer {
    std::vector<int16_t> experts;
    std::vector<float> weights, margins, entropies, logits;
  };
  std::vector<Layer> layers;
  std::vector<LayerRoutes> Routes() const;
};

// Rows [first, end) with the documents numbered from `first_document` that begin in or before them.
SyntheticWave MakeWave(const SyntheticRun& run, const std::vector<DocumentRecord>& documents,
                       int64_t first_document, int64_t first, int64_t end);

// Writes what is missing of the run in waves of `wave_tokens`, and finishes it.
void WriteSynthetic(const SyntheticRun& run, const std::string& directory, int64_t wave_tokens,
                    uint64_t memory_bytes = uint64_t{64} << 20);

}  // namespace moescope::store
