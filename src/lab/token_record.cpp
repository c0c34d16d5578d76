#include "lab/token_record.h"

#include <algorithm>

#include "engine/model/sweep.h"

namespace moescope::lab {
namespace {

class TokenProbe : public routing::Probe {
 public:
  TokenProbe(const files::ModelConfig& config, int64_t position)
      : position_(position), layers_(static_cast<size_t>(config.n_layers)) {
    const auto n_seen = static_cast<size_t>(position) + 1;
    const int n_slots = config.dense() ? 1 : config.experts_per_token;
    for (LayerRecord& layer : layers_) {
      layer.attention.resize(static_cast<size_t>(config.n_heads) * n_seen);
      layer.expert_outputs.resize(static_cast<size_t>(n_slots));
    }
  }

  uint32_t sites() const override {
    return routing::kSiteDecision | routing::kSiteExpertOutput |
           routing::kSiteResidualAfterAttention | routing::kSiteResidualAfterMoe |
           routing::kSiteAttention | routing::kSiteHeads;
  }
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override {
    const auto layer = static_cast<size_t>(batch.layer + 1);
    if (batch.layer >= 0) Take(batch, layers_[layer - 1].output);
    if (layer < layers_.size()) Take(batch, layers_[layer].input);
  }
  void OnResidualAfterAttention(const routing::ActivationBatch& batch) override {
    Take(batch, Of(batch.layer).after_attention);
  }
  void OnHeads(const routing::ActivationBatch& batch) override {
    Take(batch, Of(batch.layer).heads);
  }
  void OnAttention(const routing::AttentionBatch& batch) override {
    const int64_t row = position_ - batch.rows[0].position;
    if (row < 0 || row >= static_cast<int64_t>(batch.rows.size())) return;
    const float* from = batch.weights.data() + row * batch.n_keys;
    std::copy_n(from, position_ + 1 - batch.first_key,
                Of(batch.layer).attention.begin() + batch.head * (position_ + 1) + batch.first_key);
  }
  void OnDecision(const routing::DecisionBatch& batch) override {
    const int64_t row = position_ - batch.rows[0].position;
    if (row < 0 || row >= static_cast<int64_t>(batch.rows.size())) return;
    LayerRecord& layer = Of(batch.layer);
    Copy(batch.router_logits, row, batch.n_experts, layer.router_logits);
    Copy(batch.experts, row, batch.experts_per_token, layer.experts);
    Copy(batch.weights, row, batch.experts_per_token, layer.weights);
  }
  void OnExpertOutput(const routing::ExpertBatch& batch) override {
    for (size_t i = 0; i < batch.row.size(); ++i) {
      if (batch.all_rows[static_cast<size_t>(batch.row[i])].position != position_) continue;
      Copy(batch.values, static_cast<int64_t>(i), batch.dim,
           Of(batch.layer).expert_outputs[static_cast<size_t>(batch.slot[i])]);
    }
  }
  std::vector<LayerRecord> Finish() { return std::move(layers_); }

 private:
  LayerRecord& Of(int layer) { return layers_[static_cast<size_t>(layer)]; }
  template <typename T>
  static void Copy(std::span<T> rows, int64_t row, int width, std::vector<T>& out) {
    const auto part = rows.subspan(static_cast<size_t>(row * width), static_cast<size_t>(width));
    out.assign(part.begin(), part.end());
  }
  void Take(const routing::ActivationBatch& batch, std::vector<float>& out) const {
    const int64_t row = position_ - batch.rows[0].position;
    if (row < 0 || row >= static_cast<int64_t>(batch.rows.size())) return;
    Copy(batch.values, row, batch.dim, out);
  }

  int64_t position_;
  std::vector<LayerRecord> layers_;
};

}  // namespace

std::vector<LayerRecord> RecordToken(const engine::Model& model, const std::vector<int32_t>& ids,
                                     int64_t position, int n_threads) {
  const auto n = static_cast<int>(ids.size());
  ThreadPool pool(n_threads);
  engine::Sweep sweep(model, engine::SelectKernels(), pool,
                      {.wave_rows = n, .max_sequence = n, .losses = false});
  engine::Wave wave;
  wave.Add(0, 0, ids);  // the only sequence: rows are positions
  TokenProbe probe(model.config(), position);
  routing::Probe* probes[] = {&probe};
  sweep.Run(wave, probes);
  std::vector<LayerRecord> layers = probe.Finish();
  if (model.config().dense()) {
    for (LayerRecord& layer : layers) {
      layer.experts = {0};
      layer.weights = {1};
    }
  }
  return layers;
}

}  // namespace moescope::lab
