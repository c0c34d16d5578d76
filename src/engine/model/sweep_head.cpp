#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/model/sweep_state.h"

namespace moescope::engine {
namespace {

WeightMatrix AcquireHead(const Model& model) {
  const bool tied = model.config().tied_embeddings;
  return model.weights().Acquire(
      {tied ? files::TensorKind::kTokenEmbedding : files::TensorKind::kOutputHead});
}

}  // namespace

void Sweep::State::RunHead() {
  const WeightMatrix head = AcquireHead(model);
  const auto vocab = static_cast<size_t>(shape.vocab_size);
  float* losses = buffers.losses.data();
  ForRows(shape.HeadRows(), [&](Range rows, int worker) {
    float* tile = Scratch(worker);
    float* logits = tile + TileFloats(shape.model_dim);
    MultiplyStored(kernels, NormedRows(rows), head, 0, shape.vocab_size,
                   {logits, vocab, rows.size()}, tile);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      losses[row] = std::numeric_limits<float>::quiet_NaN();
      const auto next = static_cast<size_t>(row) + 1;
      if (next == wave->rows.size() || wave->rows[next].position == 0) continue;
      losses[row] = kernels.cross_entropy(logits + static_cast<size_t>(row - rows.begin) * vocab,
                                          static_cast<int>(vocab), wave->rows[next].token_id);
      if (!std::isfinite(losses[row])) Note(worker, {row, -1, "output head"});
    }
  });
  ThrowIfNonFinite();
}

std::vector<float> Sweep::State::Logits(std::span<const int64_t> rows) {
  const WeightMatrix head = AcquireHead(model);
  const auto vocab = static_cast<size_t>(shape.vocab_size);
  std::vector<float> logits(rows.size() * vocab);
  pool.Run(static_cast<int64_t>(rows.size()), [&](int64_t i, int worker) {
    const int64_t row = rows[static_cast<size_t>(i)];
    MOESCOPE_CHECK(0 <= row && row < n_rows);
    MultiplyStored(kernels, NormedRows({row, row + 1}), head, 0, shape.vocab_size,
                   {logits.data() + static_cast<size_t>(i) * vocab, vocab, 1}, Scratch(worker));
  });
  return logits;
}

}  // namespace moescope::engine
