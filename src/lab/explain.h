// `explain`: why a token was routed as it was, and one token through one layer, in parts that add
// up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/token_record.h"
#include "text/tokenizer.h"

namespace moescope::lab {

// What one earlier part of the network adds to a difference of two router logits.
struct MarginPart {
  enum class Kind { kEmbedding, kHead, kAttentionBias, kExpert };
  Kind kind = Kind::kEmbedding;
  int layer = -1;
  int index = -1;     // head or expert
  double weight = 1;  // routing weight of an expert
  double value = 0;
};
std::string Name(const MarginPart& part);  // "embedding", "L3 head 2", "L3 expert 5"

// The residual stream before a router is a sum of vectors: the embedding, what each head of this
// and earlier layers wrote, what each chosen expert of earlier layers wrote. The router is linear
// in it but for the norm's scale, so with that scale held at its value the margin is the sum of
// what each vector adds.
struct RouteExplanation {
  int layer = 0, expert = 0, against = 0;
  double margin = 0;              // router logit of `expert` minus that of `against`, as computed
  double sum = 0;                 // of the parts
  double rms = 0;                 // the scale that is held
  std::vector<MarginPart> parts;  // in the order of the network
};

// expert, against: -1 for the last chosen and the first not chosen. Sums are in double.
// Requires: a mixture of experts. Throws Error(kBadInput) for experts that are not there.
RouteExplanation ExplainRoute(const engine::Model& model, const std::vector<LayerRecord>& layers,
                              int layer, int expert, int against);

// The tokens whose row of a vocabulary matrix has the largest products with a vector.
struct TokenScore {
  int32_t token_id = 0;
  double score = 0;
};
// direction [model_dim]; the output head, or with `embedding` the token embedding.
std::vector<TokenScore> TopTokens(const engine::Model& model, const std::vector<float>& direction,
                                  bool embedding, int n);

// What the layer's output is made of, recomputed from the record: the largest absolute difference
// to the recorded stream after attention, and after the experts. 0 when every bit is the same.
struct LayerCheck {
  double attention = 0, experts = 0;
};
LayerCheck CheckLayer(const engine::Model& model, const LayerRecord& record, int layer);

// A row of a router in the space of the embedding: times the norm's weight. [model_dim]
std::vector<float> RouterDirection(const engine::Model& model, int layer, int expert);
// What an expert wrote, as the output head sees it: times the final norm's weight. [model_dim]
std::vector<float> OutputDirection(const engine::Model& model, const std::vector<float>& output);

}  // namespace moescope::lab
