#include "lab/measure_embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <span>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/memory.h"
#include "base/progress.h"
#include "base/units.h"
#include "engine/model/sweep.h"
#include "lab/describe_run.h"

namespace moescope::lab {
namespace {

// One stream of draws a data set, so that one does not depend on the others. Rows ask in order.
class NullDraws {
 public:
  NullDraws(const TokenisedText& text, uint64_t seed) : text_(text), plain_(text.datasets.size()) {
    for (const TextSequence& sequence : text.sequences) {
      const std::span<const int32_t> ids = text.Ids(sequence).subspan(sequence.has_bos ? 1 : 0);
      std::vector<int32_t>& plain = plain_[DatasetOf(sequence.unit)];
      plain.insert(plain.end(), ids.begin(), ids.end());
    }
    for (const std::string& name : text.datasets) {
      std::vector<uint32_t> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
      for (unsigned char character : name) key.push_back(character);
      std::seed_seq sequence(key.begin(), key.end());
      streams_.emplace_back(sequence);
    }
  }
  int32_t Draw(int32_t unit) {
    const size_t dataset = DatasetOf(unit);
    const std::vector<int32_t>& from = plain_[dataset];
    return from[static_cast<size_t>(streams_[dataset]() % from.size())];
  }

 private:
  size_t DatasetOf(int32_t unit) const {
    return static_cast<size_t>(text_.dataset_of_unit[static_cast<size_t>(unit)]);
  }
  const TokenisedText& text_;
  std::vector<std::vector<int32_t>> plain_;  // [data sets] tokens that are drawn from
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
        chunk_(ChunkOf(options.policy, opened_.model->config())) {
    text::SequencePolicy policy = options.policy;
    policy.chunk = chunk_;
    text_ = ReadTokenisedText(opened_, options.data, policy, open_parquet);
    const bool has_text = std::any_of(text_.units.begin(), text_.units.end(),
                                      [](const TextUnit& unit) { return unit.n_tokens > 0; });
    if (!has_text) {
      throw Error(ErrorKind::kBadInput,
                  "cannot compare hidden states with embeddings: expected text, found no token but "
                  "BOS; raise --max-tokens");
    }
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
  int64_t WaveRows(uint64_t sums_bytes) const {
    const uint64_t memory = opened_.model->memory_left().value_or(
        options_.memory_bytes > 0 ? options_.memory_bytes : AvailableMemoryBytes() / 2);
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
      const TextSequence& sequence = text_.sequences[next];
      if (wave_.n_rows() + static_cast<int64_t>(sequence.size()) > wave_rows) break;
      wave_.Add(static_cast<int64_t>(next), 0, text_.Ids(sequence));
      AddRows(sequence, draws);
    }
    return next;
  }

  void AddRows(const TextSequence& sequence, NullDraws& draws) {
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
