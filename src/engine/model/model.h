// A loaded model: configuration, weights by role, and what the sweep needs to know about its size.
#pragma once

#include <cstdint>
#include <memory>
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
  const routing::RouterDescription& router() const { return router_; }
  WeightStore& weights() const { return *weights_; }

 private:
  explicit Model(files::Checkpoint checkpoint);
  files::Checkpoint checkpoint_;
  routing::RouterDescription router_;
  std::unique_ptr<WeightStore> weights_;
};

// The weights of one layer, each acquired once. Norms and router are small and used by every row,
// so they are float32 here; the rest stays as stored.
struct LayerWeights {
  struct Expert {
    WeightMatrix gate_proj, up_proj;  // [ffn_dim, model_dim]
    WeightMatrix down_proj;           // [model_dim, ffn_dim]
  };
  WeightMatrix query, key, value, attention_output;
  std::vector<Expert> experts;
  std::vector<float> attention_norm, moe_norm;  // [model_dim]
  std::vector<float> router;                    // [n_experts, model_dim]
};

}  // namespace moescope::engine
