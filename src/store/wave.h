// One wave as the run directory takes it: documents, tokens, and the routes of each layer that has
// any.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace moescope::store {

// One document, known before its tokens are committed.
struct DocumentRecord {
  int64_t document = 0;  // running index from 0
  std::string dataset, source, unit;
  uint64_t n_bytes = 0;
  int64_t first_token = 0;  // global token index
  int64_t n_tokens = 0;
  uint64_t hash = 0;
};

struct TokenRecord {
  int64_t token = 0;  // global index, consecutive over the run
  int64_t document = 0;
  int64_t sequence = 0;
  int32_t position = 0;
  int32_t token_id = 0;     // -1: null, and the byte range too (imported routes)
  uint32_t byte_start = 0;  // of the document's text
  uint32_t byte_end = 0;
  float loss = 0;  // NaN: null
  uint8_t special = 0;
  uint8_t phase = 0;    // 0: prefill (a sweep)
  uint16_t unused = 0;  // no padding: records are written as they lie in memory
};
static_assert(sizeof(TokenRecord) == 48);

// The decisions of one layer for all rows of a wave, in token order. Values that are not finite are
// stored as null.
struct LayerRoutes {
  std::span<const int16_t> experts;  // [n_rows, K]; -1: dropped slot
  std::span<const float> weights;    // [n_rows, K]
  std::span<const float> margins;    // [n_rows]
  std::span<const float> entropies;  // [n_rows]
  std::span<const float> logits;     // [n_rows, E] or empty
};

}  // namespace moescope::store
