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

// Columns of the head a task takes: enough that its dequantised weights are worth a call.
constexpr int64_t kHeadColumns = 512;

}  // namespace

bool Sweep::State::Continues(size_t row) const {
  if (row + 1 == wave->rows.size()) return false;
  const routing::RowInfo &a = wave->rows[row], &b = wave->rows[row + 1];
  return a.sequence == b.sequence && a.branch == b.branch && a.position + 1 == b.position;
}

void Sweep::State::RunHead() {
  const WeightMatrix head = AcquireHead(model);
  const auto vocab = static_cast<size_t>(shape.vocab_size);
  float* losses = buffers.losses.data();
  ForRows(shape.HeadRows(), [&](Range rows, int worker) {
    float* tile = Scratch(worker);
    float* logits = tile + TileFloats(shape.model_dim);
    TaskTimer timer = Timer(Work::kHead, worker);
    timer.CountProduct(head, rows.size(), shape.vocab_size);
    const Activations x = Rounded(NormedRows(rows), shape.model_dim, {&head},
                                  logits + rows.size() * shape.vocab_size);
    MultiplyStored(kernels, x, head, 0, shape.vocab_size, {logits, vocab, rows.size()}, tile);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      losses[row] = std::numeric_limits<float>::quiet_NaN();
      const float* of_row = logits + static_cast<size_t>(row - rows.begin) * vocab;
      if (options.predictions) {
        predictions[static_cast<size_t>(row)] =
            static_cast<int32_t>(std::max_element(of_row, of_row + vocab) - of_row);
      }
      const auto next = static_cast<size_t>(row) + 1;
      if (!Continues(static_cast<size_t>(row))) continue;
      losses[row] =
          kernels.cross_entropy(of_row, static_cast<int>(vocab), wave->rows[next].token_id);
      if (!std::isfinite(losses[row])) Note(worker, {row, -1, "output head"});
    }
  });
  ThrowIfNonFinite();
}

std::vector<float> Sweep::State::Logits(std::span<const int64_t> rows) {
  const RunTimer run_timer(options.profile);
  const WeightMatrix head = AcquireHead(model);
  const int64_t vocab = shape.vocab_size;
  std::vector<float> logits(rows.size() * static_cast<size_t>(vocab));
  const int64_t n_ranges = (vocab + kHeadColumns - 1) / kHeadColumns;
  pool.Run(static_cast<int64_t>(rows.size()) * n_ranges, [&](int64_t task, int worker) {
    const int64_t i = task / n_ranges, range = task % n_ranges;
    const int64_t row = rows[static_cast<size_t>(i)];
    MOESCOPE_CHECK(0 <= row && row < n_rows);
    const int64_t begin = vocab * range / n_ranges, end = vocab * (range + 1) / n_ranges;
    TaskTimer timer = Timer(Work::kHead, worker);
    timer.CountProduct(head, 1, end - begin);
    float* tile = Scratch(worker);
    const Activations x = Rounded(NormedRows({row, row + 1}), shape.model_dim, {&head},
                                  tile + TileFloats(shape.model_dim));
    MultiplyStored(kernels, x, head, begin, end,
                   {logits.data() + i * vocab + begin, static_cast<size_t>(vocab), 1}, tile);
  });
  return logits;
}

}  // namespace moescope::engine
