#include "lab/session_bench.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <mutex>
#include <span>
#include <string>

#include "base/error.h"
#include "engine/generate/stream_batch.h"
#include "engine/kernels/kernel_table.h"
#include "files/checkpoint.h"

namespace moescope::lab {
namespace {

using Clock = std::chrono::steady_clock;

// A fixed linear congruential sequence, another one for each seed.
std::vector<int32_t> RandomIds(int n, int vocab_size, int seed = 0) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  uint64_t state = 20231211 + static_cast<uint64_t>(seed);
  for (int32_t& id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocab_size));
  }
  return ids;
}

int32_t Likeliest(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void CheckEqual(std::span<const float> found, std::span<const float> expected, const char* what) {
  if (std::ranges::equal(found, expected)) return;
  throw Error(ErrorKind::kInternal, std::string("benchmark: ") + what + " gave other logits");
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
    CheckEqual(logits, expected, "the same session");
  }
  return rates;
}

// Multiplications and additions of a row through all layers but for the head and the scores.
double LayerFlops(const files::ModelConfig& config, int experts_per_token) {
  const files::ParameterCounts counts = CountParameters(config, experts_per_token);
  return 2.0 * static_cast<double>(counts.active - counts.embeddings);
}

double HeadFlops(const files::ModelConfig& config) {
  return 2.0 * config.vocab_size * config.model_dim;
}

// Scores and weighted sum of one row that sees `n_positions`.
double ScoreFlops(const files::ModelConfig& config, double n_positions) {
  return 4.0 * static_cast<double>(config.query_dim()) * n_positions * config.n_layers;
}

// Experts that the steps of a batch read: each (step, layer, expert) once. The caller says where a
// step begins.
class ExpertCounter : public routing::Probe {
 public:
  explicit ExpertCounter(const files::ModelConfig& config)
      : n_experts_(config.n_feed_forwards()),
        chosen_(static_cast<size_t>(config.n_layers * n_experts_)) {}

  uint32_t sites() const override { return routing::kSiteDecision; }
  void OnDecision(const routing::DecisionBatch& batch) override {
    const std::lock_guard lock(mutex_);
    for (int16_t expert : batch.experts) {
      if (expert >= 0) chosen_[static_cast<size_t>(batch.layer * n_experts_ + expert)] = true;
    }
  }
  void EndStep() {
    n_read_ += std::count(chosen_.begin(), chosen_.end(), true);
    std::fill(chosen_.begin(), chosen_.end(), false);
  }
  int64_t n_read() const { return n_read_; }

 private:
  int n_experts_;
  std::mutex mutex_;
  std::vector<bool> chosen_;
  int64_t n_read_ = 0;
};

// What `n_steps` steps read that read so many experts: everything else but the embedding, of which
// they read rows, in each.
double BytesRead(const files::Checkpoint& checkpoint, int n_steps, int64_t n_experts_read) {
  const files::ModelConfig& config = checkpoint.config();
  uint64_t shared = 0, experts = 0;
  for (const auto& [id, tensor] : checkpoint.tensors()) {
    if (id.kind == files::TensorKind::kTokenEmbedding && !config.tied_embeddings) continue;
    const bool is_expert = ScopeOf(id.kind) == files::TensorScope::kExpert;
    (is_expert ? experts : shared) += tensor.n_bytes;
  }
  if (config.dense()) return static_cast<double>(shared + experts) * n_steps;
  const double of_an_expert = static_cast<double>(experts) / (config.n_layers * config.n_experts);
  return static_cast<double>(shared) * n_steps + of_an_expert * static_cast<double>(n_experts_read);
}

// Streams that decode side by side, each the likeliest token after those before it.
class DecodeRun {
 public:
  DecodeRun(engine::StreamBatch& batch, const std::vector<std::vector<int32_t>>& prompts)
      : batch_(batch), next_(prompts.size()) {
    for (const std::vector<int32_t>& prompt : prompts) streams_.push_back(batch_.Add(prompt));
    while (batch_.Step() > 0) Choose();
  }
  ~DecodeRun() {
    for (int stream : streams_) batch_.Remove(stream);
  }
  DecodeRun(const DecodeRun&) = delete;
  DecodeRun& operator=(const DecodeRun&) = delete;

  // One token of each stream.
  void Step(std::span<routing::Probe* const> probes = {}) {
    for (size_t i = 0; i < streams_.size(); ++i) batch_.Append(streams_[i], {&next_[i], 1});
    batch_.Step(probes);
    Choose();
  }
  // [n_streams, vocab_size] after the last step.
  std::vector<float> Logits() const {
    std::vector<float> all;
    for (int stream : streams_) {
      const std::span<const float> logits = batch_.Logits(stream);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }

 private:
  void Choose() {
    for (size_t i = 0; i < streams_.size(); ++i) {
      if (batch_.HasLogits(streams_[i])) next_[i] = Likeliest(batch_.Logits(streams_[i]));
    }
  }
  engine::StreamBatch& batch_;
  std::vector<int> streams_;
  std::vector<int32_t> next_;
};

}  // namespace

SessionBench::SessionBench(const engine::Model& model, ThreadPool& pool,
                           const engine::SessionOptions& options)
    : model_(model), pool_(pool), options_(options) {}

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
  rates.flops_per_token = LayerFlops(config, options_.experts_per_token) +
                          ScoreFlops(config, (n_tokens + 1) / 2.0) + HeadFlops(config) / n_tokens;
  return rates;
}

int SessionBench::NAlone(int n_streams) {
  return std::min(n_streams, 4);
}

SessionRates SessionBench::Decode(const DecodeShape& shape, int n_runs) {
  const files::ModelConfig& config = model_.config();
  const auto [n_streams, prompt_tokens, n_tokens] = shape;
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < n_streams; ++i) {
    prompts.push_back(RandomIds(prompt_tokens, config.vocab_size, i));
  }
  engine::StreamBatch batch(model_, engine::SelectKernels(), pool_,
                            {.max_streams = n_streams,
                             .context = prompt_tokens + n_tokens,
                             .experts_per_token = options_.experts_per_token,
                             .memory_bytes = options_.memory_bytes,
                             .precision = options_.precision,
                             .kv = options_.kv,
                             .profile = options_.profile});
  std::vector<float> expected;
  auto once = [&](std::vector<float>& logits) {
    DecodeRun run(batch, prompts);
    const Timed timed = Time(model_, [&] {
      for (int i = 0; i < n_tokens; ++i) run.Step();
    });
    expected = logits = run.Logits();
    return timed;
  };
  SessionRates rates = Rates(n_runs, n_tokens * n_streams, options_.profile, once);

  // Watched, so not timed.
  ExpertCounter counter(config);
  routing::Probe* probes[] = {&counter};
  const auto vocab = static_cast<size_t>(config.vocab_size);
  {
    DecodeRun run(batch, prompts);
    for (int i = 0; i < n_tokens; ++i) {
      run.Step(probes);
      counter.EndStep();
    }
    CheckEqual(run.Logits(), expected, "a watched session");
  }
  for (int i = 0; n_streams > 1 && i < NAlone(n_streams); ++i) {
    const auto stream = static_cast<size_t>(i * (n_streams - 1) / (NAlone(n_streams) - 1));
    DecodeRun run(batch, {prompts[stream]});
    for (int step = 0; step < n_tokens; ++step) run.Step();
    CheckEqual(run.Logits(), std::span(expected).subspan(stream * vocab, vocab),
               "a stream by itself");
  }
  const double mean_length = prompt_tokens + (n_tokens + 1) / 2.0;
  rates.flops_per_token = LayerFlops(config, options_.experts_per_token) +
                          ScoreFlops(config, mean_length) + HeadFlops(config);
  const double of_weights = BytesRead(model_.checkpoint(), n_tokens, counter.n_read());
  const auto of_a_position =
      static_cast<double>(engine::KvCache::BytesOfPosition(config, options_.kv));
  rates.bytes_per_token = of_weights / (n_tokens * n_streams) + of_a_position * mean_length;
  return rates;
}

}  // namespace moescope::lab
