#include "engine/model/sweep.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "base/cancellation.h"
#include "base/error.h"
#include "engine/model/sweep_state.h"
#include "engine/ops/attention.h"

namespace moescope::engine {
namespace {

using files::TensorId;
using files::TensorKind;

// Tasks for each worker in a loop: enough that an uneven last one costs a few percent.
constexpr int64_t kTasksPerWorker = 8;
constexpr int64_t kMinBlockRows = 32;

// Of a dense layer the one network is an expert that every token chooses, with weight 1.
routing::RouterDescription RouterOf(const Model& model, int experts_per_token) {
  if (model.config().dense()) return {.n_experts = 1, .experts_per_token = 1};
  routing::RouterDescription router = model.router();
  if (experts_per_token > 0) router.experts_per_token = experts_per_token;
  return router;
}

int64_t BlockRows(int64_t n_rows, int n_threads, int64_t most_rows) {
  int64_t even = n_rows / (n_threads * kTasksPerWorker);
  return std::clamp((even + 15) / 16 * 16, std::min(kMinBlockRows, most_rows), most_rows);
}

}  // namespace

void ToFloat(const KernelTable& kernels, const WeightMatrix& w, std::vector<float>& out) {
  out.resize(static_cast<size_t>(w.rows * w.cols));
  for (int64_t row = 0; row < w.rows; ++row) {
    DequantiseRowOf(kernels, w, row, out.data() + row * w.cols);
  }
}

int64_t FindNonFinite(const float* values, int64_t n) {
  // One pass without branches first: it vectorises, and nearly always finds nothing.
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    found |= static_cast<uint32_t>((std::bit_cast<uint32_t>(values[i]) & kExponent) == kExponent);
  }
  if (found == 0) return -1;
  return std::find_if(values, values + n, [](float v) { return !std::isfinite(v); }) - values;
}

void Wave::Add(int64_t sequence, int32_t branch, std::span<const int32_t> token_ids,
               KvCache* cache) {
  if (sequence_begin.empty()) sequence_begin.push_back(0);
  caches.push_back(cache);
  forks.emplace_back();
  auto position = static_cast<int32_t>(cache == nullptr ? 0 : cache->length());
  for (int32_t token_id : token_ids) {
    rows.push_back(
        {.sequence = sequence, .position = position++, .token_id = token_id, .branch = branch});
  }
  sequence_begin.push_back(n_rows());
}

void Wave::AddFork(int64_t of, int32_t branch, int layer) {
  const auto source = static_cast<size_t>(of);
  MOESCOPE_CHECK(source < forks.size() && forks[source].of < 0 && caches[source] == nullptr);
  MOESCOPE_CHECK(forks.back().of < 0 || forks.back().layer <= layer);
  for (int64_t row = sequence_begin[source]; row < sequence_begin[source + 1]; ++row) {
    rows.push_back(rows[static_cast<size_t>(row)]);
    rows.back().branch = branch;
  }
  caches.push_back(nullptr);
  forks.push_back({.of = of, .layer = layer});
  sequence_begin.push_back(n_rows());
}

void Wave::Reserve(size_t n_rows, size_t n_sequences) {
  rows.reserve(n_rows);
  sequence_begin.reserve(n_sequences + 1);
  caches.reserve(n_sequences);
  forks.reserve(n_sequences);
}

void Wave::clear() {
  forks.clear();
  rows.clear();
  sequence_begin.clear();
  caches.clear();
  phase = Phase::kPrefill;
}

Sweep::State::State(const Model& model_in, const KernelTable& kernels_in, ThreadPool& pool_in,
                    const SweepOptions& options_in)
    : model(model_in),
      kernels(kernels_in),
      pool(pool_in),
      options(options_in),
      router(RouterOf(model, options.experts_per_token)),
      shape(SweepShape::Of(model.config(), router.experts_per_token, options.wave_rows,
                           options.max_sequence, pool.n_threads(), options.precision)),
      worker_floats(shape.WorkerFloats()),
      buffers(shape),
      non_finite(static_cast<size_t>(pool.n_threads())),
      expert_blocks(router.n_experts, static_cast<int64_t>(shape.SlotCount())) {
  MOESCOPE_CHECK(router.experts_per_token <= router.n_experts);
  MOESCOPE_CHECK(options.max_sequence > 0 && options.wave_rows > 0);
  MOESCOPE_CHECK(options.losses || !options.predictions);
  schedule = model.weights().experts();
  MOESCOPE_CHECK(options.profile == nullptr || options.profile->n_threads() == pool.n_threads());
  if (!model.rope_frequencies().empty()) {
    rope.emplace(model.rope_frequencies(), model.config().rope_scaling.attention_factor,
                 options.max_sequence, model.config().rope_layout);
  }
  queries = buffers.shared.data();
  values = queries + shape.wave_rows * shape.query_dim;
  keys = values + shape.wave_rows * shape.kv_dim;
  outputs = buffers.shared.data();
  weights.experts.resize(static_cast<size_t>(router.n_experts));
  const auto rows = static_cast<size_t>(shape.wave_rows);
  if (options.predictions) predictions.resize(rows);
  places.reserve(rows);
  attention_tasks.reserve(rows);
}

void Sweep::State::CheckWave() const {
  MOESCOPE_CHECK(n_rows <= shape.wave_rows);
  MOESCOPE_CHECK(wave->sequence_begin.empty() ? n_rows == 0
                                              : wave->sequence_begin.back() == n_rows);
  MOESCOPE_CHECK(wave->forks.empty() || wave->forks.back().layer < model.config().n_layers);
  for (const routing::RowInfo& row : wave->rows) {
    MOESCOPE_CHECK(row.position < shape.max_sequence);
    if (row.token_id < 0 || row.token_id >= shape.vocab_size) {
      throw Error(ErrorKind::kBadInput,
                  "cannot run sequence " + std::to_string(row.sequence) + ", position " +
                      std::to_string(row.position) + ": expected a token id below " +
                      std::to_string(shape.vocab_size) + ", found " + std::to_string(row.token_id) +
                      "; is it another model's tokenizer?");
    }
  }
}

void Sweep::State::PlaceSequences() {
  places.clear();
  attention_tasks.clear();
  float* next = keys;
  for (size_t s = 0; s + 1 < wave->sequence_begin.size(); ++s) {
    const int64_t begin = wave->sequence_begin[s];
    const int64_t length = wave->sequence_begin[s + 1] - begin;
    const KvCache* cache = wave->caches[s];
    const int64_t first = cache == nullptr ? 0 : cache->length();
    const int64_t end = first + length;
    if (cache == nullptr) {
      const int64_t stride = KeyStride(length);
      places.push_back({.keys = next,
                        .key_stride = stride,
                        .tile_stride = kTileKeys,
                        .key_head_stride = shape.head_dim * stride,
                        .values = values + begin * shape.kv_dim,
                        .value_stride = shape.kv_dim,
                        .value_head_stride = shape.head_dim,
                        .first_position = 0,
                        .cache = nullptr});
      next += stride * shape.kv_dim;
    } else {
      MOESCOPE_CHECK(end <= cache->capacity());
      places.push_back({.keys = nullptr,  // of each layer: PlaceCaches
                        .key_stride = cache->key_stride(),
                        .tile_stride = cache->tile_stride(),
                        .key_head_stride = 0,
                        .values = nullptr,
                        .value_stride = shape.head_dim,
                        .value_head_stride = cache->capacity() * shape.head_dim,
                        .first_position = first,
                        .cache = cache});
    }
    // The last block of a sequence has most keys: long tasks first, so that the end is even.
    for (int64_t block = (end - 1) / kQueryBlock; block >= first / kQueryBlock; --block) {
      const int64_t from = std::max(block * kQueryBlock, first);
      const int64_t to = std::min((block + 1) * kQueryBlock, end);
      attention_tasks.push_back(
          {static_cast<int64_t>(s), static_cast<int>(from), static_cast<int>(to - from)});
    }
  }
}

void Sweep::State::PlaceCaches() {
  for (size_t s = 0; s < places.size(); ++s) {
    const KvCache* cache = wave->caches[s];
    if (cache == nullptr) continue;
    if (places[s].stored()) continue;
    places[s].keys = cache->TransposedKeys(layer, 0);
    places[s].key_head_stride = cache->TransposedKeys(layer, 1) - places[s].keys;
    places[s].values = reinterpret_cast<float*>(cache->Values(layer, 0));
  }
}

void Sweep::State::AcquireLayer(int next_layer) {
  layer = next_layer;
  const files::ModelConfig& config = model.config();
  // A null matrix where the model has no such tensor.
  auto acquire = [&](TensorKind kind, int expert = -1) {
    return files::HasTensor(kind, config) ? model.weights().Acquire({kind, layer, expert})
                                          : WeightMatrix{};
  };
  auto floats = [&](TensorKind kind, std::vector<float>& out, int expert = -1) {
    ToFloat(kernels, acquire(kind, expert), out);
  };
  floats(TensorKind::kAttentionNorm, weights.attention_norm.weight);
  floats(TensorKind::kAttentionNormBias, weights.attention_norm.bias);
  floats(TensorKind::kFeedForwardNorm, weights.feed_forward_norm.weight);
  floats(TensorKind::kFeedForwardNormBias, weights.feed_forward_norm.bias);
  floats(TensorKind::kQueryBias, weights.query_bias);
  floats(TensorKind::kKeyBias, weights.key_bias);
  floats(TensorKind::kValueBias, weights.value_bias);
  floats(TensorKind::kQueryNorm, weights.query_norm);
  floats(TensorKind::kKeyNorm, weights.key_norm);
  floats(TensorKind::kAttentionOutputBias, weights.output_bias);
  floats(TensorKind::kRouter, weights.router);
  weights.query = acquire(TensorKind::kQuery);
  weights.key = acquire(TensorKind::kKey);
  weights.value = acquire(TensorKind::kValue);
  weights.attention_output = acquire(TensorKind::kAttentionOutput);
  for (int expert = 0; expert < router.n_experts; ++expert) {
    LayerWeights::Expert& to = weights.experts[expert];
    to.gate_proj = acquire(TensorKind::kGateProj, expert);
    to.up_proj = acquire(TensorKind::kUpProj, expert);
    to.down_proj = acquire(TensorKind::kDownProj, expert);
    floats(TensorKind::kUpProjBias, to.up_bias, expert);
    floats(TensorKind::kDownProjBias, to.down_bias, expert);
  }
}

void Sweep::State::PrefetchLayer(int next_layer) {
  if (next_layer >= model.config().n_layers || !model.weights().mapped()) return;
  // While decoding only once: asking for pages that are there costs more than it helps.
  if (decodes && next_layer < n_layers_prefetched) return;
  n_layers_prefetched = std::max(n_layers_prefetched, next_layer + 1);
  if (!decodes) model.weights().CheckFiles();
  for (TensorKind kind :
       {TensorKind::kQuery, TensorKind::kKey, TensorKind::kValue, TensorKind::kAttentionOutput}) {
    model.weights().Prefetch({kind, next_layer, -1});
  }
  for (int expert = 0; expert < router.n_experts; ++expert) {
    for (TensorKind kind : {TensorKind::kGateProj, TensorKind::kUpProj, TensorKind::kDownProj}) {
      if (!files::HasTensor(kind, model.config())) continue;
      model.weights().Prefetch({kind, next_layer, expert});
    }
  }
}

void Sweep::State::ForRows(int64_t most_rows, FunctionRef<void(Range, int)> fn) {
  const int64_t step = BlockRows(n_rows, pool.n_threads(), most_rows);
  pool.Run((n_rows + step - 1) / step, [&](int64_t task, int worker) {
    ThrowIfCancelled();
    fn({task * step, std::min((task + 1) * step, n_rows)}, worker);
  });
}

bool Sweep::State::WholeRowTasks() const {
  // Half the tasks wanted are still enough; cutting columns repeats work on the rows of a block.
  const int64_t step = BlockRows(n_rows, pool.n_threads(), kMaxBlockRows);
  return 2 * ((n_rows + step - 1) / step) >= pool.n_threads() * kTasksPerWorker;
}

void Sweep::State::ForTiles(int64_t n_units, FunctionRef<void(Range, Range, int)> fn) {
  const int64_t step = BlockRows(n_rows, pool.n_threads(), kMaxBlockRows);
  const int64_t n_blocks = (n_rows + step - 1) / step;
  const int64_t wanted = pool.n_threads() * kTasksPerWorker;
  const int64_t n_ranges = WholeRowTasks() ? 1 : std::min(wanted / n_blocks, n_units);
  pool.Run(n_blocks * n_ranges, [&](int64_t task, int worker) {
    ThrowIfCancelled();
    const int64_t range = task / n_blocks, block = task % n_blocks;
    fn({block * step, std::min((block + 1) * step, n_rows)},
       {n_units * range / n_ranges, n_units * (range + 1) / n_ranges}, worker);
  });
}

Activations Sweep::State::Rounded(Rows x, int64_t k,
                                  std::initializer_list<const WeightMatrix*> meets,
                                  float* scratch) const {
  for (const WeightMatrix* w : meets) {
    if (w->rows == 0) continue;
    const Rounding rounding = RoundingOf(options.precision, phase, kernels, w->dtype);
    if (rounding != Rounding::kNone) return RoundRows(kernels, x, k, rounding, scratch);
  }
  return x;
}

void Sweep::State::Note(int worker, const NonFinite& found) {
  NonFinite& noted = non_finite[static_cast<size_t>(worker)];
  if (noted.row < 0 || found.row < noted.row) noted = found;
}

void Sweep::State::ThrowIfNonFinite() {
  NonFinite first;
  for (NonFinite& noted : non_finite) {
    if (noted.row >= 0 && (first.row < 0 || noted.row < first.row)) first = noted;
    noted.row = -1;
  }
  if (first.row < 0) return;
  const routing::RowInfo& row = wave->rows[static_cast<size_t>(first.row)];
  std::string where =
      layer < 0 ? std::string(first.what) : "layer " + std::to_string(layer) + ", " + first.what;
  if (first.expert >= 0) where += " of expert " + std::to_string(first.expert);
  throw Error(ErrorKind::kCorrupt,
              "cannot run " + model.checkpoint().path() + ": " + where + ", token " +
                  std::to_string(row.token_id) + " (sequence " + std::to_string(row.sequence) +
                  ", position " + std::to_string(row.position) +
                  "): expected finite values, found NaN or infinity; the weights are damaged or "
                  "were never finite");
}

void Sweep::State::Run(const Wave& new_wave, std::span<routing::Probe* const> new_probes) {
  const RunTimer timer(options.profile);
  wave = &new_wave;
  phase = new_wave.phase;
  n_rows = new_wave.n_rows();
  n_assignments = 0;
  flops = 0;
  CheckWave();
  if (n_rows == 0) return;
  PlaceSequences();
  StartWithoutForks();
  const size_t widest = static_cast<size_t>(
      std::max({shape.model_dim, shape.query_dim, shape.n_experts, shape.experts_per_token}));
  probes.Begin(new_probes, pool.n_threads(), kMaxBlockRows * widest);
  for (NonFinite& noted : non_finite) noted.row = -1;
  decodes = IsDecoding();
  // A dense layer is needed whole by every token, as by a sweep.
  if (schedule != nullptr) schedule->BeginStep(decodes && !model.config().dense());
  if (model.weights().mapped()) model.weights().CheckFiles();

  const int n_layers = model.config().n_layers;
  ToFloat(kernels, model.weights().Acquire({TensorKind::kFinalNorm}), final_norm.weight);
  if (files::HasTensor(TensorKind::kFinalNormBias, model.config())) {
    ToFloat(kernels, model.weights().Acquire({TensorKind::kFinalNormBias}), final_norm.bias);
  }
  AcquireLayer(0);
  layer = -1;
  Embed(weights.attention_norm);
  for (int next = 0; next < n_layers; ++next) {
    layer = next;
    PrefetchLayer(next + 1);
    PlaceCaches();
    Project();
    RunAttention();
    ProjectOutput();
    CountLayer();
    JoinForks();
    RunExperts();
    // The weights of the next layer are needed for the norm that follows the sum; this layer's
    // experts have done their work.
    const bool last = next + 1 == n_layers;
    if (!last) AcquireLayer(next + 1);
    layer = next;
    Combine(last ? final_norm : weights.attention_norm);
  }
  layer = -1;
  if (options.losses) RunHead();

  for (size_t s = 0; s < places.size(); ++s) {
    if (KvCache* cache = wave->caches[s]; cache != nullptr) {
      const int64_t n = wave->sequence_begin[s + 1] - wave->sequence_begin[s];
      cache->set_length(cache->length() + n);
    }
  }
  CountFeedForward();
}

void Sweep::State::CountLayer() {
  double pairs = 0;  // of a query and a key it sees
  for (size_t s = 0; s < n_sequences; ++s) {
    const auto n = static_cast<double>(wave->sequence_begin[s + 1] - wave->sequence_begin[s]);
    pairs += n * static_cast<double>(places[s].first_position) + n * (n + 1) / 2;
  }
  const double d = static_cast<double>(shape.model_dim), q = static_cast<double>(shape.query_dim);
  const double per_row =
      d * (2 * q + 2 * static_cast<double>(shape.kv_dim) + model.config().n_experts);
  flops += 2 * (static_cast<double>(n_rows) * per_row + pairs * 2 * q);
}

void Sweep::State::CountFeedForward() {
  const double d = static_cast<double>(shape.model_dim);
  const double matrices = model.config().feed_forward == files::FeedForwardKind::kSwiGlu ? 3 : 2;
  flops +=
      2 * static_cast<double>(n_assignments) * matrices * d * static_cast<double>(shape.ffn_dim);
  if (!options.losses) return;
  flops += 2 * static_cast<double>(n_rows) * d * static_cast<double>(shape.vocab_size);
}

Sweep::Sweep(const Model& model, const KernelTable& kernels, ThreadPool& pool,
             const SweepOptions& options)
    : state_(std::make_unique<State>(model, kernels, pool, options)) {}

Sweep::~Sweep() = default;

void Sweep::Run(const Wave& wave, std::span<routing::Probe* const> probes) {
  state_->Run(wave, probes);
}

std::span<const float> Sweep::losses() const {
  return {state_->buffers.losses.data(), static_cast<size_t>(state_->n_rows)};
}

std::span<const int32_t> Sweep::predictions() const {
  MOESCOPE_CHECK(state_->options.predictions);
  return {state_->predictions.data(), static_cast<size_t>(state_->n_rows)};
}

double Sweep::flops() const {
  return state_->flops;
}

void Sweep::Logits(std::span<const int64_t> rows, std::span<float> out) {
  state_->Logits(rows, out);
}

std::vector<float> Sweep::Logits(std::span<const int64_t> rows) {
  std::vector<float> logits(rows.size() * static_cast<size_t>(state_->shape.vocab_size));
  state_->Logits(rows, logits);
  return logits;
}

}  // namespace moescope::engine
