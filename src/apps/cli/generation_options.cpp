#include "apps/cli/generation_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/platform/cpu.h"
#include "base/units.h"
#include "engine/model/kv_cache.h"
#include "lab/precision_note.h"

namespace moescope::cli {

void AddGenerationOptions(CLI::App& app, GenerationOptions& options) {
  engine::SamplingOptions& sampling = options.generate.sampling;
  app.add_option("-m,--model", options.model, "checkpoint: a GGUF file, a folder, or owner/name")
      ->required();
  app.add_option("-n,--tokens", options.generate.max_tokens, "tokens to write at most")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  app.add_option("-c,--context", options.context,
                 "positions of the cache (default: the model's context, at most 4096)")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("-t,--threads", options.n_threads, "threads (default: one a core)")
      ->check(CLI::Range(1, 1024));
  app.add_option("-s,--seed", sampling.seed, "seed of the drawing")->capture_default_str();
  app.add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "draw from the k likeliest tokens; 0: all")
      ->capture_default_str();
  app.add_option("--top-p", sampling.top_p, "draw from the fewest tokens with this probability")
      ->capture_default_str();
  app.add_option("--min-p", sampling.min_p,
                 "draw from tokens with this share of the likeliest one's probability")
      ->capture_default_str();
  app.add_option("--repetition-penalty", sampling.repetition_penalty,
                 "above 1: tokens written lately become less likely")
      ->capture_default_str();
  app.add_option("--penalty-window", sampling.penalty_window,
                 "how many tokens back the penalty looks; 0: all")
      ->capture_default_str();
  app.add_option("--stop", options.generate.stop, "end before this text, repeatable");
  app.add_flag("--ignore-end", options.ignore_end, "go on after the model ends its text");
  AddChangeOptions(app, options.changes);
  app.add_option("--memory", options.memory, "memory to use, weights included, such as 512M or 2G");
  app.add_option("--weights", options.weights, "how weights reach memory")
      ->check(CLI::IsMember({"mapped", "read"}))
      ->capture_default_str();
  app.add_option("--cache-policy", options.cache_policy,
                 "which experts stay when the model is larger than the memory: lru, lfu or fifo")
      ->check(CLI::IsMember({"lru", "lfu", "fifo"}))
      ->capture_default_str();
  app.add_option("--forecast", options.forecast,
                 "what is read ahead then: by the next layer's router, by transitions, or none")
      ->check(CLI::IsMember({"router", "transitions", "none"}))
      ->capture_default_str();
  app.add_flag("--stats", options.stats, "say how fast it was and what was read");
  app.add_option(
         "--precision", options.precision,
         "exact; fast: activations rounded where they meet quantised weights; auto: fast for "
         "models stored quantised")
      ->check(CLI::IsMember({"auto", "exact", "fast"}))
      ->capture_default_str();
  app.add_option("--kv", options.kv,
                 "type of keys and values in the cache: f32, or with --precision fast f16, q8_0")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}))
      ->capture_default_str();
}

engine::Precision GenerationOptions::Precision() const {
  if (!chosen_precision_) chosen_precision_ = lab::ChoosePrecision(precision, model);
  return *chosen_precision_;
}

engine::ModelOptions GenerationOptions::Model() const {
  engine::ModelOptions opened;
  opened.read_into_memory = weights == "read";
  opened.memory_bytes = memory.empty() ? 0 : ParseBytes(memory);
  opened.rest_bytes = [this](const files::ModelConfig& config, uint64_t) {
    return engine::SessionBytes(config, Session(config),
                                n_threads > 0 ? n_threads : AvailableCores());
  };
  opened.experts.rule = routing::EvictionRuleNamed(cache_policy).value();
  opened.experts.forecast = forecast == "router"        ? engine::ExpertForecast::kRouter
                            : forecast == "transitions" ? engine::ExpertForecast::kTransitions
                                                        : engine::ExpertForecast::kNone;
  return opened;
}

engine::SessionOptions GenerationOptions::Session(const files::ModelConfig& config,
                                                  engine::Profile* profile) const {
  const int fallback = std::min(config.context, kDefaultContext);
  return {.context = context > 0 ? context : fallback,
          .experts_per_token = lab::SessionSlots(changes.Changes(), config),
          .memory_bytes = memory.empty() ? 0 : ParseBytes(memory),
          .precision = Precision(),
          .kv = engine::ParseKvType(kv),
          .profile = profile};
}

}  // namespace moescope::cli
