// A loaded model: configuration, weights by role, and what the sweep needs to know about its size.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/weight_store.h"
#include "files/checkpoint.h"
#include "routing/router.h"

namespace moescope::engine {

// How weights reach memory, and how much of it there is.
struct ModelOptions {
  bool read_into_memory = false;  // once, at opening; otherwise mapped
  // All that the process may use; 0: what is available. Weights that do not fit beside the rest are
  // streamed (docs/expert-streaming.md).
  uint64_t memory_bytes = 0;
  // What others than the weights need of it, by configuration and the most that weights leave.
  std::function<uint64_t(const files::ModelConfig& config, uint64_t most_bytes)> rest_bytes =
      nullptr;
  ExpertScheduleOptions experts = {};
};

// Immutable after Open and thread-safe, apart from the weight store's counters and, where experts
// are streamed, their schedule: then one sweep or session runs at a time.
class Model {
 public:
  // Throws Error as Checkpoint::Open; kUnsupported when the checkpoint holds no weights; kResource
  // as PlanWeights.
  static std::unique_ptr<Model> Open(const std::string& path, const ModelOptions& options = {});

  // What the weights leave of the memory; nothing where none was given and the weights are mapped,
  // since the system then takes pages back as it needs them.
  std::optional<uint64_t> memory_left() const { return memory_left_; }

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
  std::optional<uint64_t> memory_left_;
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
