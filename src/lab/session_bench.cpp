#include "lab/session_bench.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "base/error.h"
#include "engine/kernels/kernel_table.h"
#include "files/checkpoint.h"

namespace moescope::lab {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPromptTokens = 16;

// A fixed linear congruential sequence.
std::vector<int32_t> RandomIds(int n, int vocab_size) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  uint64_t state = 20231211;
  for (int32_t& id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocab_size));
  }
  return ids;
}

int32_t Likeliest(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

uint64_t BytesRead(const engine::Model& model) {
  const engine::ExpertSchedule* schedule = model.weights().experts();
  return schedule == nullptr ? 0 : schedule->stats().bytes_read;
}

// Seconds and bytes from disk of what is timed.
struct Timed {
  double seconds = 0;
  uint64_t bytes_read = 0;
};
Timed Time(const engine::Model& model, const std::function<void()>& action) {
  const uint64_t before = BytesRead(model);
  const auto start = Clock::now();
  action();
  return {std::chrono::duration<double>(Clock::now() - start).count(), BytesRead(model) - before};
}

// Runs `once` n_runs + 1 times; it returns what it took, and the logits it ended with.
SessionRates Rates(int n_runs, int n_tokens, engine::Profile* profile,
                   const std::function<Timed(std::vector<float>&)>& once) {
  SessionRates rates;
  std::vector<float> expected, logits;
  once(expected);
  if (profile != nullptr) profile->Clear();
  for (int run = 0; run < n_runs; ++run) {
    const Timed timed = once(logits);
    rates.tokens_per_s.push_back(n_tokens / timed.seconds);
    rates.seconds += timed.seconds;
    rates.bytes_read += timed.bytes_read;
    if (logits != expected) {
      throw Error(ErrorKind::kInternal, "benchmark: the same session gave other logits");
    }
  }
  return rates;
}

// Multiplications and additions of a row through all layers but for the head and the scores.
double LayerFlops(const files::ModelConfig& config) {
  const files::ParameterCounts counts = CountParameters(config);
  return 2.0 * static_cast<double>(counts.active - counts.embeddings);
}

double HeadFlops(const files::ModelConfig& config) {
  return 2.0 * config.vocab_size * config.model_dim;
}

// Scores and weighted sum of one row that sees `n_positions`.
double ScoreFlops(const files::ModelConfig& config, double n_positions) {
  return 4.0 * static_cast<double>(config.query_dim()) * n_positions * config.n_layers;
}

// What one token reads: everything but the embedding, of which it reads a row, and the experts that
// it does not choose.
uint64_t BytesOfAToken(const files::Checkpoint& checkpoint) {
  const files::ModelConfig& config = checkpoint.config();
  uint64_t shared = 0, experts = 0;
  for (const auto& [id, tensor] : checkpoint.tensors()) {
    if (id.kind == files::TensorKind::kTokenEmbedding && !config.tied_embeddings) continue;
    const bool is_expert = ScopeOf(id.kind) == files::TensorScope::kExpert;
    (is_expert ? experts : shared) += tensor.n_bytes;
  }
  if (config.dense()) return shared + experts;
  return shared + experts * static_cast<uint64_t>(config.experts_per_token) /
                      static_cast<uint64_t>(config.n_experts);
}

}  // namespace

SessionBench::SessionBench(const engine::Model& model, ThreadPool& pool,
                           const engine::SessionOptions& options)
    : model_(model), pool_(pool), options_(options) {}

uint64_t SessionBench::Bytes(const files::ModelConfig& config, int n_tokens,
                             engine::Precision precision, int n_threads) {
  return engine::SessionBytes(config, {.context = kPromptTokens + n_tokens, .precision = precision},
                              n_threads);
}

SessionRates SessionBench::Prefill(int n_tokens, int n_runs) {
  const files::ModelConfig& config = model_.config();
  const std::vector<int32_t> ids = RandomIds(n_tokens, config.vocab_size);
  options_.context = n_tokens;
  engine::Session session(model_, engine::SelectKernels(), pool_, options_);
  SessionRates rates = Rates(n_runs, n_tokens, options_.profile, [&](std::vector<float>& logits) {
    session.Truncate(0);
    std::span<const float> last;
    const Timed timed = Time(model_, [&] { last = session.Advance(ids); });
    logits.assign(last.begin(), last.end());
    return timed;
  });
  rates.flops_per_token =
      LayerFlops(config) + ScoreFlops(config, (n_tokens + 1) / 2.0) + HeadFlops(config) / n_tokens;
  return rates;
}

SessionRates SessionBench::Decode(int n_tokens, int n_runs) {
  const files::ModelConfig& config = model_.config();
  const std::vector<int32_t> prompt = RandomIds(kPromptTokens, config.vocab_size);
  options_.context = kPromptTokens + n_tokens;
  engine::Session session(model_, engine::SelectKernels(), pool_, options_);
  SessionRates rates = Rates(n_runs, n_tokens, options_.profile, [&](std::vector<float>& logits) {
    session.Truncate(0);
    std::span<const float> last = session.Advance(prompt);
    const Timed timed = Time(model_, [&] {
      for (int i = 0; i < n_tokens; ++i) last = session.Decode(Likeliest(last));
    });
    logits.assign(last.begin(), last.end());
    return timed;
  });
  rates.flops_per_token =
      LayerFlops(config) + ScoreFlops(config, kPromptTokens + n_tokens / 2.0) + HeadFlops(config);
  rates.bytes_per_token = BytesOfAToken(model_.checkpoint());
  return rates;
}

}  // namespace moescope::lab
