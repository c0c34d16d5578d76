#include "lab/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "base/error.h"
#include "engine/generate/session.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/model.h"
#include "files/checkpoint.h"
#include "lab/synthetic_model.h"
#include "lab/trace.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;

// A folder of its own for the documents and runs of a benchmark; removed at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "moescope-bench-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) ThrowErrno(errno, "create", pattern);
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string File(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// Documents of `chunk` random ids each (a fixed linear congruential sequence), so that the same
// numbers are run everywhere and no tokeniser is timed.
std::string WriteRandomDocuments(const ScratchFolder& scratch, const BenchOptions& options,
                                 int vocab_size) {
  std::string path = scratch.File("documents.jsonl");
  std::ofstream file(path);
  uint64_t state = 20231211;
  for (int64_t done = 0; done < options.n_tokens; done += options.chunk) {
    std::vector<int32_t> ids(
        static_cast<size_t>(std::min<int64_t>(options.chunk, options.n_tokens - done)));
    for (int32_t& id : ids) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocab_size));
    }
    file << nlohmann::json{{"tokens", ids}}.dump() << '\n';
  }
  return path;
}

double LossSum(const TraceSummary& summary) {
  double sum = 0;
  for (const DatasetSummary& dataset : summary.datasets) sum += dataset.loss_sum;
  return sum;
}

// Of an even number of values the median is the mean of the middle two.
Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {values.front(), median, values.back()};
}

// The file of the shape asked for, made unless it is there.
std::string SyntheticModel(const BenchOptions& options) {
  fs::create_directories(options.folder);
  const std::string path =
      (fs::path(options.folder) /
       fmt::format("{}-{}-layers-{}.gguf", options.shape, options.n_layers, Name(options.dtype)))
          .string();
  const files::ModelConfig config = SyntheticConfig(options.shape, options.n_layers);
  if (!fs::exists(path)) WriteSyntheticModel(path, config, options.dtype);
  return path;
}

// One benchmark in the making: what is run, and the answer every run must repeat to the bit.
class SweepBench {
 public:
  explicit SweepBench(const BenchOptions& options) : options_(options) {
    files::Checkpoint checkpoint = files::Checkpoint::Open(options.model);
    const files::ModelConfig& config = checkpoint.config();
    dtype_ = checkpoint.tensor({files::TensorKind::kGateProj, 0, 0}).dtype;
    trace_.model = options.model;
    text::DataSpec random;
    random.name = "random";
    random.path = WriteRandomDocuments(scratch_, options, config.vocab_size);
    trace_.data = {random};
    trace_.policy = {.bos = text::BosPolicy::kNone,
                     .chunk = std::min(options.chunk, config.context)};
    trace_.n_threads = options.n_threads;
    trace_.memory_bytes = options.memory_bytes;
    trace_.read_weights = options.read_weights;
    trace_.precision = options.precision;
  }

  BenchRow Sweep() {
    PageIn();
    BenchRow row = Describe("sweep");
    std::vector<double> rates;
    double flops_per_token = 0;
    for (int run = 0; run < options_.n_runs; ++run) {
      TraceSummary summary = Run(/*write=*/false);
      rates.push_back(static_cast<double>(summary.n_tokens) / summary.sweep_seconds);
      flops_per_token = summary.flops / static_cast<double>(summary.n_tokens);
    }
    row.tokens_per_s = SpreadOf(rates);
    row.limit = engine::RoundsActivations(options_.precision, dtype_) ? "int8" : "fp32";
    row.gflops = row.tokens_per_s.median * flops_per_token / 1e9;
    return row;
  }

  // Pairs of the bare sweep and the same sweep traced. Which one goes first alternates, so that
  // drift hits both alike.
  BenchRow TraceOverhead() {
    PageIn();
    BenchRow row = Describe("trace_overhead");
    std::vector<double> rates, cpu_ratios, wall_ratios;
    for (int pair = 0; pair < options_.n_runs; ++pair) {
      const bool traced_first = pair % 2 == 1;
      const TraceSummary first = Run(/*write=*/traced_first);
      const TraceSummary second = Run(/*write=*/!traced_first);
      const TraceSummary& traced = traced_first ? first : second;
      const TraceSummary& bare = traced_first ? second : first;
      rates.push_back(static_cast<double>(traced.n_tokens) / traced.seconds);
      cpu_ratios.push_back(traced.cpu_seconds / bare.cpu_seconds);
      wall_ratios.push_back(traced.seconds / bare.seconds);
    }
    row.tokens_per_s = SpreadOf(rates);
    row.cpu_ratio = SpreadOf(cpu_ratios);
    row.wall_ratio = SpreadOf(wall_ratios);
    return row;
  }

  // One stream: a short prompt, then one token after another, always the likeliest.
  BenchRow Decode() {
    const auto model = engine::Model::Open(options_.model, Residency());
    ThreadPool pool(options_.n_threads);
    const engine::KernelTable& kernels = engine::SelectKernels();
    engine::Session session(*model, kernels, pool,
                            {.context = kPromptTokens + kDecodedTokens,
                             .prefill_rows = kPromptTokens,
                             .memory_bytes = options_.memory_bytes,
                             .precision = options_.precision});
    level_ = Name(kernels.level);
    std::vector<double> rates;
    std::vector<int32_t> first;
    for (int run = 0; run <= options_.n_runs; ++run) {  // the first pages in the weights
      session.Truncate(0);
      std::vector<int32_t> prompt(kPromptTokens);
      for (int i = 0; i < kPromptTokens; ++i) prompt[static_cast<size_t>(i)] = 3 + i;
      std::vector<int32_t> ids = {Likeliest(session.Advance(prompt))};
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < kDecodedTokens; ++i) {
        ids.push_back(Likeliest(session.Advance(std::span(&ids.back(), 1))));
      }
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      if (run == 0) {
        first = ids;
      } else {
        rates.push_back(kDecodedTokens / seconds.count());
      }
      if (ids != first) {
        throw Error(ErrorKind::kInternal, "benchmark: the same session wrote other tokens");
      }
    }
    BenchRow row = Describe("decode");
    row.n_tokens = kDecodedTokens;
    row.tokens_per_s = SpreadOf(rates);
    row.limit = "dram";
    row.gb_per_s = row.tokens_per_s.median * BytesPerToken(*model) / 1e9;
    row.checked = "the same tokens in every run";
    return row;
  }

  DType dtype() const { return dtype_; }

 private:
  static constexpr int kPromptTokens = 16;
  static constexpr int kDecodedTokens = 32;

  engine::Model::Residency Residency() const {
    return options_.read_weights ? engine::Model::Residency::kRead
                                 : engine::Model::Residency::kMapped;
  }
  // The first run pages in the weights and sets the answer.
  void PageIn() {
    if (n_checked_ == 0) Run(/*write=*/false);
  }
  static int32_t Likeliest(std::span<const float> logits) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  // Bytes of stored weights that one token meets: of experts the chosen ones, of the embedding a
  // row.
  static double BytesPerToken(const engine::Model& model) {
    const files::ModelConfig& config = model.config();
    double total = 0;
    for (files::TensorKind kind : files::AllTensorKinds()) {
      if (!files::HasTensor(kind, config)) continue;
      const bool head = config.tied_embeddings && kind == files::TensorKind::kTokenEmbedding;
      if (files::GroupOf(kind) == files::TensorGroup::kEmbeddings && !head) continue;
      const bool expert = files::ScopeOf(kind) == files::TensorScope::kExpert;
      const int n_layers = files::ScopeOf(kind) == files::TensorScope::kModel ? 1 : config.n_layers;
      const int n_experts = !expert ? 1 : config.dense() ? 1 : config.experts_per_token;
      for (int layer = 0; layer < n_layers; ++layer) {
        const bool in_layer = files::ScopeOf(kind) != files::TensorScope::kModel;
        total +=
            n_experts *
            static_cast<double>(
                model.checkpoint().tensor({kind, in_layer ? layer : -1, expert ? 0 : -1}).n_bytes);
      }
    }
    return total;
  }

  TraceSummary Run(bool write) {
    std::string run = scratch_.File("run");
    fs::remove_all(run);
    trace_.output = write ? run : "";
    TraceSummary summary = Trace(trace_);
    level_ = summary.kernel_level;
    double sum = LossSum(summary);
    if (n_checked_++ == 0) loss_sum_ = sum;
    if (!std::isfinite(sum) || sum != loss_sum_) {
      throw Error(ErrorKind::kInternal, "benchmark: the same sweep gave another loss");
    }
    return summary;
  }

  BenchRow Describe(const std::string& what) const {
    BenchRow row;
    row.what = what;
    row.type = Name(dtype_);
    row.level = level_;
    row.precision = Name(options_.precision);
    row.n_tokens = options_.n_tokens;
    row.checked = "loss equal to the bit in every run";
    return row;
  }

  BenchOptions options_;
  ScratchFolder scratch_;
  TraceOptions trace_;
  DType dtype_;  // of the expert weights
  std::string level_;
  int n_checked_ = 0;
  double loss_sum_ = 0;
};

}  // namespace

engine::MachineLimits BenchMachine(int n_threads) {
  ThreadPool pool(n_threads);
  return engine::MeasureMachine(engine::SelectKernels(), pool);
}

BenchResult Bench(const BenchOptions& given) {
  for (const std::string& what : given.what) {
    if (what != "sweep" && what != "decode" && what != "trace_overhead") {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("--what: expected sweep, decode or trace_overhead, found '{}'", what));
    }
  }
  BenchOptions options = given;
  if (!options.shape.empty()) options.model = SyntheticModel(options);
  SweepBench bench(options);
  BenchResult result{.machine = BenchMachine(options.n_threads), .rows = {}};
  for (const std::string& what : options.what) {
    result.rows.push_back(what == "sweep"    ? bench.Sweep()
                          : what == "decode" ? bench.Decode()
                                             : bench.TraceOverhead());
  }
  // The limits again, and the larger of both: a neighbour during the first would flatter the rows.
  engine::MachineLimits after = BenchMachine(options.n_threads);
  engine::MachineLimits& machine = result.machine;
  machine.dram_gb_per_s = std::max(machine.dram_gb_per_s, after.dram_gb_per_s);
  machine.fp32_gflops = std::max(machine.fp32_gflops, after.fp32_gflops);
  for (size_t i = 0; i < machine.int8.size(); ++i) {
    machine.int8[i].gops = std::max(machine.int8[i].gops, after.int8[i].gops);
  }
  for (BenchRow& row : result.rows) {
    row.share_of_limit = row.limit == "dram"   ? row.gb_per_s / machine.dram_gb_per_s
                         : row.limit == "int8" ? row.gflops / machine.Int8Gops(bench.dtype())
                                               : row.gflops / machine.fp32_gflops;
  }
  return result;
}

}  // namespace moescope::lab
