// A loaded model: configuration, weights by role, and what the sweep needs to know about its size.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/weight_store.h"
#include "files/checkpoint.h"
#include "routing/router.h"

namespace moescope::engine {

// Immutable after Open and thread-safe, apart from the weight store's counters.
class Model {
 public:
  // How weights reach memory: mapped (default), or read into memory once at opening.
  enum class Residency { kMapped, kRead };
  // Throws Error as Checkpoint::Open; kUnsupported when the checkpoint holds no weights.
  static std::unique_ptr<Model> Open(const std::string& path,
                                     Residency residency = Residency::kMapped);

  const files::Checkpoint& checkpoint() const { return checkpoint_; }
  const files::ModelConfig& config() const { return checkpoint_.config(); }
  // n_experts is 0 where the model is dense.
  const routing::RouterDescription& router() const { return router_; }
  // Radians a position turns each pair of dimensions by; empty without rotary embedding.
  std::span<const double> rope_frequencies() const { return rope_frequencies_; }
  WeightStore& weights() const { return *weights_; }

 private:
  explicit Model(files::Checkpoint checkpoint);
  void ReadRopeFrequencies();
  files::Checkpoint checkpoint_;
  routing::RouterDescription router_;
  std::vector<double> rope_frequencies_;
  std::unique_ptr<WeightStore> weights_;
};

// A norm's weight, and its bias where it has one.
struct NormWeights {
  std::vector<float> weight, bias;
};

// The weights of one layer, each acquired once. Vectors and the router are small and used by every
// row, so they are float32 here, and empty where the model has none; the rest stays as stored.
struct LayerWeights {
  // A dense layer has one.
  struct Expert {
    WeightMatrix gate_proj, up_proj;  // [ffn_dim, model_dim]; gate_proj null where there is none
    WeightMatrix down_proj;           // [model_dim, ffn_dim]
    std::vector<float> up_bias, down_bias;
  };
  NormWeights attention_norm, feed_forward_norm;
  WeightMatrix query, key, value, attention_output;
  std::vector<float> query_bias, key_bias, value_bias, output_bias;
  std::vector<float> query_norm, key_norm;
  std::vector<float> router;  // [n_experts, model_dim]
  std::vector<Expert> experts;
};

}  // namespace moescope::engine
