#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

#include "base/cancellation.h"
#include "base/error.h"
#include "engine/model/sweep_state.h"

namespace moescope::engine {
namespace {

// Experts this wide are not cut into fewer rows than a task may have, but into ranges of columns: a
// weight is unpacked once for all its rows, and taking the rows once a range costs little beside
// that many columns. Prompt of 512, Mixtral's shape, 2 threads: a fifth less processor time.
constexpr int64_t kWideColumns = 2048;
constexpr int64_t kWideRanges = 4;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// After an edit of router logits only -infinity, a masked expert, may stand beside finite values.
void CheckEditedLogits(std::span<const float> logits, int layer) {
  for (float logit : logits) {
    if (std::isfinite(logit) || logit == -kInfinity) continue;
    throw Error(ErrorKind::kBadInput, "cannot route layer " + std::to_string(layer) +
                                          ": an intervention wrote a router logit of NaN or "
                                          "+infinity; use -infinity to mask an expert");
  }
}

void CheckEditedDecisions(const routing::DecisionBatch& batch) {
  for (int16_t expert : batch.experts) {
    if (expert >= -1 && expert < batch.n_experts) continue;
    throw Error(ErrorKind::kBadInput, "cannot route layer " + std::to_string(batch.layer) +
                                          ": an intervention chose expert " +
                                          std::to_string(expert) + " of " +
                                          std::to_string(batch.n_experts));
  }
  if (FindNonFinite(batch.weights.data(), static_cast<int64_t>(batch.weights.size())) >= 0) {
    throw Error(ErrorKind::kBadInput, "cannot route layer " + std::to_string(batch.layer) +
                                          ": an intervention wrote a routing weight of NaN or "
                                          "infinity");
  }
}

// Gives an expert that is streamed back when a task has worked with it; a task that failed ends the
// waits of the others.
class ExpertInUse {
 public:
  ExpertInUse(ExpertSchedule* schedule, int expert) : schedule_(schedule), expert_(expert) {}
  ~ExpertInUse() {
    if (schedule_ == nullptr) return;
    std::uncaught_exceptions() > 0 ? schedule_->Stop() : schedule_->Done(expert_);
  }
  ExpertInUse(const ExpertInUse&) = delete;
  ExpertInUse& operator=(const ExpertInUse&) = delete;

 private:
  ExpertSchedule* schedule_;
  int expert_;
};

}  // namespace

void Sweep::State::Route(Range rows, int worker) {
  const int n_experts = router.n_experts, k = router.experts_per_token;
  float* logits = buffers.router_logits.data() + rows.begin * n_experts;
  int16_t* experts = buffers.experts.data() + rows.begin * k;
  float* slot_weights = buffers.weights.data() + rows.begin * k;
  const auto dim = static_cast<size_t>(shape.model_dim);
  kernels.multiply(Normed(rows.begin), dim, weights.router.data(), dim, logits,
                   static_cast<size_t>(n_experts), static_cast<int>(rows.size()), n_experts,
                   static_cast<int>(shape.model_dim));
  int64_t bad = FindNonFinite(logits, rows.size() * n_experts);
  if (bad >= 0) {
    Note(worker, {rows.begin + bad / n_experts, static_cast<int>(bad % n_experts), "router logit"});
    return;
  }

  const auto n = static_cast<size_t>(rows.size());
  routing::DecisionBatch batch{.layer = layer,
                               .first_row = rows.begin,
                               .rows = RowInfos(rows),
                               .n_experts = n_experts,
                               .experts_per_token = k,
                               .router_logits = {logits, n * static_cast<size_t>(n_experts)},
                               .experts = {},
                               .weights = {}};
  if (probes.Wants(routing::kSiteRouterLogits)) {
    probes.Call(routing::kSiteRouterLogits, batch, worker);
    if (probes.Edits(routing::kSiteRouterLogits)) CheckEditedLogits(batch.router_logits, layer);
  }
  for (int64_t row = 0; row < rows.size(); ++row) {
    routing::ChooseExperts(router, logits + row * n_experts, experts + row * k,
                           slot_weights + row * k);
  }
  if (probes.Wants(routing::kSiteDecision)) {
    batch.experts = {experts, n * static_cast<size_t>(k)};
    batch.weights = {slot_weights, n * static_cast<size_t>(k)};
    probes.Call(routing::kSiteDecision, batch, worker);
    if (probes.Edits(routing::kSiteDecision)) CheckEditedDecisions(batch);
  }
}

void Sweep::State::RouteDense(Range rows) {
  std::fill(buffers.experts.data() + rows.begin, buffers.experts.data() + rows.end, int16_t{0});
  std::fill(buffers.weights.data() + rows.begin, buffers.weights.data() + rows.end, 1.0f);
}

void Sweep::State::RunExperts() {
  const int64_t wanted = pool.n_threads() * int64_t{8};
  const AssignmentArrays arrays = {buffers.assignment_row.data(), buffers.assignment_slot.data(),
                                   buffers.output_index.data()};
  const auto n_slots = static_cast<size_t>(n_rows * router.experts_per_token);
  // Probes see whole rows of an expert, so they need whole-row tasks too.
  const bool probed = probes.Wants(routing::kSiteExpertInput | routing::kSiteExpertOutput);
  const bool wide = !probed && std::min(shape.ffn_dim, shape.model_dim) >= kWideColumns;
  n_assignments += expert_blocks.Build({buffers.experts.data(), n_slots}, router.experts_per_token,
                                       wide ? 1 : wanted, kMaxBlockRows, arrays);
  const std::span<const ExpertBlock> blocks = expert_blocks.blocks();
  const auto n_blocks = static_cast<int64_t>(blocks.size());
  const Range all_hidden = {0, shape.ffn_dim}, all_model = {0, shape.model_dim};

  const bool whole_blocks = 2 * n_blocks >= (wide ? 4 * wanted : wanted) || probed;
  if (schedule != nullptr) BeginExperts(blocks);
  if (whole_blocks) {
    pool.Run(n_blocks, [&](int64_t task, int worker) {
      ThrowIfCancelled();
      const ExpertBlock& block = blocks[static_cast<size_t>(task)];
      const ExpertInUse in_use(schedule, block.expert);
      NeedExpert(block.expert);
      float* hidden = buffers.hidden.data() + worker * kMaxBlockRows * shape.ffn_dim;
      ExpertUp(block, all_hidden, hidden, worker);
      ExpertDown(block, all_model, hidden, worker);
      if (probed) {
        CallExpertProbes(routing::kSiteExpertOutput, block, outputs + block.begin * shape.model_dim,
                         worker);
      }
    });
    return;
  }

  // Few rows for many workers: columns are cut too, for as many blocks as the hidden rows hold.
  for (int64_t first = 0; first < n_blocks;) {
    int64_t last = first;
    const int64_t base = blocks[static_cast<size_t>(first)].begin;
    auto end_row = [&](int64_t b) {
      return blocks[static_cast<size_t>(b)].begin + blocks[static_cast<size_t>(b)].n_rows;
    };
    const int64_t most = BlocksHeld(blocks, first);
    while (last < first + most && end_row(last) - base <= shape.HiddenRows()) ++last;
    const int64_t n = last - first;
    auto run = [&](int64_t n_columns, FunctionRef<void(const ExpertBlock&, Range, int)> fn) {
      const int64_t n_ranges =
          std::clamp<int64_t>(wanted / n, wide ? kWideRanges : 1, (n_columns + 15) / 16);
      pool.Run(n * n_ranges, [&](int64_t task, int worker) {
        ThrowIfCancelled();
        const int64_t range = task % n_ranges;
        fn(blocks[static_cast<size_t>(first + task / n_ranges)],
           {n_columns * range / n_ranges, n_columns * (range + 1) / n_ranges}, worker);
      });
    };
    auto hidden = [&](const ExpertBlock& block) {
      return buffers.hidden.data() + (block.begin - base) * shape.ffn_dim;
    };
    run(shape.ffn_dim, [&](const ExpertBlock& block, Range columns, int worker) {
      NeedExpert(block.expert);
      ExpertUp(block, columns, hidden(block), worker);
    });
    run(shape.model_dim, [&](const ExpertBlock& block, Range columns, int worker) {
      ExpertDown(block, columns, hidden(block), worker);
    });
    EndExperts(blocks.subspan(static_cast<size_t>(first), static_cast<size_t>(n)));
    first = last;
  }
}

// hidden[:, columns] = silu(x gate_proj^T) * (x up_proj^T) for the rows of the block, or
// gelu(x up_proj^T + bias) where there is no gate.
void Sweep::State::ExpertUp(const ExpertBlock& block, Range columns, float* hidden, int worker) {
  TaskTimer timer = Timer(Work::kExpertUp, worker);
  const int64_t dim = shape.model_dim;
  float* tile = Scratch(worker);
  float* gathered = tile + TileFloats(dim);
  float* up = gathered + block.n_rows * dim;
  for (int64_t i = 0; i < block.n_rows; ++i) {
    const float* row = Normed(buffers.assignment_row.data()[block.begin + i]);
    std::copy(row, row + dim, gathered + i * dim);
  }
  if (probes.Wants(routing::kSiteExpertInput)) {
    CallExpertProbes(routing::kSiteExpertInput, block, gathered, worker);
  }

  const LayerWeights::Expert& expert = weights.experts[static_cast<size_t>(block.expert)];
  timer.CountProduct(expert.gate_proj, block.n_rows, columns.size());
  timer.CountProduct(expert.up_proj, block.n_rows, columns.size());
  const bool gated = model.config().feed_forward == files::FeedForwardKind::kSwiGlu;
  const Activations x =
      Rounded({gathered, static_cast<size_t>(dim), block.n_rows}, dim,
              {&expert.gate_proj, &expert.up_proj}, up + block.n_rows * shape.UpColumns());
  const int64_t step = x.tiles == nullptr ? TileColumns(dim) : kTiledColumns;
  const auto stride = static_cast<size_t>(shape.ffn_dim);
  for (int64_t column = columns.begin; column < columns.end; column += step) {
    const int64_t end = std::min(column + step, columns.end);
    const auto n = static_cast<size_t>(end - column);
    const Rows out = {hidden + column, stride, block.n_rows};
    // Without a gate `up` is the hidden row itself.
    const Rows up_rows = gated ? Rows{up, n, block.n_rows} : out;
    if (gated) MultiplyStored(kernels, x, expert.gate_proj, column, end, out, tile);
    MultiplyStored(kernels, x, expert.up_proj, column, end, up_rows, tile);
    for (int64_t i = 0; i < block.n_rows; ++i) {
      float* up_row = up_rows.row(i);
      if (!expert.up_bias.empty()) kernels.add_scaled(up_row, expert.up_bias.data() + column, 1, n);
      if (gated) {
        kernels.silu_multiply(out.row(i), up_row, n);
      } else {
        kernels.gelu(up_row, n);
      }
    }
  }
}

void Sweep::State::ExpertDown(const ExpertBlock& block, Range columns, const float* hidden,
                              int worker) {
  const LayerWeights::Expert& expert = weights.experts[static_cast<size_t>(block.expert)];
  TaskTimer timer = Timer(Work::kExpertDown, worker);
  timer.CountProduct(expert.down_proj, block.n_rows, columns.size());
  float* tile = Scratch(worker);
  const Activations x =
      Rounded({const_cast<float*>(hidden), static_cast<size_t>(shape.ffn_dim), block.n_rows},
              shape.ffn_dim, {&expert.down_proj}, tile + TileFloats(shape.ffn_dim));
  const Rows out = {outputs + block.begin * shape.model_dim + columns.begin,
                    static_cast<size_t>(shape.model_dim), block.n_rows};
  MultiplyStored(kernels, x, expert.down_proj, columns.begin, columns.end, out, tile);
  if (expert.down_bias.empty()) return;
  for (int64_t i = 0; i < block.n_rows; ++i) {
    kernels.add_scaled(out.row(i), expert.down_bias.data() + columns.begin, 1,
                       static_cast<size_t>(columns.size()));
  }
}

void Sweep::State::CallExpertProbes(routing::Site site, const ExpertBlock& block, float* rows,
                                    int worker) {
  if (!probes.Wants(site)) return;
  const auto n = static_cast<size_t>(block.n_rows);
  probes.Call(site,
              routing::ExpertBatch{.layer = layer,
                                   .expert = block.expert,
                                   .row = {buffers.assignment_row.data() + block.begin, n},
                                   .slot = {buffers.assignment_slot.data() + block.begin, n},
                                   .all_rows = wave->rows,
                                   .dim = static_cast<int>(shape.model_dim),
                                   .values = {rows, n * static_cast<size_t>(shape.model_dim)}},
              worker);
}

void Sweep::State::Combine(const NormWeights& next_norm) {
  const int k = router.experts_per_token;
  const auto dim = static_cast<size_t>(shape.model_dim);
  ForRows(kMaxBlockRows, [&](Range rows, int worker) {
    const TaskTimer timer = Timer(Work::kCombine, worker);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      for (int slot = 0; slot < k; ++slot) {
        const int64_t output = buffers.output_index.data()[row * k + slot];
        if (output < 0) continue;
        kernels.add_scaled(Residual(row), outputs + static_cast<size_t>(output) * dim,
                           buffers.weights.data()[row * k + slot], dim);
      }
    }
    if (int64_t bad = FindNonFinite(Residual(rows.begin), rows.size() * shape.model_dim);
        bad >= 0) {
      const int64_t row = rows.begin + bad / shape.model_dim;
      NonFinite found = {row, -1, "sum of the expert outputs"};
      for (int slot = k - 1; slot >= 0; --slot) {
        const int64_t output = buffers.output_index.data()[row * k + slot];
        if (output < 0) continue;
        if (FindNonFinite(outputs + static_cast<size_t>(output) * dim, shape.model_dim) >= 0) {
          found = {row, buffers.experts.data()[row * k + slot], "output"};
        }
      }
      Note(worker, found);
    }
    if (probes.Wants(routing::kSiteResidualAfterMoe)) {
      probes.Call(routing::kSiteResidualAfterMoe,
                  routing::ActivationBatch{
                      .layer = layer,
                      .first_row = rows.begin,
                      .rows = RowInfos(rows),
                      .dim = static_cast<int>(dim),
                      .values = {Residual(rows.begin), static_cast<size_t>(rows.size()) * dim}},
                  worker);
    }
    NormRows(rows, next_norm);
  });
  ThrowIfNonFinite();
}

}  // namespace moescope::engine
