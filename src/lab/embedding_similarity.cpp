#include "lab/embedding_similarity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/ops/matmul.h"

namespace moescope::lab {
namespace {

using files::TensorKind;

// 2^33 rows of a unit fit.
constexpr double kFixedPoint = 0x1p30;

int64_t Fixed(double value) {
  return static_cast<int64_t>(std::llround(value * kFixedPoint));
}

// Stored rows of a vocabulary matrix against hidden states.
class StoredRow {
 public:
  StoredRow(const engine::KernelTable& kernels, const engine::WeightMatrix& matrix)
      : kernels_(kernels), matrix_(matrix), row_(static_cast<size_t>(matrix.cols)) {}
  double CorrelationWith(std::span<const float> hidden, int32_t token) {
    DequantiseRowOf(kernels_, matrix_, token, row_.data());
    return Correlation(hidden, row_);
  }

 private:
  const engine::KernelTable& kernels_;
  const engine::WeightMatrix& matrix_;
  std::vector<float> row_;
};

}  // namespace

double Correlation(std::span<const float> a, std::span<const float> b) {
  MOESCOPE_CHECK(a.size() == b.size());
  const auto n = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    mean_a += a[i];
    mean_b += b[i];
  }
  mean_a /= n;
  mean_b /= n;
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i] - mean_a, y = b[i] - mean_b;
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  if (!(aa > 0 && bb > 0)) return 0;
  return std::clamp(ab / (std::sqrt(aa) * std::sqrt(bb)), -1.0, 1.0);
}

SimilaritySums::SimilaritySums(int64_t n_units, int n_layers)
    : n_layers_(n_layers),
      sums_(std::make_unique<std::atomic<int64_t>[]>(
          static_cast<size_t>(n_units * n_layers * kStreamSites * kLikenesses))),
      predicted_(std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(n_units))) {}

uint64_t SimilaritySums::Bytes(int64_t n_units, int n_layers) {
  return sizeof(int64_t) * static_cast<uint64_t>(n_units) *
         (static_cast<uint64_t>(n_layers) * kStreamSites * kLikenesses + 1);
}

size_t SimilaritySums::Place(int64_t unit, int layer, StreamSite site, Likeness likeness) const {
  const int64_t stream = (unit * n_layers_ + layer) * kStreamSites + static_cast<int>(site);
  return static_cast<size_t>(stream * kLikenesses + static_cast<int>(likeness));
}

void SimilaritySums::Add(int64_t unit, int layer, StreamSite site, Likeness likeness,
                         double correlation) {
  sums_[Place(unit, layer, site, likeness)].fetch_add(Fixed(correlation),
                                                      std::memory_order_relaxed);
}

void SimilaritySums::AddPredicted(int64_t unit, double correlation) {
  predicted_[static_cast<size_t>(unit)].fetch_add(Fixed(correlation), std::memory_order_relaxed);
}

double SimilaritySums::Of(int64_t unit, int layer, StreamSite site, Likeness likeness) const {
  return static_cast<double>(sums_[Place(unit, layer, site, likeness)].load()) / kFixedPoint;
}

double SimilaritySums::OfPredicted(int64_t unit) const {
  return static_cast<double>(predicted_[static_cast<size_t>(unit)].load()) / kFixedPoint;
}

EmbeddingSimilarityProbe::EmbeddingSimilarityProbe(const engine::Model& model,
                                                   const engine::KernelTable& kernels,
                                                   int64_t max_rows, SimilaritySums& sums)
    : kernels_(kernels),
      embedding_(model.weights().Acquire({TensorKind::kTokenEmbedding})),
      head_(model.weights().Acquire({model.config().tied_embeddings ? TensorKind::kTokenEmbedding
                                                                    : TensorKind::kOutputHead})),
      n_layers_(model.config().n_layers),
      sums_(sums),
      last_(static_cast<size_t>(max_rows * model.config().model_dim)) {}

uint64_t EmbeddingSimilarityProbe::BytesPerRow(const files::ModelConfig& config) {
  return sizeof(float) * static_cast<uint64_t>(config.model_dim);
}

void EmbeddingSimilarityProbe::Add(const routing::ActivationBatch& batch, StreamSite site) {
  StoredRow input(kernels_, embedding_), output(kernels_, head_);
  const auto dim = static_cast<size_t>(batch.dim);
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const RowTokens& row = rows_[static_cast<size_t>(batch.first_row) + i];
    if (row.unit < 0) continue;
    const std::span<const float> hidden = batch.values.subspan(i * dim, dim);
    auto add = [&](Likeness likeness, double correlation) {
      sums_.Add(row.unit, batch.layer, site, likeness, correlation);
    };
    add(Likeness::kInput, input.CorrelationWith(hidden, row.token));
    add(Likeness::kInputNull, input.CorrelationWith(hidden, row.null_token));
    if (row.next < 0) continue;
    add(Likeness::kOutput, output.CorrelationWith(hidden, row.next));
    add(Likeness::kOutputNull, output.CorrelationWith(hidden, row.null_next));
  }
}

void EmbeddingSimilarityProbe::OnResidualAfterAttention(const routing::ActivationBatch& batch) {
  Add(batch, StreamSite::kAfterAttention);
}

void EmbeddingSimilarityProbe::OnResidualAfterMoe(const routing::ActivationBatch& batch) {
  if (batch.layer < 0) return;  // the embedding itself
  Add(batch, StreamSite::kAfterMoe);
  if (batch.layer + 1 < n_layers_) return;
  std::copy(batch.values.begin(), batch.values.end(),
            last_.begin() + static_cast<ptrdiff_t>(batch.first_row * batch.dim));
}

void EmbeddingSimilarityProbe::AddPredictions(std::span<const int32_t> predictions,
                                              ThreadPool& pool) {
  constexpr size_t kRowsPerTask = 64;
  const size_t n_rows = rows_.size(), dim = static_cast<size_t>(head_.cols);
  pool.Run(static_cast<int64_t>((n_rows + kRowsPerTask - 1) / kRowsPerTask),
           [&](int64_t task, int) {
             StoredRow output(kernels_, head_);
             const size_t begin = static_cast<size_t>(task) * kRowsPerTask;
             for (size_t i = begin; i < std::min(begin + kRowsPerTask, n_rows); ++i) {
               const RowTokens& row = rows_[i];
               if (row.unit < 0 || row.next < 0) continue;
               const std::span<const float> hidden = std::span(last_).subspan(i * dim, dim);
               sums_.AddPredicted(row.unit, output.CorrelationWith(hidden, predictions[i]));
             }
           });
}

}  // namespace moescope::lab
