// How much of its token a hidden state still is, and how much of the next token it is already:
// correlations of the residual stream with rows of the token embedding and of the output head,
// layer by layer. Definitions: docs/analyses.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/model.h"
#include "routing/probe.h"

namespace moescope::lab {

// Where the stream is looked at: what the router reads (before its norm), and what a layer hands
// on.
enum class StreamSite { kAfterAttention, kAfterMoe };
inline constexpr int kStreamSites = 2;

// What a hidden state is compared with. The nulls: a token drawn in place of the right one.
enum class Likeness { kInput, kInputNull, kOutput, kOutputNull };
inline constexpr int kLikenesses = 4;

// Pearson correlation over the elements of two vectors, sums in double in the order of the
// elements; 0 where either is constant.
double Correlation(std::span<const float> a, std::span<const float> b);

// Sums over rows by unit, layer, site and likeness, and the same of the last layer with the output
// embedding of what the model predicts. Fixed-point numbers, so the order of rows does not matter:
// the same for any threads and waves. 64 bytes a unit and layer.
class SimilaritySums {
 public:
  SimilaritySums(int64_t n_units, int n_layers);
  static uint64_t Bytes(int64_t n_units, int n_layers);

  // One row's correlation. Thread-safe.
  void Add(int64_t unit, int layer, StreamSite site, Likeness likeness, double correlation);
  void AddPredicted(int64_t unit, double correlation);
  // Multiples of 2^-30. Requires: rows of a unit below 2^23, for sums over them to be exact.
  double Of(int64_t unit, int layer, StreamSite site, Likeness likeness) const;
  double OfPredicted(int64_t unit) const;

 private:
  size_t Place(int64_t unit, int layer, StreamSite site, Likeness likeness) const;
  int n_layers_;
  std::unique_ptr<std::atomic<int64_t>[]> sums_;
  std::unique_ptr<std::atomic<int64_t>[]> predicted_;
};

// What a row of a wave is compared with.
struct RowTokens {
  int32_t unit = -1;  // -1: a special row, not looked at
  int32_t token = 0, null_token = 0;
  int32_t next = -1, null_next = 0;  // -1: the last row of its sequence
};

// Adds the rows of one wave after another to sums. The model and the sums must outlive it.
class EmbeddingSimilarityProbe : public routing::Probe {
 public:
  // Keeps the last layer's stream for AddPredictions: 4 bytes a row and dimension.
  EmbeddingSimilarityProbe(const engine::Model& model, const engine::KernelTable& kernels,
                           int64_t max_rows, SimilaritySums& sums);
  static uint64_t BytesPerRow(const files::ModelConfig& config);

  // The rows of the next wave, valid while it runs. Requires: at most max_rows.
  void Begin(std::span<const RowTokens> rows) { rows_ = rows; }
  uint32_t sites() const override {
    return routing::kSiteResidualAfterAttention | routing::kSiteResidualAfterMoe;
  }
  void OnResidualAfterAttention(const routing::ActivationBatch& batch) override;
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override;
  // After the wave: predictions [n_rows] of its rows.
  void AddPredictions(std::span<const int32_t> predictions, ThreadPool& pool);

 private:
  void Add(const routing::ActivationBatch& batch, StreamSite site);

  const engine::KernelTable& kernels_;
  engine::WeightMatrix embedding_, head_;
  int n_layers_;
  SimilaritySums& sums_;
  std::span<const RowTokens> rows_;
  std::vector<float> last_;  // [max_rows, model_dim]
};

}  // namespace moescope::lab
