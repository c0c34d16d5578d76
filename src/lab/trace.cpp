#include "lab/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/cpu_time.h"
#include "base/platform/memory.h"
#include "base/progress.h"
#include "engine/model/sweep.h"
#include "lab/chat.h"
#include "lab/decision_collector.h"
#include "lab/describe_run.h"
#include "lab/model_changes.h"
#include "lab/precision_note.h"
#include "lab/text_model.h"
#include "lab/tokenised_text.h"
#include "lab/trace_memory.h"
#include "store/run_writer.h"

namespace moescope::lab {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Text a person can read: the token's own bytes where they are UTF-8, <0x0A> otherwise.
std::string DisplayText(const std::string& bytes) {
  bool printable = !bytes.empty();
  for (unsigned char byte : bytes) printable = printable && byte >= 0x20 && byte != 0x7f;
  bool lone_byte = bytes.size() == 1 && static_cast<unsigned char>(bytes[0]) >= 0x80;
  if (printable && !lone_byte) return bytes;
  std::string text;
  for (unsigned char byte : bytes) text += fmt::format("<0x{:02X}>", byte);
  return text;
}

std::vector<store::VocabularyEntry> ListVocabulary(const text::Tokenizer& tokenizer) {
  std::vector<store::VocabularyEntry> entries;
  for (int id = 0; id < tokenizer.vocab_size(); ++id) {
    std::string bytes = tokenizer.TokenBytes(id);
    // Control tokens stand for no text: their name is shown.
    entries.push_back(
        {bytes, tokenizer.IsControl(id) ? tokenizer.TokenText(id) : DisplayText(bytes)});
  }
  return entries;
}

// One call of Trace: its parts in the order they are opened, and the wave being filled.
class Tracer {
 public:
  Tracer(const TraceOptions& options, const text::ParquetOpener& open_parquet)
      : options_(options),
        pool_(options.n_threads),
        kernels_(engine::SelectKernels()),
        opened_(OpenTextModel(options.model, Model())),
        model_(opened_.model.get()),
        tokenizer_(opened_.tokenizer.get()),
        documents_(OpenData(open_parquet)) {
    const files::ModelConfig& config = model_->config();
    summary_.is_dense = config.dense();
    chunk_ = ChunkOf(options.policy, model_->config());
    router_ = model_->router();
    changes_ = std::make_unique<PlannedChanges>(options.changes, *model_, Setting::kText);
    if (!config.dense()) router_.experts_per_token = changes_->experts_per_token();
    PlanMemory();
  }

  // A run directory made by this call is taken away again when nothing was committed to it.
  TraceSummary Run() {
    const bool existed = options_.output.empty() || std::filesystem::exists(options_.output);
    try {
      return RunToEnd();
    } catch (const Error&) {
      if (!existed && (!writer_ || writer_->n_tokens() == 0)) {
        writer_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(options_.output, ignored);
      }
      throw;
    }
  }

 private:
  TraceSummary RunToEnd() {
    if (!options_.output.empty()) {
      const store::RunDescription description = Describe();
      writer_ = std::make_unique<store::RunWriter>(
          options_.output, description, ListVocabulary(*tokenizer_), StoreBytes(memory_bytes_));
      summary_.n_tokens_before = writer_->n_tokens();
      n_documents_before_ = writer_->n_documents_begun();
      if (writer_->complete()) {
        summary_.was_complete = true;
        return summary_;
      }
    }
    if (!options_.output.empty()) PrintPrecisionNote(*model_, options_.precision);
    sweep_ = std::make_unique<engine::Sweep>(
        *model_, kernels_, pool_,
        engine::SweepOptions{.wave_rows = summary_.wave_rows,
                             .max_sequence = chunk_,
                             .experts_per_token = router_.experts_per_token,
                             .precision = options_.precision,
                             .profile = options_.profile});
    collector_ = std::make_unique<DecisionCollector>(router_, model_->config().n_layers,
                                                     summary_.wave_rows, options_.logits);
    start_ = Clock::now();
    const double cpu_start = ProcessCpuSeconds();
    try {
      ReadAll();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kCancelled || !writer_) throw;
      throw Error(ErrorKind::kCancelled,
                  fmt::format("stopped after {} tokens; the same command goes on from there: {}",
                              writer_->n_tokens(), options_.output));
    }
    if (writer_) writer_->Finish();
    summary_.seconds = SecondsSince(start_);
    summary_.cpu_seconds = ProcessCpuSeconds() - cpu_start;
    summary_.weight_bytes = model_->weights().bytes_acquired();
    if (const engine::ExpertSchedule* schedule = model_->weights().experts()) {
      summary_.streamed = true;
      const engine::ExpertStats stats = schedule->stats();
      summary_.expert_bytes_read = stats.bytes_read;
      summary_.expert_hit_ratio = static_cast<double>(stats.scan_hits) /
                                  static_cast<double>(std::max<int64_t>(stats.scan_lookups, 1));
    }
    summary_.kernel_level = Name(kernels_.level);
    return summary_;
  }

  store::RunDescription Describe() const {
    if (model_->config().dense() && options_.logits) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("--logits: {}: expected a mixture of experts, found a dense model, which "
                      "has no router; leave --logits out",
                      options_.model));
    }
    store::RunDescription run =
        DescribeRun(*model_, *tokenizer_, kernels_,
                    {options_.data, options_.policy, chunk_, options_.raw, options_.precision});
    run.has_logits = options_.logits;
    run.interventions = changes_->written();
    if (!run.is_dense()) run.experts_per_token = router_.experts_per_token;
    run.tokens_per_part = options_.tokens_per_part;
    return run;
  }

  // Before the output is touched, so that a wrong path costs nothing.
  std::unique_ptr<text::DocumentSource> OpenData(const text::ParquetOpener& open_parquet) const {
    std::vector<text::DataSpec> specs = options_.data;
    UseChatTemplate(opened_, specs);
    return text::OpenDocuments(specs, open_parquet);
  }

  // Weights leave what a wave of the usual size needs: a larger one would win nothing.
  engine::ModelOptions Model() const {
    return {.read_into_memory = options_.read_weights,
            .memory_bytes = options_.memory_bytes,
            .rest_bytes = [this](const files::ModelConfig& config, uint64_t most) {
              return PlannedBytes(config, MemoryFor(config, most));
            }};
  }

  TraceMemory MemoryFor(const files::ModelConfig& config, uint64_t memory_bytes) const {
    return {.memory_bytes = memory_bytes,
            .chunk = ChunkOf(options_.policy, config),
            .n_threads = pool_.n_threads(),
            .logits = options_.logits,
            .writes = !options_.output.empty(),
            .precision = options_.precision};
  }

  void PlanMemory() {
    uint64_t available = AvailableMemoryBytes();
    memory_bytes_ = model_->memory_left().value_or(available / 2);
    files::ModelConfig config = model_->config();
    config.experts_per_token = router_.experts_per_token;
    engine::SweepPlan plan = PlanTrace(config, MemoryFor(config, memory_bytes_));
    summary_.wave_rows = plan.wave_rows;
    if (options_.wave_tokens > 0) {
      summary_.wave_rows =
          std::min(summary_.wave_rows, std::max<int64_t>(options_.wave_tokens, chunk_));
    }
  }

  void ReadAll() {
    text::SequencePolicy policy = options_.policy;
    policy.chunk = chunk_;
    text::SequenceReader reader(std::move(documents_), *tokenizer_, policy);
    ReadAllOf(reader);
    for (const std::string& line : reader.Warnings()) fmt::print(stderr, "warning: {}\n", line);
  }

  void ReadAllOf(text::SequenceReader& reader) {
    ProgressBar progress(options_.output.empty() ? "sweep" : "trace",
                         static_cast<uint64_t>(options_.policy.max_tokens), "tokens");
    text::TokenisedDocument document;
    while (reader.Next(document)) {
      AddDocument(document, progress);
      if (reader.bytes_total() > 0) {
        progress.set_fraction(static_cast<double>(reader.bytes_read()) /
                              static_cast<double>(reader.bytes_total()));
      }
    }
    RunWave(progress);
  }

  void AddDocument(const text::TokenisedDocument& document, ProgressBar& progress) {
    auto n_rows = static_cast<int64_t>(document.ids.size());
    // A resumed run reads its text again but skips what is committed: whole documents by their
    // number (one without tokens has no row to tell by), then whole sequences.
    const bool is_new = document.document >= n_documents_before_;
    if (is_new) {
      // Its record belongs to the wave that has its first row.
      const int64_t first_end =
          document.sequence_starts.size() > 1 ? document.sequence_starts[1] : n_rows;
      if (wave_.n_rows() + first_end > summary_.wave_rows) RunWave(progress);
      documents_begun_.push_back({.document = document.document,
                                  .dataset = document.dataset,
                                  .source = document.source,
                                  .unit = document.unit,
                                  .n_bytes = document.n_bytes,
                                  .first_token = next_token_,
                                  .n_tokens = n_rows,
                                  .hash = document.hash});
    }
    for (size_t i = 0; i < document.sequence_starts.size(); ++i) {
      int64_t begin = document.sequence_starts[i];
      bool is_last = i + 1 == document.sequence_starts.size();
      int64_t end = is_last ? n_rows : document.sequence_starts[i + 1];
      if (next_token_ >= summary_.n_tokens_before) {
        if (wave_.n_rows() + end - begin > summary_.wave_rows) RunWave(progress);
        AddSequence(document, begin, end);
      }
      next_token_ += end - begin;
      ++next_sequence_;
    }
    if (is_new) ++DatasetOf(document.dataset).n_documents;
  }

  void AddSequence(const text::TokenisedDocument& document, int64_t begin, int64_t end) {
    wave_.Add(next_sequence_, /*branch=*/0,
              std::span(document.ids)
                  .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    for (int64_t row = begin; row < end; ++row) {
      auto i = static_cast<size_t>(row);
      tokens_.push_back({.token = next_token_ + row - begin,
                         .document = document.document,
                         .sequence = next_sequence_,
                         .position = static_cast<int32_t>(row - begin),
                         .token_id = document.ids[i],
                         .byte_start = document.byte_start[i],
                         .byte_end = document.byte_end[i],
                         .special = static_cast<uint8_t>(row == 0 && document.has_bos)});
    }
    size_t dataset = static_cast<size_t>(&DatasetOf(document.dataset) - summary_.datasets.data());
    sequence_dataset_.push_back(dataset);
  }

  DatasetSummary& DatasetOf(const std::string& name) {
    if (summary_.datasets.empty() || summary_.datasets.back().dataset != name) {
      summary_.datasets.push_back({.dataset = name});
    }
    return summary_.datasets.back();
  }

  void RunWave(ProgressBar& progress) {
    // Documents without tokens may be all that is left.
    if (wave_.n_rows() == 0 && documents_begun_.empty()) return;
    ThrowIfCancelled();
    if (wave_.n_rows() > 0) {
      Clock::time_point start = Clock::now();
      // Changes first, so that what they made of the routing is collected. Without an output
      // there is nothing to collect: the sweep alone, which tracing is held against.
      std::vector<routing::Probe*> probes = changes_->probes();
      if (writer_) probes.push_back(collector_.get());
      sweep_->Run(wave_, probes);
      summary_.sweep_seconds += SecondsSince(start);
      summary_.flops += sweep_->flops();
      TakeLosses();
    }
    if (writer_) {
      writer_->CommitWave(documents_begun_, tokens_, collector_->Routes(wave_.n_rows()));
    }
    summary_.n_tokens += wave_.n_rows();
    ++summary_.n_waves;
    progress.Update(static_cast<uint64_t>(summary_.n_tokens_before + summary_.n_tokens));
    wave_.clear();
    tokens_.clear();
    documents_begun_.clear();
    sequence_dataset_.clear();
  }

  void TakeLosses() {
    std::span<const float> losses = sweep_->losses();
    for (size_t sequence = 0; sequence < sequence_dataset_.size(); ++sequence) {
      DatasetSummary& dataset = summary_.datasets[sequence_dataset_[sequence]];
      int64_t end = wave_.sequence_begin[sequence + 1];
      for (int64_t row = wave_.sequence_begin[sequence]; row < end; ++row) {
        float loss = losses[static_cast<size_t>(row)];
        tokens_[static_cast<size_t>(row)].loss = loss;
        ++dataset.n_tokens;
        if (std::isnan(loss)) continue;
        ++dataset.n_predictions;
        dataset.loss_sum += loss;
      }
    }
  }

  TraceOptions options_;
  ThreadPool pool_;
  const engine::KernelTable& kernels_;
  TextModel opened_;
  engine::Model* model_;
  text::Tokenizer* tokenizer_;
  std::unique_ptr<text::DocumentSource> documents_;
  int chunk_ = 0;
  uint64_t memory_bytes_ = 0;

  routing::RouterDescription router_;  // with as many experts a token as are chosen here
  std::unique_ptr<PlannedChanges> changes_;
  std::unique_ptr<store::RunWriter> writer_;
  std::unique_ptr<engine::Sweep> sweep_;
  std::unique_ptr<DecisionCollector> collector_;
  Clock::time_point start_;
  int64_t n_documents_before_ = 0;  // that earlier calls committed
  int64_t next_token_ = 0;          // global index of the next row met
  int64_t next_sequence_ = 0;
  TraceSummary summary_;

  // The wave being filled.
  engine::Wave wave_;
  std::vector<store::TokenRecord> tokens_;
  std::vector<store::DocumentRecord> documents_begun_;
  std::vector<size_t> sequence_dataset_;  // index into summary_.datasets, a sequence an entry
};

}  // namespace

TraceSummary Trace(const TraceOptions& options, const text::ParquetOpener& open_parquet) {
  return Tracer(options, open_parquet).Run();
}

}  // namespace moescope::lab
