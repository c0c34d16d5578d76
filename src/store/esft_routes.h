// Route files as the ESFT scripts write them: expert_weights_<layer>.txt, one line a sequence, the
// chosen experts of each token, then, after an empty field, their gate values in the same order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::store {

struct EsftShape {
  int n_experts = 64;
  int experts_per_token = 6;
};

// One layer: rows of all sequences one after another.
struct EsftRoutes {
  std::vector<int64_t> sequence_tokens;  // rows of each line
  // [n_rows, experts_per_token], largest gate value first, ties to the lower expert.
  std::vector<int16_t> experts;
  std::vector<float> weights;
};

// Throws Error(kCorrupt) naming line and field for anything but such lines: numbers of another
// shape, an expert twice in a token or past n_experts, gate values that are negative or not finite.
// Linear in the text. `path` is for messages.
EsftRoutes ParseEsftRoutes(std::string_view text, const EsftShape& shape, const std::string& path);

// The layer of "expert_weights_12.txt"; nullopt for other names. `name` is without folders.
std::optional<int> EsftLayer(std::string_view name);

}  // namespace moescope::store
