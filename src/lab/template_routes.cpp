#include "lab/template_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "lab/decision_collector.h"

namespace moescope::lab {
namespace {

// The options under which the tokenizer has this identity.
std::optional<text::EncodeOptions> OptionsOfIdentity(const text::Tokenizer& tokenizer,
                                                     const std::string& identity) {
  using text::SpacePrefix, text::Specials;
  for (const Specials specials : {Specials::kByFormat, Specials::kAsText, Specials::kRecognised}) {
    for (const SpacePrefix prefix : {SpacePrefix::kByFormat, SpacePrefix::kOn, SpacePrefix::kOff}) {
      const text::EncodeOptions options = {specials, prefix};
      if (tokenizer.Identity(options) == identity) return options;
    }
  }
  return std::nullopt;
}

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == text.npos;
}

// A placed word's rows from its last piece on; its sequence begins at row `first` of the wave.
routing::RoutedRows RowsFrom(const PlacedWord& placed, int64_t first,
                             const std::vector<store::LayerRoutes>& layers, int n_chosen) {
  routing::RoutedRows rows;
  rows.n_layers = static_cast<int>(layers.size());
  rows.experts_per_token = n_chosen;
  rows.token_ids.assign(placed.ids.begin() + placed.last_piece, placed.ids.end());
  const auto begin = static_cast<size_t>((first + placed.last_piece) * n_chosen);
  const size_t n = rows.n_rows() * static_cast<size_t>(n_chosen);
  for (const store::LayerRoutes& layer : layers) {
    const auto experts = layer.experts.subspan(begin, n);
    const auto weights = layer.weights.subspan(begin, n);
    rows.experts.insert(rows.experts.end(), experts.begin(), experts.end());
    rows.weights.insert(rows.weights.end(), weights.begin(), weights.end());
  }
  return rows;
}

}  // namespace

TemplatePolicy PolicyOfRun(const TextModel& opened, const store::RunDescription& run,
                           const std::string& run_path) {
  const files::Checkpoint& checkpoint = opened.model->checkpoint();
  if (opened.model->config().dense()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot route templates: {}: expected a mixture of experts, found a "
                            "dense model, which has no router",
                            checkpoint.path()));
  }
  if (checkpoint.Identity() != run.model_identity) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot route templates beside {}: expected the run's model {} ({}), "
                            "found {} with identity {}; give the model the run was traced with",
                            run_path, run.model_identity, run.model_name, checkpoint.path(),
                            checkpoint.Identity()));
  }
  const auto encode = OptionsOfIdentity(*opened.tokenizer, run.tokenizer_identity);
  if (!encode) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot route templates beside {}: expected the run's tokenizer {}, "
                            "found {} in {}",
                            run_path, run.tokenizer_identity, opened.tokenizer->Identity(),
                            checkpoint.path()));
  }
  const bool bos =
      run.bos != "none" && opened.tokenizer->adds_bos() && opened.tokenizer->bos_id() >= 0;
  return {bos, *encode};
}

PlacedWord PlaceWord(const text::Tokenizer& tokenizer, const TemplatePolicy& policy,
                     const text::WordTemplate& in, std::string_view word) {
  const std::string text = in.Fill(word);
  const size_t from = in.before.size(), to = from + word.size();
  text::Encoding encoding;
  tokenizer.Encode(text, policy.encode, encoding);
  PlacedWord placed;
  if (policy.bos) placed.ids.push_back(tokenizer.bos_id());
  const auto n_before = static_cast<int64_t>(placed.ids.size());
  placed.ids.insert(placed.ids.end(), encoding.ids.begin(), encoding.ids.end());
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const size_t begin = encoding.byte_start[i], end = encoding.byte_end[i];
    const bool holds_first = begin <= from && from < end;
    if (holds_first && !IsBlank(std::string_view(text).substr(begin, from - begin))) break;
    if (begin < to && end == to) placed.last_piece = n_before + static_cast<int64_t>(i);
  }
  return placed;
}

TemplateRoutes::TemplateRoutes(const TextModel& opened, const TemplatePolicy& policy,
                               std::span<const text::WordTemplate> templates,
                               std::span<const std::string> words,
                               const TemplateRoutesOptions& options, ThreadPool& pool)
    : model_(*opened.model), pool_(pool) {
  const int context = model_.config().context;
  for (const std::string& word : words) {
    ThrowIfCancelled();
    for (size_t t = 0; t < templates.size(); ++t) {
      const PlacedWord& placed =
          placed_.emplace_back(PlaceWord(*opened.tokenizer, policy, templates[t], word));
      const auto n = static_cast<int64_t>(placed.ids.size());
      if (n > context) {
        throw Error(ErrorKind::kBadInput,
                    fmt::format("cannot route '{}' in template {}: expected at most the context of "
                                "{} tokens, found {}; shorten the template",
                                word, t + 1, context, n));
      }
      if (placed.last_piece < 0) continue;
      ++n_sequences_;
      n_tokens_ += n;
      max_sequence_ = std::max(max_sequence_, static_cast<int>(n));
    }
  }
  PlanMemory(options.memory_bytes);
  if (options.wave_tokens > 0) {
    wave_rows_ = std::min(wave_rows_, std::max<int64_t>(options.wave_tokens, max_sequence_));
  }
  wave_rows_ = std::min(wave_rows_, std::max<int64_t>(n_tokens_, max_sequence_));
}

void TemplateRoutes::PlanMemory(uint64_t memory_bytes) {
  const files::ModelConfig& config = model_.config();
  const auto slots =
      static_cast<uint64_t>(config.n_layers) * static_cast<uint64_t>(config.experts_per_token);
  uint64_t kept_bytes = 0;
  for (const PlacedWord& placed : placed_) {
    kept_bytes += sizeof(PlacedWord) + sizeof(routing::RoutedRows) + 4 * placed.ids.size();
    if (placed.last_piece < 0) continue;
    const uint64_t n_rows = placed.ids.size() - static_cast<uint64_t>(placed.last_piece);
    kept_bytes += n_rows * (sizeof(int32_t) + slots * (sizeof(int16_t) + sizeof(float)));
  }
  if (kept_bytes >= memory_bytes) {
    throw Error(ErrorKind::kResource,
                fmt::format("not enough memory for the routes of {} sequences: they need {}, "
                            "available {}; give more with --memory, or fewer templates or "
                            "--null-pairs",
                            FormatCount(static_cast<uint64_t>(n_sequences_)),
                            FormatBytes(kept_bytes), FormatBytes(memory_bytes)));
  }
  const uint64_t collected =
      DecisionCollector::BytesPerRow(model_.router(), config.n_layers, /*keep_logits=*/false);
  wave_rows_ = engine::PlanSweep(config, memory_bytes - kept_bytes, max_sequence_,
                                 pool_.n_threads(), collected)
                   .wave_rows;
}

std::vector<routing::RoutedRows> TemplateRoutes::Run() const {
  const int n_layers = model_.config().n_layers;
  const int n_chosen = model_.router().experts_per_token;
  engine::Sweep sweep(model_, engine::SelectKernels(), pool_,
                      {.wave_rows = wave_rows_, .max_sequence = max_sequence_, .losses = false});
  DecisionCollector collector(model_.router(), n_layers, wave_rows_, /*keep_logits=*/false);
  ProgressBar progress("templates", static_cast<uint64_t>(n_tokens_), "tokens");
  std::vector<routing::RoutedRows> routes(placed_.size());
  engine::Wave wave;
  std::vector<size_t> in_wave;  // of placed_
  int64_t n_done = 0;
  const auto run_wave = [&] {
    if (in_wave.empty()) return;
    ThrowIfCancelled();
    routing::Probe* probes[] = {&collector};
    sweep.Run(wave, probes);
    const std::vector<store::LayerRoutes> layers = collector.Routes(wave.n_rows());
    for (size_t i = 0; i < in_wave.size(); ++i) {
      routes[in_wave[i]] = RowsFrom(placed_[in_wave[i]], wave.sequence_begin[i], layers, n_chosen);
    }
    n_done += wave.n_rows();
    progress.Update(static_cast<uint64_t>(n_done));
    wave.clear();
    in_wave.clear();
  };
  for (size_t i = 0; i < placed_.size(); ++i) {
    const PlacedWord& placed = placed_[i];
    if (placed.last_piece < 0) continue;
    if (wave.n_rows() + static_cast<int64_t>(placed.ids.size()) > wave_rows_) run_wave();
    wave.Add(static_cast<int64_t>(i), /*branch=*/0, placed.ids);
    in_wave.push_back(i);
  }
  run_wave();
  return routes;
}

}  // namespace moescope::lab
