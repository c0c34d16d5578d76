// moescope inspect MODEL: what a model is, where its bytes are, what a sweep over it costs.
#include "lab/inspect.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/cli/command.h"
#include "base/error.h"
#include "base/platform/cpu.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "engine/experts/weight_plan.h"
#include "files/family.h"
#include "lab/trace_memory.h"

namespace moescope::cli {
namespace {

std::string_view KindName(const files::Vocabulary& vocabulary) {
  if (vocabulary.kind == files::TokenizerKind::kSentencePiece) return "SentencePiece BPE";
  return vocabulary.IsByteLevel() ? "byte-level BPE" : "BPE of characters";
}

using nlohmann::ordered_json;

struct InspectOptions {
  std::string model;
  std::string memory;
  double disk_rate = 1.3;  // GB/s: a common NVMe disk, read directly
  double gflops = 0;
  int chunk = 0;
  int n_threads = 0;
  bool json = false;
};

// What an AVX2 core does in float32 inside a sweep; `bench --machine` measures this machine's.
constexpr double kGflopsPerThread = 50;
constexpr int64_t kForecastTokens = 1'000'000;

// Everything the command says, computed once for both forms of output.
struct Inspection {
  const files::Checkpoint& checkpoint;
  files::ParameterCounts counts;
  std::vector<lab::BytesRow> bytes;
  uint64_t weight_bytes = 0;  // as stored, or as BF16 would be
  uint64_t kv_values_per_token = 0;
  int chunk = 0;
  int n_threads = 0;
  lab::SweepRates rates = {};
  std::optional<lab::SweepForecast> forecast = {};
  std::string no_forecast = {};  // why there is none
  // With --memory as a limit on all that a trace uses; n_cells: experts of all layers.
  std::optional<engine::WeightPlan> weight_plan = {};
  int n_cells = 0;
};

// As `trace` would; nothing when it would refuse.
void PlanWeights(uint64_t memory, Inspection& result) {
  const uint64_t least = engine::LeastWeightBytes(result.checkpoint);
  const files::ModelConfig& config = result.checkpoint.config();
  try {
    const uint64_t rest =
        lab::PlannedBytes(config, {.memory_bytes = memory > least ? memory - least : 0,
                                   .chunk = result.chunk,
                                   .n_threads = result.n_threads});
    result.weight_plan = engine::PlanWeights(result.checkpoint, false, memory, rest);
    result.n_cells = config.n_layers * config.n_feed_forwards();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kResource) throw;
  }
}

Inspection Inspect(const files::Checkpoint& checkpoint, const InspectOptions& options) {
  const files::ModelConfig& config = checkpoint.config();
  Inspection result{.checkpoint = checkpoint,
                    .counts = CountParameters(config),
                    .bytes = lab::BytesByKind(checkpoint)};
  for (const lab::BytesRow& row : result.bytes) result.weight_bytes += row.n_bytes;
  if (!checkpoint.has_weights()) result.weight_bytes = 2 * result.counts.total;
  result.kv_values_per_token = uint64_t{2} * static_cast<uint64_t>(config.n_layers) *
                               static_cast<uint64_t>(config.n_kv_heads) *
                               static_cast<uint64_t>(config.head_dim);
  if (options.chunk < 0 || options.chunk > config.context) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--chunk: expected 1 to the model's context of {}, found {}",
                            config.context, options.chunk));
  }
  // A sweep's memory grows with the longest sequence, so long contexts are forecast in chunks.
  constexpr int kDefaultChunk = 4096;
  result.chunk = options.chunk > 0 ? options.chunk : std::min(config.context, kDefaultChunk);
  result.n_threads = options.n_threads > 0 ? options.n_threads : AvailableCores();
  double gflops = options.gflops > 0 ? options.gflops : kGflopsPerThread * result.n_threads;
  result.rates = {gflops * 1e9, options.disk_rate * 1e9};
  uint64_t memory =
      options.memory.empty() ? AvailableMemoryBytes() / 2 : ParseBytes(options.memory);
  try {
    result.forecast = lab::ForecastSweep(config, result.weight_bytes, memory, result.chunk,
                                         result.n_threads, result.rates);
  } catch (const Error& error) {
    // The rest is still worth knowing on a machine that is too small.
    if (error.kind() != ErrorKind::kResource) throw;
    result.no_forecast = error.what();
  }
  if (!options.memory.empty() && checkpoint.has_weights()) PlanWeights(memory, result);
  return result;
}

std::string Percent(uint64_t part, uint64_t whole) {
  return fmt::format(
      "{:.1f} %", whole == 0 ? 0.0 : 100 * static_cast<double>(part) / static_cast<double>(whole));
}

void PrintLine(std::string_view label, const std::string& value) {
  fmt::print("  {:<22}{}\n", label, value);
}

void PrintCount(std::string_view label, uint64_t count, const std::string& note) {
  fmt::print("  {:<22}{:>19}{}{}\n", label, FormatCount(count), note.empty() ? "" : "  ", note);
}

std::string RopeScalingText(const files::RopeScaling& scaling) {
  using Kind = files::RopeScaling::Kind;
  switch (scaling.kind) {
    case Kind::kNone:
      return "";
    case Kind::kLinear:
      return fmt::format(", stretched evenly by {}", scaling.factor);
    case Kind::kLlama3:
      return fmt::format(", stretched as Llama 3 by {} from a context of {}", scaling.factor,
                         scaling.original_context);
    case Kind::kYarn:
      return fmt::format(", stretched by YaRN by {} from a context of {}", scaling.factor,
                         scaling.original_context);
    case Kind::kFactors:
      return ", stretched by the factors in the file";
  }
  return "";
}

std::string PositionsText(const files::ModelConfig& c) {
  if (c.positions == files::PositionKind::kLearned) return "an embedding learned for each";
  return fmt::format("rotary, theta {}, {}{}", c.rope_theta,
                     c.rope_layout == files::RopeLayout::kHalves
                         ? "halves of a head turn together"
                         : "neighbouring dimensions turn together",
                     RopeScalingText(c.rope_scaling));
}

void PrintAttention(const files::ModelConfig& c) {
  auto number = [](int value) { return FormatCount(static_cast<uint64_t>(value)); };
  PrintLine("attention heads",
            fmt::format("{} of {} dimensions", number(c.n_heads), number(c.head_dim)));
  PrintLine("key-value heads", fmt::format("{} (each serves {} heads)", number(c.n_kv_heads),
                                           c.n_heads / c.n_kv_heads));
  if (c.sliding_window > 0) {
    PrintLine("sliding window", fmt::format("a token sees itself and the {} before it",
                                            number(c.sliding_window - 1)));
  }
  if (c.query_key_norm != files::QueryKeyNorm::kNone) {
    PrintLine("query and key norm", c.query_key_norm == files::QueryKeyNorm::kPerHead
                                        ? "each head by itself"
                                        : "all heads of a token together");
  }
  PrintLine("positions", PositionsText(c));
}

void PrintFeedForward(const files::ModelConfig& c) {
  auto number = [](int value) { return FormatCount(static_cast<uint64_t>(value)); };
  const char* kind = c.feed_forward == files::FeedForwardKind::kSwiGlu ? "SwiGLU" : "GELU";
  if (c.dense()) {
    PrintLine("feed-forward", fmt::format("dense, ffn_dim {}, {}", number(c.ffn_dim), kind));
    return;
  }
  PrintLine("experts", fmt::format("{} in each layer, {} chosen for each token",
                                   number(c.n_experts), number(c.experts_per_token)));
  PrintLine("routing weights", c.normalise_routing_weights
                                   ? "softmax over the chosen"
                                   : "softmax over all, not divided by the sum of the chosen");
  PrintLine("ffn_dim", fmt::format("{} in each expert, {}", number(c.ffn_dim), kind));
}

void PrintArchitecture(const files::ModelConfig& c) {
  auto number = [](int value) { return FormatCount(static_cast<uint64_t>(value)); };
  fmt::print("\nArchitecture\n");
  PrintLine("layers", number(c.n_layers));
  PrintLine("model_dim", number(c.model_dim));
  PrintAttention(c);
  PrintFeedForward(c);
  PrintLine("vocabulary", number(c.vocab_size));
  PrintLine("context", fmt::format("{} tokens", number(c.context)));
  PrintLine("norm",
            fmt::format("{}, epsilon {:.3g}",
                        c.norm == files::NormKind::kRms ? "RMS" : "layer norm", c.norm_eps));
  PrintLine("embeddings",
            c.tied_embeddings ? "output head is the token embedding" : "output head of its own");
}

void PrintParameters(const Inspection& result) {
  const files::ModelConfig& c = result.checkpoint.config();
  const files::ParameterCounts& counts = result.counts;
  fmt::print("\nParameters\n");
  PrintCount("total", counts.total, "");
  if (c.dense()) {
    PrintCount("feed-forward", counts.all_experts, Percent(counts.all_experts, counts.total));
  } else {
    PrintCount(fmt::format("active, K = {}", c.experts_per_token), counts.active,
               Percent(counts.active, counts.total) + " of total, for each token");
    for (int k = 1; k <= std::min(3, c.n_experts); ++k) {
      if (k == c.experts_per_token) continue;
      PrintCount(fmt::format("active, if K = {}", k), CountParameters(c, k).active, "");
    }
    PrintCount("one expert", counts.one_expert, "");
    PrintCount(fmt::format("all {} experts", FormatCount(static_cast<uint64_t>(c.n_experts) *
                                                         static_cast<uint64_t>(c.n_layers))),
               counts.all_experts, Percent(counts.all_experts, counts.total));
  }
  PrintCount("attention", counts.attention, Percent(counts.attention, counts.total));
  PrintCount("embeddings and head", counts.embeddings, Percent(counts.embeddings, counts.total));
  if (!c.dense()) PrintCount("routers", counts.router, Percent(counts.router, counts.total));
  PrintCount("norms", counts.norms, Percent(counts.norms, counts.total));
}

void PrintBytes(const Inspection& result) {
  fmt::print("\nWeights\n");
  if (result.bytes.empty()) {
    fmt::print("  none here: a configuration alone. As BF16 they take {}, as Q8_0 about {}.\n",
               FormatBytes(2 * result.counts.total), FormatBytes(result.counts.total * 34 / 32));
    return;
  }
  fmt::print("  {:<18}{:<8}{:>8}{:>12}{:>9}\n", "kind", "type", "tensors", "bytes", "share");
  for (const lab::BytesRow& row : result.bytes) {
    fmt::print("  {:<18}{:<8}{:>8}{:>12}{:>9}\n", row.kind, Name(row.dtype),
               FormatCount(row.n_tensors), FormatBytes(row.n_bytes),
               Percent(row.n_bytes, result.weight_bytes));
  }
  fmt::print("  {:<18}{:<8}{:>8}{:>12}\n", "together", "", "", FormatBytes(result.weight_bytes));
}

bool HasRouters(const files::Checkpoint& checkpoint) {
  return checkpoint.has_weights() && !checkpoint.config().dense();
}

// Requires: HasRouters.
DType RouterType(const files::Checkpoint& checkpoint) {
  return checkpoint.tensor({files::TensorKind::kRouter, 0}).dtype;
}

// Quantised routers choose other experts than the model's own.
bool AnyRouterQuantised(const files::Checkpoint& checkpoint) {
  if (!HasRouters(checkpoint)) return false;
  for (int layer = 0; layer < checkpoint.config().n_layers; ++layer) {
    DType dtype = checkpoint.tensor({files::TensorKind::kRouter, layer}).dtype;
    if (Info(dtype).block_elements > 1) return true;
  }
  return false;
}

void PrintRest(const Inspection& result) {
  const files::Checkpoint& checkpoint = result.checkpoint;
  const files::ModelConfig& c = checkpoint.config();
  fmt::print("\nRunning it\n");
  if (HasRouters(checkpoint)) {
    PrintLine("router stored as",
              fmt::format("{}{}", Name(RouterType(checkpoint)),
                          AnyRouterQuantised(checkpoint)
                              ? ": quantised, so the routes shown are not quite the model's own"
                              : ""));
  }
  PrintLine("tokenizer",
            checkpoint.vocabulary() == nullptr
                ? fmt::format("none: {}", checkpoint.tokenizer_note())
                : fmt::format("{}, {} pieces, identity {}", KindName(*checkpoint.vocabulary()),
                              FormatCount(checkpoint.vocabulary()->pieces.size()),
                              checkpoint.vocabulary()->Identity()));
  PrintLine(
      "key-value cache",
      fmt::format("{} values a token: {} at 16 bits, {} for the whole context",
                  FormatCount(result.kv_values_per_token),
                  FormatBytes(2 * result.kv_values_per_token),
                  FormatBytes(2 * result.kv_values_per_token * static_cast<uint64_t>(c.context))));
}

void PrintForecast(const Inspection& result) {
  fmt::print("\nA sweep over text (trace, ablate, ...)\n");
  if (!result.forecast) {
    fmt::print("  {}\n", result.no_forecast);
    return;
  }
  const lab::SweepForecast& f = *result.forecast;
  PrintLine("memory", fmt::format("{} given: {} fixed, {} a token in the wave; weights are mapped",
                                  FormatBytes(f.memory_bytes), FormatBytes(f.plan.fixed_bytes),
                                  FormatBytes(f.plan.bytes_per_row)));
  if (result.weight_plan && result.weight_plan->placement == engine::WeightPlacement::kStreamed) {
    PrintLine("streamed",
              fmt::format("as a limit on everything it leaves slots for {} of {} experts; the rest "
                          "is read in each wave",
                          result.weight_plan->n_slots, result.n_cells));
  }
  PrintLine("wave", fmt::format("{} tokens in sequences of up to {}",
                                FormatCount(static_cast<uint64_t>(f.plan.wave_rows)),
                                FormatCount(static_cast<uint64_t>(result.chunk))));
  PrintLine(
      "disk",
      f.weights_stay_in_memory
          ? fmt::format("{} of weights, read once: they fit in memory", FormatBytes(f.weight_bytes))
          : fmt::format("{} of weights read in each wave", FormatBytes(f.weight_bytes)));
  PrintLine("time", fmt::format("{} a wave; 1 million tokens in {}",
                                FormatSeconds(f.Seconds(f.plan.wave_rows)),
                                FormatSeconds(f.Seconds(kForecastTokens))));
  PrintLine("",
            fmt::format("supposing {:.0f} GFLOP/s ({} threads) and {}/s from disk; 'moescope "
                        "bench --machine' measures",
                        result.rates.flops_per_second / 1e9, result.n_threads,
                        FormatBytes(static_cast<uint64_t>(result.rates.disk_bytes_per_second))));
}

void PrintText(const Inspection& result) {
  const files::Checkpoint& checkpoint = result.checkpoint;
  size_t n_files = checkpoint.files().size();
  std::string where = n_files == 0   ? "configuration only"
                      : n_files == 1 ? fmt::format("{} file", checkpoint.format())
                                     : fmt::format("{} {} files", n_files, checkpoint.format());
  fmt::print("{}\n  {}, {}; {}; identity {}\n", checkpoint.path(),
             files::FamilyOf(checkpoint.config()).title,
             checkpoint.config().dense() ? "dense" : "a mixture of experts", where,
             checkpoint.Identity());
  PrintArchitecture(checkpoint.config());
  PrintParameters(result);
  PrintBytes(result);
  PrintRest(result);
  PrintForecast(result);
}

ordered_json ForecastJson(const Inspection& result) {
  if (!result.forecast) return {{"error", result.no_forecast}};
  const lab::SweepForecast& f = *result.forecast;
  return {{"memory_bytes", f.memory_bytes},
          {"fixed_bytes", f.plan.fixed_bytes},
          {"bytes_per_token", f.plan.bytes_per_row},
          {"wave_tokens", f.plan.wave_rows},
          {"chunk", result.chunk},
          {"n_threads", result.n_threads},
          {"weight_bytes_read_per_wave", f.weight_bytes},
          {"weights_stay_in_memory", f.weights_stay_in_memory},
          {"flops_per_token", f.plan.flops_per_row},
          {"assumed_flops_per_second", result.rates.flops_per_second},
          {"assumed_disk_bytes_per_second", result.rates.disk_bytes_per_second},
          {"compute_seconds_per_wave", f.compute_seconds_per_wave},
          {"disk_seconds_per_wave", f.disk_seconds_per_wave},
          {"seconds_per_wave", f.Seconds(f.plan.wave_rows)},
          {"seconds_per_million_tokens", f.Seconds(kForecastTokens)}};
}

void PrintJson(const Inspection& result) {
  const files::Checkpoint& checkpoint = result.checkpoint;
  const files::ModelConfig& c = checkpoint.config();
  const files::ParameterCounts& counts = result.counts;
  ordered_json rows = ordered_json::array();
  for (const lab::BytesRow& row : result.bytes) {
    rows.push_back({{"kind", row.kind},
                    {"type", Name(row.dtype)},
                    {"tensors", row.n_tensors},
                    {"bytes", row.n_bytes}});
  }
  ordered_json active = ordered_json::object();
  for (int k = 1; k <= std::min(3, c.n_experts); ++k) {
    active[std::to_string(k)] = CountParameters(c, k).active;
  }
  bool weights = checkpoint.has_weights();
  const files::Vocabulary* vocabulary = checkpoint.vocabulary().get();
  ordered_json report = {
      {"rows", rows},
      {"model", checkpoint.path()},
      {"format", weights ? checkpoint.format() : "configuration"},
      {"identity", checkpoint.Identity()},
      {"architecture",
       {{"family", c.architecture},
        {"n_layers", c.n_layers},
        {"model_dim", c.model_dim},
        {"n_heads", c.n_heads},
        {"n_kv_heads", c.n_kv_heads},
        {"head_dim", c.head_dim},
        {"ffn_dim", c.ffn_dim},
        {"n_experts", c.n_experts},
        {"experts_per_token", c.experts_per_token},
        {"vocab_size", c.vocab_size},
        {"context", c.context},
        {"rope_theta", c.rope_theta},
        {"rope_layout", c.rope_layout == files::RopeLayout::kHalves ? "halves" : "interleaved"},
        {"positions", c.positions == files::PositionKind::kRotary ? "rotary" : "learned"},
        {"sliding_window",
         c.sliding_window > 0 ? ordered_json(c.sliding_window) : ordered_json(nullptr)},
        {"normalise_routing_weights",
         c.dense() ? ordered_json(nullptr) : ordered_json(c.normalise_routing_weights)},
        {"norm_eps", c.norm_eps},
        {"tied_embeddings", c.tied_embeddings}}},
      {"parameters",
       {{"total", counts.total},
        {"active", counts.active},
        {"active_by_experts_per_token", active},
        {"one_expert", counts.one_expert},
        {"all_experts", counts.all_experts},
        {"attention", counts.attention},
        {"embeddings", counts.embeddings},
        {"router", counts.router},
        {"norms", counts.norms}}},
      {"weight_bytes", weights ? ordered_json(result.weight_bytes) : ordered_json(nullptr)},
      {"router_type",
       HasRouters(checkpoint) ? ordered_json(Name(RouterType(checkpoint))) : ordered_json(nullptr)},
      {"router_quantised", AnyRouterQuantised(checkpoint)},
      {"tokenizer", vocabulary == nullptr ? ordered_json(nullptr)
                                          : ordered_json{{"kind", KindName(*vocabulary)},
                                                         {"pieces", vocabulary->pieces.size()},
                                                         {"identity", vocabulary->Identity()}}},
      {"kv_cache_values_per_token", result.kv_values_per_token},
      {"sweep", ForecastJson(result)}};
  fmt::print("{}\n", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

std::function<void()> AddInspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  app.add_option("-m,--model,model", options->model,
                 "Model: folder, config.json, safetensors or GGUF file")
      ->required();
  app.add_option("--memory", options->memory,
                 "Memory a sweep may use, such as 2G (default: half of what is available)");
  app.add_option("--chunk", options->chunk,
                 "Longest sequence (default: the context, at most 4096)");
  app.add_option("-t,--threads", options->n_threads, "Threads (default: one a core)");
  app.add_option("--gflops", options->gflops,
                 "Arithmetic to suppose for the forecast, in GFLOP/s (default: 50 a thread)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--disk-rate", options->disk_rate, "Disk to suppose for the forecast, in GB/s")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print everything as JSON");
  return [options] {
    files::Checkpoint checkpoint = files::Checkpoint::Open(options->model);
    Inspection result = Inspect(checkpoint, *options);
    options->json ? PrintJson(result) : PrintText(result);
  };
}

}  // namespace moescope::cli
