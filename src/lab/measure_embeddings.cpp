#include "lab/measure_embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <span>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/progress.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "lab/chat.h"
#include "lab/describe_run.h"

namespace moescope::lab {
namespace {

struct SequenceRows {
  size_t begin = 0, end = 0;  // into TokenisedText::ids
  int32_t unit = 0;
  bool has_bos = false;
};

// All of the text, as the sweep will see it.
struct TokenisedText {
  std::vector<int32_t> ids;
  std::vector<SequenceRows> sequences;
  std::vector<EmbeddingUnit> units;
  std::vector<int32_t> dataset_of_unit;
  std::vector<std::vector<int32_t>> plain;  // [data sets] tokens that nulls draw from
  std::vector<std::string> datasets;
  int64_t n_documents = 0;
};

class TextCollector {
 public:
  explicit TextCollector(TokenisedText& text) : text_(text) {}

  void Add(const text::TokenisedDocument& document) {
    const int32_t dataset = DatasetOf(document.dataset);
    const int32_t unit = UnitOf(dataset, document.unit);
    const size_t first = text_.ids.size();
    text_.ids.insert(text_.ids.end(), document.ids.begin(), document.ids.end());
    const std::vector<int64_t>& starts = document.sequence_starts;
    for (size_t i = 0; i < starts.size(); ++i) {
      const bool is_last = i + 1 == starts.size();
      AddSequence({.begin = first + static_cast<size_t>(starts[i]),
                   .end = is_last ? text_.ids.size() : first + static_cast<size_t>(starts[i + 1]),
                   .unit = unit,
                   .has_bos = i == 0 && document.has_bos},
                  dataset);
    }
    ++text_.n_documents;
  }

 private:
  void AddSequence(const SequenceRows& rows, int32_t dataset) {
    text_.sequences.push_back(rows);
    const size_t plain = rows.begin + (rows.has_bos ? 1 : 0);
    const auto n = static_cast<int64_t>(rows.end - plain);
    EmbeddingUnit& unit = text_.units[static_cast<size_t>(rows.unit)];
    unit.n_tokens += n;
    unit.n_pairs += std::max<int64_t>(n - 1, 0);
    std::vector<int32_t>& drawn_from = text_.plain[static_cast<size_t>(dataset)];
    drawn_from.insert(drawn_from.end(), text_.ids.begin() + static_cast<ptrdiff_t>(plain),
                      text_.ids.begin() + static_cast<ptrdiff_t>(rows.end));
  }
  int32_t DatasetOf(const std::string& name) {
    const auto found = std::find(text_.datasets.begin(), text_.datasets.end(), name);
    if (found == text_.datasets.end()) {
      text_.datasets.push_back(name);
      text_.plain.emplace_back();
      return static_cast<int32_t>(text_.datasets.size()) - 1;
    }
    return static_cast<int32_t>(found - text_.datasets.begin());
  }
  int32_t UnitOf(int32_t dataset, const std::string& name) {
    const auto [place, is_new] =
        units_.try_emplace({dataset, name}, static_cast<int32_t>(text_.units.size()));
    if (is_new) {
      text_.units.push_back(
          {.dataset = text_.datasets[static_cast<size_t>(dataset)], .name = name});
      text_.dataset_of_unit.push_back(dataset);
    }
    return place->second;
  }

  TokenisedText& text_;
  std::map<std::pair<int32_t, std::string>, int32_t> units_;
};

// One stream of draws a data set, so that one does not depend on the others. Rows ask in order.
class NullDraws {
 public:
  NullDraws(const TokenisedText& text, uint64_t seed) : text_(text) {
    for (const std::string& name : text.datasets) {
      std::vector<uint32_t> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
      for (unsigned char character : name) key.push_back(character);
      std::seed_seq sequence(key.begin(), key.end());
      streams_.emplace_back(sequence);
    }
  }
  int32_t Draw(int32_t unit) {
    const auto dataset = static_cast<size_t>(text_.dataset_of_unit[static_cast<size_t>(unit)]);
    const std::vector<int32_t>& from = text_.plain[dataset];
    return from[static_cast<size_t>(streams_[dataset]() % from.size())];
  }

 private:
  const TokenisedText& text_;
  std::vector<std::mt19937_64> streams_;
};

class Measurer {
 public:
  Measurer(const TextModel& opened, const EmbeddingOptions& options,
           const text::ParquetOpener& open_parquet)
      : options_(options),
        pool_(options.n_threads),
        kernels_(engine::SelectKernels()),
        opened_(opened),
        config_(opened_.model->config()),
        chunk_(options.policy.chunk > 0 ? options.policy.chunk : config_.context) {
    if (chunk_ > config_.context) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--chunk: expected at most the model's context of {}, found {}",
                              config_.context, chunk_));
    }
    ReadText(open_parquet);
  }

  EmbeddingMeasurement Run() {
    const auto n_units = static_cast<int64_t>(text_.units.size());
    SimilaritySums sums(n_units, config_.n_layers);
    const int64_t wave_rows = WaveRows(SimilaritySums::Bytes(n_units, config_.n_layers));
    EmbeddingSimilarityProbe probe(*opened_.model, kernels_, wave_rows, sums);
    engine::Sweep sweep(*opened_.model, kernels_, pool_,
                        {.wave_rows = wave_rows,
                         .max_sequence = chunk_,
                         .predictions = true,
                         .precision = options_.precision});
    NullDraws draws(text_, options_.seed);
    ProgressBar progress("embeddings", text_.ids.size(), "tokens");
    size_t done = 0;
    for (size_t next = 0; next < text_.sequences.size();) {
      ThrowIfCancelled();
      next = FillWave(next, wave_rows, draws);
      probe.Begin(rows_);
      routing::Probe* probes[] = {&probe};
      sweep.Run(wave_, probes);
      probe.AddPredictions(sweep.predictions(), pool_);
      done += rows_.size();
      progress.Update(done);
    }
    return {.description = DescribeRun(
                *opened_.model, *opened_.tokenizer, kernels_,
                {options_.data, options_.policy, chunk_, options_.raw, options_.precision}),
            .n_documents = text_.n_documents,
            .n_rows = static_cast<int64_t>(text_.ids.size()),
            .units = std::move(text_.units),
            .sums = std::move(sums)};
  }

 private:
  void ReadText(const text::ParquetOpener& open_parquet) {
    std::vector<text::DataSpec> specs = options_.data;
    UseChatTemplate(opened_, specs);
    text::SequencePolicy policy = options_.policy;
    policy.chunk = chunk_;
    text::SequenceReader reader(text::OpenDocuments(specs, open_parquet), *opened_.tokenizer,
                                policy);
    TextCollector collector(text_);
    text::TokenisedDocument document;
    while (reader.Next(document)) {
      ThrowIfCancelled();
      collector.Add(document);
    }
    for (const std::string& line : reader.Warnings()) fmt::print(stderr, "warning: {}\n", line);
    const bool has_text = std::any_of(text_.plain.begin(), text_.plain.end(),
                                      [](const auto& tokens) { return !tokens.empty(); });
    if (!has_text) {
      throw Error(ErrorKind::kBadInput,
                  "cannot compare hidden states with embeddings: expected text, found no token but "
                  "BOS; raise --max-tokens");
    }
  }

  int64_t WaveRows(uint64_t sums_bytes) const {
    const uint64_t memory =
        options_.memory_bytes > 0 ? options_.memory_bytes : AvailableMemoryBytes() / 2;
    const uint64_t kept = sums_bytes + 2 * sizeof(int32_t) * text_.ids.size();
    if (memory <= kept) {
      throw Error(ErrorKind::kResource,
                  fmt::format("not enough memory: token ids and sums need {}, available {}; give "
                              "more with --memory, or less text with --max-tokens",
                              FormatBytes(kept), FormatBytes(memory)));
    }
    const uint64_t per_row =
        sizeof(RowTokens) + sizeof(int32_t) + EmbeddingSimilarityProbe::BytesPerRow(config_);
    int64_t rows = engine::PlanSweep(config_, memory - kept, chunk_, pool_.n_threads(), per_row,
                                     options_.precision)
                       .wave_rows;
    if (options_.wave_tokens > 0) {
      rows = std::min(rows, std::max<int64_t>(options_.wave_tokens, chunk_));
    }
    return std::min(rows, std::max<int64_t>(static_cast<int64_t>(text_.ids.size()), chunk_));
  }

  // The sequences from `first` on that fit; returns the first that does not.
  size_t FillWave(size_t first, int64_t wave_rows, NullDraws& draws) {
    wave_.clear();
    rows_.clear();
    size_t next = first;
    for (; next < text_.sequences.size(); ++next) {
      const SequenceRows& sequence = text_.sequences[next];
      const auto n = static_cast<int64_t>(sequence.end - sequence.begin);
      if (wave_.n_rows() + n > wave_rows) break;
      wave_.Add(static_cast<int64_t>(next), 0,
                std::span(text_.ids).subspan(sequence.begin, static_cast<size_t>(n)));
      AddRows(sequence, draws);
    }
    return next;
  }

  void AddRows(const SequenceRows& sequence, NullDraws& draws) {
    for (size_t i = sequence.begin; i < sequence.end; ++i) {
      RowTokens& row = rows_.emplace_back();
      if (i == sequence.begin && sequence.has_bos) continue;
      row.unit = sequence.unit;
      row.token = text_.ids[i];
      row.null_token = draws.Draw(sequence.unit);
      if (i + 1 == sequence.end) continue;
      row.next = text_.ids[i + 1];
      row.null_next = draws.Draw(sequence.unit);
    }
  }

  const EmbeddingOptions& options_;
  ThreadPool pool_;
  const engine::KernelTable& kernels_;
  const TextModel& opened_;
  const files::ModelConfig& config_;
  const int chunk_;
  TokenisedText text_;
  engine::Wave wave_;
  std::vector<RowTokens> rows_;
};

}  // namespace

EmbeddingMeasurement MeasureEmbeddings(const TextModel& opened, const EmbeddingOptions& options,
                                       const text::ParquetOpener& open_parquet) {
  return Measurer(opened, options, open_parquet).Run();
}

}  // namespace moescope::lab
