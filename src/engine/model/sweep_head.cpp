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

int64_t Sweep::State::HeadColumns() const {
  constexpr int64_t kTasksPerWorker = 8, kFewest = 64, kMost = 512;
  const int64_t even = shape.vocab_size / (pool.n_threads() * kTasksPerWorker);
  return std::clamp((even + kFewest - 1) / kFewest * kFewest, kFewest, kMost);
}

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

void Sweep::State::Logits(std::span<const int64_t> rows, std::span<float> out) {
  const RunTimer run_timer(options.profile);
  const WeightMatrix head = AcquireHead(model);
  const auto vocab = static_cast<size_t>(shape.vocab_size);
  const auto dim = static_cast<size_t>(shape.model_dim);
  MOESCOPE_CHECK(rows.size() * vocab <= out.size());
  const auto most_rows = static_cast<size_t>(std::min<int64_t>(kMaxBlockRows, shape.wave_rows));
  for (size_t first = 0; first < rows.size(); first += most_rows) {
    const std::span<const int64_t> part =
        rows.subspan(first, std::min(most_rows, rows.size() - first));
    // After the last layer neither the residual stream nor the expert outputs are needed.
    float* gathered = buffers.residual.data();
    Activations x = Rows{gathered, dim, std::ssize(part)};
    pool.Run(1, [&](int64_t, int) {
      for (size_t i = 0; i < part.size(); ++i) {
        MOESCOPE_CHECK(0 <= part[i] && part[i] < n_rows);
        std::copy(Normed(part[i]), Normed(part[i]) + dim, gathered + i * dim);
      }
      x = Rounded(x.rows, shape.model_dim, {&head}, outputs);
    });
    float* logits = out.data() + first * vocab;
    const int64_t step = HeadColumns();
    pool.Run((shape.vocab_size + step - 1) / step, [&](int64_t task, int worker) {
      const int64_t begin = task * step, end = std::min(begin + step, shape.vocab_size);
      TaskTimer timer = Timer(Work::kHead, worker);
      timer.CountProduct(head, std::ssize(part), end - begin);
      MultiplyStored(kernels, x, head, begin, end, {logits + begin, vocab, std::ssize(part)},
                     Scratch(worker));
    });
  }
}

}  // namespace moescope::engine
