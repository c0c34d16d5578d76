#include <algorithm>
#include <cmath>

#include "base/cancellation.h"
#include "base/tensor/convert_rows.h"
#include "engine/model/sweep_state.h"
#include "engine/ops/attention.h"

namespace moescope::engine {
namespace {

// Rounds a block of whole heads, from dimension `first_dim` on, into the cache from a position on.
// rows_of(head): where the cache has the rows of a head.
template <typename F>
void StoreRounded(const KvCache& cache, Rows block, int64_t first_dim, int64_t position,
                  F rows_of) {
  const auto head_dim = static_cast<size_t>(cache.head_dim());
  for (size_t dim = 0; dim < block.stride; dim += head_dim) {
    const int64_t head = (first_dim + static_cast<int64_t>(dim)) / cache.head_dim();
    std::byte* out = rows_of(head) + position * cache.row_bytes();
    for (int64_t row = 0; row < block.n_rows; ++row, out += cache.row_bytes()) {
      QuantiseRow(cache.type(), {block.row(row) + dim, head_dim}, out);
    }
  }
}

}  // namespace

void Sweep::State::NormRows(Range rows, const NormWeights& norm) {
  const auto eps = static_cast<float>(model.config().norm_eps);
  const auto dim = static_cast<int>(shape.model_dim);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (norm.bias.empty()) {
      kernels.rms_norm(Residual(row), norm.weight.data(), eps, Normed(row), dim);
    } else {
      kernels.layer_norm(Residual(row), norm.weight.data(), norm.bias.data(), eps, Normed(row),
                         dim);
    }
  }
}

void Sweep::State::Embed(const NormWeights& next_norm) {
  const WeightMatrix embedding = model.weights().Acquire({files::TensorKind::kTokenEmbedding});
  const bool learned = model.config().positions == files::PositionKind::kLearned;
  const WeightMatrix positions =
      learned ? model.weights().Acquire({files::TensorKind::kPositionEmbedding}) : WeightMatrix{};
  const auto dim = static_cast<size_t>(shape.model_dim);
  ForRows(kMaxBlockRows, [&](Range rows, int worker) {
    const TaskTimer timer = Timer(Work::kEmbedding, worker);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const routing::RowInfo& info = wave->rows[static_cast<size_t>(row)];
      DequantiseRowOf(kernels, embedding, info.token_id, Residual(row));
      if (!learned) continue;
      DequantiseRowOf(kernels, positions, info.position, Scratch(worker));
      kernels.add_scaled(Residual(row), Scratch(worker), 1, dim);
    }
    if (probes.Wants(routing::kSiteResidualAfterMoe)) {
      probes.Call(
          routing::kSiteResidualAfterMoe,
          routing::ActivationBatch{
              .layer = -1,
              .first_row = rows.begin,
              .rows = RowInfos(rows),
              .dim = static_cast<int>(shape.model_dim),
              .values = {Residual(rows.begin), static_cast<size_t>(rows.size() * shape.model_dim)}},
          worker);
    }
    int64_t bad = FindNonFinite(Residual(rows.begin), rows.size() * shape.model_dim);
    if (bad >= 0) Note(worker, {rows.begin + bad / shape.model_dim, -1, "token embedding"});
    NormRows(rows, next_norm);
  });
  ThrowIfNonFinite();
}

void Sweep::State::Project() {
  // A norm over whole rows of queries and keys needs all heads of them in one task.
  if (model.config().query_key_norm == files::QueryKeyNorm::kWholeRow) {
    const int64_t ends[] = {0, shape.query_dim, shape.query_dim + shape.kv_dim,
                            shape.query_dim + 2 * shape.kv_dim};
    ForTiles(3, [&](Range rows, Range parts, int worker) {
      ProjectTile(rows, {ends[parts.begin] / shape.head_dim, ends[parts.end] / shape.head_dim},
                  worker);
    });
    return;
  }
  const int64_t n_heads = (shape.query_dim + 2 * shape.kv_dim) / shape.head_dim;
  ForTiles(n_heads, [&](Range rows, Range heads, int worker) { ProjectTile(rows, heads, worker); });
}

void Sweep::State::ProjectPart(const Activations& x, const WeightMatrix& w,
                               std::span<const float> bias, Range dims, Rows out, float* tile) {
  MultiplyStored(kernels, x, w, dims.begin, dims.end, out, tile);
  if (bias.empty()) return;
  for (int64_t row = 0; row < out.n_rows; ++row) {
    kernels.add_scaled(out.row(row), bias.data() + dims.begin, 1, static_cast<size_t>(dims.size()));
  }
}

// Norms of queries or keys, before they turn: each head with the same weights, or a row at once.
void Sweep::State::NormHeads(std::span<const float> norm, Range dims, Rows out) {
  if (norm.empty()) return;
  const auto eps = static_cast<float>(model.config().norm_eps);
  const auto width = static_cast<int64_t>(norm.size());
  for (int64_t row = 0; row < out.n_rows; ++row) {
    for (int64_t dim = 0; dim < dims.size(); dim += width) {
      float* part = out.row(row) + dim;
      kernels.rms_norm(part, norm.data(), eps, part, static_cast<int>(width));
    }
  }
}

// Heads are numbered queries first, then keys, then values.
void Sweep::State::ProjectTile(Range rows, Range heads, int worker) {
  TaskTimer timer = Timer(Work::kProjections, worker);
  const int64_t head_dim = shape.head_dim;
  const int64_t first_key = shape.query_dim / head_dim;
  const int64_t first_value = first_key + shape.kv_dim / head_dim;
  float* tile = Scratch(worker);
  float* block = tile + TileFloats(shape.model_dim);
  const Activations x =
      Rounded(NormedRows(rows), shape.model_dim, {&weights.query, &weights.key, &weights.value},
              block + rows.size() * shape.kv_dim);
  // The dimensions of one of the three that fall into `heads`.
  auto part = [&](int64_t first, int64_t dim) {
    return Range{std::clamp<int64_t>((heads.begin - first) * head_dim, 0, dim),
                 std::clamp<int64_t>((heads.end - first) * head_dim, 0, dim)};
  };
  auto turn = [&](Range dims, Rows out) {
    if (!rope) return;
    for (int64_t row = 0; row < rows.size(); ++row) {
      rope->Apply(out.row(row), static_cast<int>(dims.size() / head_dim),
                  wave->rows[static_cast<size_t>(rows.begin + row)].position);
    }
  };

  if (Range dims = part(0, shape.query_dim); dims.size() > 0) {
    const Rows out = {queries + rows.begin * shape.query_dim + dims.begin,
                      static_cast<size_t>(shape.query_dim), rows.size()};
    timer.CountProduct(weights.query, rows.size(), dims.size());
    ProjectPart(x, weights.query, weights.query_bias, dims, out, tile);
    NormHeads(weights.query_norm, dims, out);
    turn(dims, out);
    // The scale of the scores is applied to the queries, where it is cheapest.
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    for (int64_t row = 0; row < rows.size(); ++row) {
      for (int64_t dim = 0; dim < dims.size(); ++dim) out.row(row)[dim] *= scale;
    }
  }
  if (Range dims = part(first_key, shape.kv_dim); dims.size() > 0) {
    const Rows out = {block, static_cast<size_t>(dims.size()), rows.size()};
    timer.CountProduct(weights.key, rows.size(), dims.size());
    ProjectPart(x, weights.key, weights.key_bias, dims, out, tile);
    NormHeads(weights.key_norm, dims, out);
    turn(dims, out);
    StoreKeys(rows, dims, block);
  }
  if (Range dims = part(first_value, shape.kv_dim); dims.size() > 0) {
    const Rows out = {block, static_cast<size_t>(dims.size()), rows.size()};
    timer.CountProduct(weights.value, rows.size(), dims.size());
    ProjectPart(x, weights.value, weights.value_bias, dims, out, tile);
    StoreValues(rows, dims, block);
  }
}

void Sweep::State::ForSequences(Range rows,
                                FunctionRef<void(size_t sequence, Range rows)> fn) const {
  const std::vector<int64_t>& begins = wave->sequence_begin;
  auto sequence = static_cast<size_t>(std::upper_bound(begins.begin(), begins.end(), rows.begin) -
                                      begins.begin() - 1);
  for (int64_t row = rows.begin; row < rows.end; ++sequence) {
    const int64_t end = std::min(rows.end, begins[sequence + 1]);
    fn(sequence, {row, end});
    row = end;
  }
}

// Puts a block [rows, dims] into the places of the sequences that the rows belong to, transposed
// where the keys are float32.
void Sweep::State::StoreKeys(Range rows, Range dims, float* block) {
  ForSequences(rows, [&](size_t sequence, Range part) {
    const SequencePlace& place = places[sequence];
    const int64_t shift = place.first_position - wave->sequence_begin[sequence];
    const auto stride = static_cast<size_t>(dims.size());
    const Rows of_part = {block + (part.begin - rows.begin) * dims.size(), stride, part.size()};
    if (place.stored()) {
      return StoreRounded(*place.cache, of_part, dims.begin, part.begin + shift,
                          [&](int64_t head) { return place.cache->Keys(layer, head); });
    }
    for (int64_t r = 0; r < part.size();) {
      const int64_t position = part.begin + r + shift, in_tile = position % kTileKeys;
      const int64_t n = std::min(part.size() - r, kTileKeys - in_tile);
      float* tile = place.keys + position / kTileKeys * place.tile_stride + in_tile;
      for (int64_t dim = dims.begin; dim < dims.end; ++dim) {
        float* out = tile + dim / shape.head_dim * place.key_head_stride +
                     dim % shape.head_dim * place.key_stride;
        const float* in = of_part.row(r) + (dim - dims.begin);
        for (int64_t i = 0; i < n; ++i) out[i] = in[i * dims.size()];
      }
      r += n;
    }
  });
}

void Sweep::State::StoreValues(Range rows, Range dims, float* block) {
  ForSequences(rows, [&](size_t sequence, Range part) {
    const SequencePlace& place = places[sequence];
    const int64_t shift = place.first_position - wave->sequence_begin[sequence];
    const auto stride = static_cast<size_t>(dims.size());
    const Rows of_part = {block + (part.begin - rows.begin) * dims.size(), stride, part.size()};
    if (place.stored()) {
      return StoreRounded(*place.cache, of_part, dims.begin, part.begin + shift,
                          [&](int64_t head) { return place.cache->Values(layer, head); });
    }
    for (int64_t r = 0; r < part.size(); ++r) {
      float* out = place.values + (part.begin + r + shift) * place.value_stride;
      for (int64_t dim = dims.begin; dim < dims.end; dim += shape.head_dim) {
        const float* in = of_part.row(r) + (dim - dims.begin);
        std::copy(in, in + shape.head_dim, out + dim / shape.head_dim * place.value_head_stride);
      }
    }
  });
}

// A key-value head of a task: what is seen of the keys and values, and the products with them.
void Sweep::State::CountAttention(const AttentionTask& task, TaskTimer& timer) const {
  const int last = task.first_position + task.n_queries;
  const int window = model.config().sliding_window;
  const int seen = window > 0 ? std::min(window + task.n_queries - 1, last) : last;
  const double mean = seen - (seen == last ? (task.n_queries - 1) / 2.0 : task.n_queries - 1);
  const auto group = static_cast<double>(shape.query_dim / shape.kv_dim);
  const auto head_dim = static_cast<double>(shape.head_dim);
  timer.Count(4 * group * head_dim * mean * task.n_queries, 2 * head_dim * seen * sizeof(float));
}

void Sweep::State::RunAttention() {
  const int64_t n_kv_heads = shape.kv_dim / shape.head_dim;
  const int64_t group = shape.query_dim / shape.kv_dim;
  const auto n_tasks = static_cast<int64_t>(n_attention_tasks) * n_kv_heads;
  pool.Run(n_tasks, [&](int64_t index, int worker) {
    ThrowIfCancelled();
    TaskTimer timer = Timer(Work::kAttention, worker);
    const AttentionTask& task = attention_tasks[static_cast<size_t>(index / n_kv_heads)];
    const int64_t head = index % n_kv_heads;
    CountAttention(task, timer);
    const SequencePlace& place = places[static_cast<size_t>(task.sequence)];
    const int64_t first_row = wave->sequence_begin[static_cast<size_t>(task.sequence)] +
                              task.first_position - place.first_position;
    auto watch = [&](int in_group, int first_key, int n_keys, const float* of_head) {
      const auto n = static_cast<size_t>(task.n_queries);
      probes.CallAttention({.layer = layer,
                            .head = static_cast<int>(head * group) + in_group,
                            .first_row = first_row,
                            .rows = RowInfos({first_row, first_row + task.n_queries}),
                            .first_key = first_key,
                            .n_keys = n_keys,
                            .weights = {of_head, n * static_cast<size_t>(n_keys)}});
    };
    const AttentionWatcher watcher(watch);
    AttentionBlock block = {
        .queries = queries + first_row * shape.query_dim + head * group * shape.head_dim,
        .query_stride = static_cast<size_t>(shape.query_dim),
        .first_position = task.first_position,
        .n_queries = task.n_queries,
        .n_heads = static_cast<int>(group),
        .head_dim = static_cast<int>(shape.head_dim),
        .window = model.config().sliding_window};
    if (place.stored()) {
      block.type = place.cache->type();
      block.stored_keys = place.cache->Keys(layer, head);
      block.stored_values = place.cache->Values(layer, head);
    } else {
      block.on_tiles =
          RoundingOf(options.precision, phase, kernels, DType::kF32) == Rounding::kBFloat16;
      block.keys = place.keys + head * place.key_head_stride;
      block.key_stride = static_cast<size_t>(place.key_stride);
      block.tile_stride = static_cast<size_t>(place.tile_stride);
      block.values = place.values + head * place.value_head_stride;
      block.value_stride = static_cast<size_t>(place.value_stride);
    }
    Attend(kernels, block, Scratch(worker),
           probes.Wants(routing::kSiteAttention) ? &watcher : nullptr);
  });
}

void Sweep::State::CallHeadProbes() {
  if (!probes.Wants(routing::kSiteHeads)) return;
  ForRows(kMaxBlockRows, [&](Range rows, int worker) {
    probes.Call(
        routing::kSiteHeads,
        routing::ActivationBatch{.layer = layer,
                                 .first_row = rows.begin,
                                 .rows = RowInfos(rows),
                                 .dim = static_cast<int>(shape.query_dim),
                                 .values = {queries + rows.begin * shape.query_dim,
                                            static_cast<size_t>(rows.size() * shape.query_dim)}},
        worker);
  });
}

void Sweep::State::FinishAttention(Range rows, int worker) {
  TaskTimer timer = Timer(Work::kRouting, worker);
  if (!model.config().dense())
    timer.Count(2.0 * static_cast<double>(rows.size() * shape.model_dim * router.n_experts), 0);
  if (probes.Wants(routing::kSiteResidualAfterAttention)) {
    probes.Call(
        routing::kSiteResidualAfterAttention,
        routing::ActivationBatch{
            .layer = layer,
            .first_row = rows.begin,
            .rows = RowInfos(rows),
            .dim = static_cast<int>(shape.model_dim),
            .values = {Residual(rows.begin), static_cast<size_t>(rows.size() * shape.model_dim)}},
        worker);
  }
  int64_t bad = FindNonFinite(Residual(rows.begin), rows.size() * shape.model_dim);
  if (bad >= 0) {
    Note(worker, {rows.begin + bad / shape.model_dim, -1, "attention"});
    return;
  }
  NormRows(rows, weights.feed_forward_norm);
  model.config().dense() ? RouteDense(rows) : Route(rows, worker);
}

// residual[:, columns] += attention's result x attention_output^T for the rows.
void Sweep::State::AddAttended(Range rows, Range columns, int worker) {
  TaskTimer timer = Timer(Work::kAttentionOutput, worker);
  timer.CountProduct(weights.attention_output, rows.size(), columns.size());
  float* tile = Scratch(worker);
  float* block = tile + TileFloats(shape.query_dim);
  const Rows attended = {queries + rows.begin * shape.query_dim,
                         static_cast<size_t>(shape.query_dim), rows.size()};
  const Activations x = Rounded(attended, shape.query_dim, {&weights.attention_output},
                                block + rows.size() * shape.model_dim);
  MultiplyStored(kernels, x, weights.attention_output, columns.begin, columns.end,
                 {block, static_cast<size_t>(columns.size()), rows.size()}, tile);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* residual = Residual(row) + columns.begin;
    const float* in = block + (row - rows.begin) * columns.size();
    for (int64_t column = 0; column < columns.size(); ++column) residual[column] += in[column];
    if (weights.output_bias.empty()) continue;
    kernels.add_scaled(residual, weights.output_bias.data() + columns.begin, 1,
                       static_cast<size_t>(columns.size()));
  }
}

void Sweep::State::ProjectOutput() {
  CallHeadProbes();
  const bool whole_rows = WholeRowTasks();
  ForTiles(shape.model_dim, [&](Range rows, Range columns, int worker) {
    AddAttended(rows, columns, worker);
    // What follows needs whole rows: it runs in the same task when the task has all columns.
    if (whole_rows) FinishAttention(rows, worker);
  });
  if (!whole_rows) {
    ForRows(kMaxBlockRows, [&](Range rows, int worker) { FinishAttention(rows, worker); });
  }
  ThrowIfNonFinite();
}

}  // namespace moescope::engine
