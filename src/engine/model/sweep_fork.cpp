#include <algorithm>

#include "base/cancellation.h"
#include "base/error.h"
#include "engine/model/sweep_state.h"

namespace moescope::engine {

void Sweep::State::Admit(size_t n) {
  n_sequences = n;
  n_rows = wave->sequence_begin[n];
  while (n_attention_tasks < attention_tasks.size() &&
         attention_tasks[n_attention_tasks].sequence < static_cast<int64_t>(n)) {
    ++n_attention_tasks;
  }
}

void Sweep::State::StartWithoutForks() {
  const std::vector<Wave::Fork>& forks = wave->forks;
  const auto first =
      std::find_if(forks.begin(), forks.end(), [](const Wave::Fork& fork) { return fork.of >= 0; });
  n_attention_tasks = 0;
  Admit(static_cast<size_t>(first - forks.begin()));
}

void Sweep::State::JoinForks() {
  const std::vector<Wave::Fork>& forks = wave->forks;
  const size_t first = n_sequences;
  size_t end = first;
  while (end < forks.size() && forks[end].layer == layer) ++end;
  if (end == first) return;
  // Else a fork would be edited twice, once as a part of its source.
  MOESCOPE_CHECK(!probes.Edits(routing::kSiteResidualAfterAttention));

  // A sequence's rows may be many: blocks of them are the tasks.
  struct Task {
    Range rows;
    int64_t source;  // row that the first one is a copy of
  };
  std::vector<Task> tasks;
  for (size_t s = first; s < end; ++s) {
    const int64_t begin = wave->sequence_begin[s], last = wave->sequence_begin[s + 1];
    const int64_t source = wave->sequence_begin[static_cast<size_t>(forks[s].of)];
    for (int64_t row = begin; row < last; row += kMaxBlockRows) {
      tasks.push_back({{row, std::min(row + kMaxBlockRows, last)}, source + row - begin});
    }
  }
  const int64_t n_joined = wave->sequence_begin[end] - n_rows;
  Admit(end);
  flops += 2 * static_cast<double>(n_joined * shape.model_dim * model.config().n_experts);
  pool.Run(static_cast<int64_t>(tasks.size()), [&](int64_t index, int worker) {
    ThrowIfCancelled();
    const Task& task = tasks[static_cast<size_t>(index)];
    const float* from = Residual(task.source);
    std::copy(from, from + task.rows.size() * shape.model_dim, Residual(task.rows.begin));
    FinishAttention(task.rows, worker);
  });
  ThrowIfNonFinite();
}

}  // namespace moescope::engine
