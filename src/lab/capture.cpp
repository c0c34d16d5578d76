#include "lab/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/progress.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "lab/capture_files.h"
#include "lab/capture_probe.h"
#include "lab/intervention_probe.h"
#include "lab/residual_edit.h"
#include "lab/stored_text.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSiteNames[kNCaptureSites] = {
    "residual_after_attention", "residual_after_moe", "expert_input", "expert_output"};

[[noreturn]] void Refuse(const std::string& run, const std::string& expected,
                         const std::string& found) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot capture from {}: expected {}, found {}", run, expected, found));
}

// A folder made for the output; taken away with what is in it unless kept.
class OutputFolder {
 public:
  explicit OutputFolder(const std::string& path) : path_(path) {
    std::error_code error;
    if (fs::exists(path, error) && !fs::is_empty(path, error)) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("-o {}: expected a folder that is not there yet, found one with files",
                      path));
    }
    fs::create_directories(path, error);
    if (error) ThrowErrno(error.value(), "create", path);
  }
  ~OutputFolder() {
    std::error_code ignored;
    if (!kept_) fs::remove_all(path_, ignored);
  }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  void Keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

class Capturer {
 public:
  Capturer(const TextModel& opened, const store::Run& run, const CaptureOptions& options)
      : model_(*opened.model),
        config_(model_.config()),
        run_(run),
        options_(options),
        pool_(options.n_threads),
        kernels_(engine::SelectKernels()) {
    const std::string identity = model_.checkpoint().Identity();
    if (run.description().model_identity != identity) {
      Refuse(run.directory(), fmt::format("a run of this model, {}", identity),
             fmt::format("one of {}, {}", run.description().model_name,
                         run.description().model_identity));
    }
    const std::unique_ptr<store::Database> database = run.OpenViews({});
    text_ = ReadStoredText(*database);
    database->LockDown(run.Files());
    ReadTokens(*database);
    PlanInterventions();
  }

  CaptureSummary Run() {
    PlanWaves();
    OutputFolder folder(options_.output);
    std::vector<CaptureFiles> files;
    for (CaptureSite site : options_.sites) {
      files.emplace_back(options_.output, std::string(Name(site)), config_.model_dim);
    }
    CaptureProbe probe(config_, options_, n_slots_, most_chosen_);
    InterventionProbe interventions(std::move(plans_));
    std::vector<routing::Probe*> probes;
    if (!config_.dense()) probes.push_back(&interventions);
    probes.push_back(&probe);
    engine::Sweep sweep(model_, kernels_, pool_,
                        {.wave_rows = wave_rows_,
                         .max_sequence = longest_,
                         .losses = false,
                         .experts_per_token = config_.dense() ? 0 : n_slots_,
                         .precision = options_.precision});
    ProgressBar progress("capture", tokens_.size(), "tokens");
    for (size_t next = 0; next < tokens_.size();) {
      ThrowIfCancelled();
      const size_t first = next;
      next = FillWave(first);
      probe.Begin(place_);
      sweep.Run(wave_, probes);
      Take(probe, first, next, files);
      ++summary_.n_waves;
      progress.Update(next);
    }
    store::Database database(store::DatabaseOptions{});
    for (size_t i = 0; i < files.size(); ++i) {
      files[i].Finish(database, options_.parquet);
      summary_.files.push_back({options_.sites[i], files[i].n_rows(), config_.model_dim});
    }
    WriteDescription();
    folder.Keep();
    summary_.n_tokens = static_cast<int64_t>(tokens_.size());
    return summary_;
  }

 private:
  void ReadTokens(store::Database& database) {
    const store::Table columns =
        database.Query(fmt::format("SELECT * FROM ({}) LIMIT 0", options_.rows_sql));
    if (std::find(columns.columns.begin(), columns.columns.end(), "token") ==
        columns.columns.end()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--rows: expected a SELECT with a column `token`, found {}",
                              fmt::join(columns.columns, ", ")));
    }
    const auto n_tokens = static_cast<int64_t>(text_.token_ids.size());
    database.ForEachRow(
        fmt::format("SELECT DISTINCT token::BIGINT FROM ({}) ORDER BY 1", options_.rows_sql),
        [](const std::vector<std::string>&) {},
        [&](std::vector<store::Value>& row) {
          const auto* token = std::get_if<int64_t>(row.data());
          if (token == nullptr) return true;  // null
          if (*token < 0 || *token >= n_tokens) {
            throw Error(
                ErrorKind::kBadInput,
                fmt::format("--rows: expected tokens 0 to {}, found {}", n_tokens - 1, *token));
          }
          tokens_.push_back(*token);
          return true;
        });
    if (tokens_.empty()) {
      throw Error(ErrorKind::kBadInput, "--rows: expected tokens, found none; nothing is captured");
    }
  }

  // Those of the run hold again.
  void PlanInterventions() {
    n_slots_ = 1;
    for (const std::string& text : run_.description().interventions) {
      if (!IsResidualEdit(text)) continue;
      Refuse(run_.directory(), "a run whose residuals were not changed", text);
    }
    if (config_.dense()) return;
    const routing::RoutedModel routed = RoutedModelOf(model_);
    std::vector<routing::Intervention> interventions;
    for (const std::string& text : run_.description().interventions) {
      interventions.push_back(routing::ParseIntervention(text, routed, run_.directory()));
      if (routing::IsForce(interventions.back().mode)) {
        Refuse(run_.directory(), "a run whose routes were not forced", text);
      }
    }
    plans_.emplace_back(interventions, routed);
    n_slots_ = SlotsOf(plans_);
  }

  // Memory goes to the wave first, then to what is captured of it.
  void PlanWaves() {
    int64_t last = -1, most_rows = 0, chosen = 0;
    for (int64_t token : tokens_) {
      const int64_t sequence = text_.SequenceOf(token);
      if (sequence != last) {
        const auto n = static_cast<int64_t>(text_.Ids(sequence).size());
        longest_ = std::max(longest_, static_cast<int>(n));
        most_rows += n;
        ++summary_.n_sequences;
        chosen = 0;
        last = sequence;
      }
      most_of_sequence_ = std::max(most_of_sequence_, ++chosen);
    }
    const uint64_t memory = model_.memory_left().value_or(
        options_.memory_bytes > 0 ? options_.memory_bytes : AvailableMemoryBytes() / 2);
    const uint64_t kept = text_.token_ids.size() * sizeof(int32_t) +
                          tokens_.size() * (sizeof(int64_t) + sizeof(CapturedRow));
    const uint64_t of_row = CaptureProbe::BytesPerRow(config_, options_, n_slots_);
    const uint64_t least = kept + static_cast<uint64_t>(most_of_sequence_) * of_row;
    if (memory <= least) {
      throw Error(ErrorKind::kResource,
                  fmt::format("not enough memory: the tokens chosen of one sequence need {}, "
                              "available {}; give more with --memory, or fewer --layers or --sites",
                              FormatBytes(least), FormatBytes(memory)));
    }
    const auto wanted = static_cast<uint64_t>(tokens_.size());
    most_chosen_ = static_cast<int64_t>(
        std::clamp((memory - kept) / 2 / of_row, static_cast<uint64_t>(most_of_sequence_), wanted));
    files::ModelConfig config = config_;
    if (!config_.dense()) config.experts_per_token = n_slots_;
    wave_rows_ =
        engine::PlanSweep(config, memory - kept - static_cast<uint64_t>(most_chosen_) * of_row,
                          longest_, pool_.n_threads(), sizeof(routing::RowInfo) + sizeof(int32_t),
                          options_.precision)
            .wave_rows;
    wave_rows_ = std::min(wave_rows_, most_rows);
    if (options_.wave_tokens > 0) {
      wave_rows_ = std::min(wave_rows_, std::max<int64_t>(options_.wave_tokens, longest_));
    }
  }

  // Whole sequences of the tokens from `first` on, as many as fit; returns the first token that
  // does not.
  size_t FillWave(size_t first) {
    wave_.clear();
    place_.clear();
    size_t next = first;
    while (next < tokens_.size()) {
      const int64_t sequence = text_.SequenceOf(tokens_[next]);
      const int64_t begin = text_.first_token[static_cast<size_t>(sequence)];
      const std::span<const int32_t> ids = text_.Ids(sequence);
      const auto end = static_cast<size_t>(
          std::lower_bound(tokens_.begin() + static_cast<ptrdiff_t>(next), tokens_.end(),
                           begin + static_cast<int64_t>(ids.size())) -
          tokens_.begin());
      if (wave_.n_rows() + static_cast<int64_t>(ids.size()) > wave_rows_ ||
          static_cast<int64_t>(end - first) > most_chosen_) {
        break;
      }
      const auto first_row = static_cast<int64_t>(place_.size());
      wave_.Add(sequence, 0, ids);
      place_.resize(place_.size() + ids.size(), -1);
      for (; next < end; ++next) {
        place_[static_cast<size_t>(first_row + tokens_[next] - begin)] =
            static_cast<int32_t>(next - first);
      }
    }
    return next;
  }

  void Take(const CaptureProbe& probe, size_t first, size_t end, std::vector<CaptureFiles>& files) {
    for (size_t i = first; i < end; ++i) {
      const auto chosen = static_cast<int64_t>(i - first);
      const int64_t sequence = text_.SequenceOf(tokens_[i]);
      CapturedRow row;
      row.token = tokens_[i];
      row.sequence = sequence;
      row.position =
          static_cast<int32_t>(tokens_[i] - text_.first_token[static_cast<size_t>(sequence)]);
      row.token_id = text_.token_ids[static_cast<size_t>(tokens_[i])];
      for (size_t l = 0; l < options_.layers.size(); ++l) {
        row.layer = static_cast<int16_t>(options_.layers[l]);
        for (size_t f = 0; f < files.size(); ++f) {
          TakeSite(probe, options_.sites[f], static_cast<int>(l), chosen, row, files[f]);
        }
      }
    }
  }

  void TakeSite(const CaptureProbe& probe, CaptureSite site, int layer_index, int64_t chosen,
                CapturedRow row, CaptureFiles& file) const {
    const bool of_experts = site == CaptureSite::kExpertInput || site == CaptureSite::kExpertOutput;
    for (int slot = 0; slot < SlotsOf(site, n_slots_); ++slot) {
      row.slot = of_experts ? static_cast<int16_t>(slot) : int16_t{-1};
      row.expert = -1;
      if (of_experts && !config_.dense()) {
        row.expert = probe.Expert(layer_index, chosen, slot);
        if (row.expert < 0) continue;  // dropped: nothing ran
        row.weight = probe.Weight(layer_index, chosen, slot);
      }
      file.Add(row, probe.Values(site, layer_index, chosen, slot));
    }
  }

  void WriteDescription() const {
    nlohmann::ordered_json sites = nlohmann::ordered_json::array();
    for (CaptureSite site : options_.sites) sites.push_back(Name(site));
    const nlohmann::ordered_json json = {{"model", run_.description().model_name},
                                         {"model_identity", run_.description().model_identity},
                                         {"run_identity", run_.identity()},
                                         {"rows", options_.rows_sql},
                                         {"layers", options_.layers},
                                         {"sites", sites},
                                         {"interventions", run_.description().interventions},
                                         {"precision", Name(options_.precision)},
                                         {"kernel_level", Name(kernels_.level)}};
    const std::string path = options_.output + "/capture.json";
    std::ofstream out(path);
    out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    if (!out.flush()) ThrowErrno(errno, "write", path);
  }

  engine::Model& model_;
  const files::ModelConfig& config_;
  const store::Run& run_;
  const CaptureOptions& options_;
  ThreadPool pool_;
  const engine::KernelTable& kernels_;
  StoredText text_;
  std::vector<int64_t> tokens_;  // chosen, increasing
  std::vector<routing::InterventionPlan> plans_;
  int n_slots_ = 1, longest_ = 0;
  int64_t wave_rows_ = 0, most_chosen_ = 0, most_of_sequence_ = 0;
  engine::Wave wave_;
  std::vector<int32_t> place_;
  CaptureSummary summary_;
};

}  // namespace

std::string_view Name(CaptureSite site) {
  return kSiteNames[static_cast<size_t>(site)];
}

CaptureSite ParseCaptureSite(std::string_view name) {
  const auto* found = std::find(std::begin(kSiteNames), std::end(kSiteNames), name);
  if (found == std::end(kSiteNames)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--sites: expected {}, found '{}'", fmt::join(kSiteNames, ", "), name));
  }
  return static_cast<CaptureSite>(found - std::begin(kSiteNames));
}

CaptureSummary Capture(const TextModel& opened, const store::Run& run,
                       const CaptureOptions& options) {
  return Capturer(opened, run, options).Run();
}

}  // namespace moescope::lab
