#include "lab/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/platform/memory.h"
#include "engine/generate/stream_batch.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/model.h"
#include "files/checkpoint.h"
#include "lab/arithmetic_limit.h"
#include "lab/disk_rate.h"
#include "lab/session_bench.h"
#include "lab/trace.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSweepTokens = 16384;
constexpr int kPrefillTokens = 512;
constexpr int kDecodeTokens = 64;

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

// One benchmark in the making: what is run, and the answer every run must repeat to the bit.
class SweepBench {
 public:
  explicit SweepBench(const BenchOptions& options) : options_(options) {
    if (options_.n_tokens == 0) options_.n_tokens = kSweepTokens;
    files::Checkpoint checkpoint = files::Checkpoint::Open(options.model);
    const files::ModelConfig& config = checkpoint.config();
    dtype_ = checkpoint.tensor({files::TensorKind::kGateProj, 0, 0}).dtype;
    trace_.model = options.model;
    text::DataSpec random;
    random.name = "random";
    random.path = WriteRandomDocuments(scratch_, options_, config.vocab_size);
    trace_.data = {random};
    trace_.policy = {.bos = text::BosPolicy::kNone,
                     .chunk = std::min(options.chunk, config.context)};
    trace_.n_threads = options.n_threads;
    trace_.memory_bytes = options.memory_bytes;
    trace_.read_weights = options.read_weights;
    trace_.precision = options.precision;
    trace_.profile = options.profile;
  }

  BenchRow Sweep() {
    PageIn();
    BenchRow row = Describe("sweep");
    std::vector<double> rates;
    double flops_per_token = 0, seconds = 0;
    uint64_t bytes_read = 0;
    for (int run = 0; run < options_.n_runs; ++run) {
      TraceSummary summary = Run(/*write=*/false);
      rates.push_back(static_cast<double>(summary.n_tokens) / summary.sweep_seconds);
      flops_per_token = summary.flops / static_cast<double>(summary.n_tokens);
      row.streamed = summary.streamed;
      row.hit_ratio = summary.expert_hit_ratio;
      bytes_read += summary.expert_bytes_read;
      seconds += summary.sweep_seconds;
    }
    row.disk_bytes_per_run = bytes_read / static_cast<uint64_t>(options_.n_runs);
    row.disk_gb_per_s = static_cast<double>(bytes_read) / seconds / 1e9;
    row.tokens_per_s = SpreadOf(rates);
    row.limit = ArithmeticLimit(options_.precision, engine::Phase::kPrefill, dtype_);
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

 private:
  // The first run pages in the weights and sets the answer.
  void PageIn() {
    if (n_checked_ > 0) return;
    Run(/*write=*/false);
    if (options_.profile != nullptr) options_.profile->Clear();
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

double Share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Prefill (no streams) or decode. Of a model small enough for a cache the share of DRAM may pass 1.
BenchRow SessionRow(const BenchOptions& options, int n_streams) {
  const bool decodes = n_streams > 0;
  const int n_tokens = options.n_tokens > 0 ? static_cast<int>(options.n_tokens)
                       : decodes            ? kDecodeTokens
                                            : kPrefillTokens;
  ThreadPool pool(options.n_threads);
  const auto model = engine::Model::Open(
      options.model, {.read_into_memory = options.read_weights,
                      .memory_bytes = options.memory_bytes,
                      .rest_bytes = [&](const files::ModelConfig& config, uint64_t) {
                        return engine::StreamBatch::Bytes(
                            config,
                            {.max_streams = std::max(n_streams, 1),
                             .context = n_tokens + (decodes ? options.prompt_tokens : 0),
                             .experts_per_token = options.experts_per_token,
                             .precision = options.precision,
                             .kv = options.kv},
                            pool.n_threads());
                      }});
  const files::ModelConfig& config = model->config();
  if (options.experts_per_token > config.n_experts) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--experts-per-token {}: expected at most the model's {}",
                            options.experts_per_token, config.n_experts));
  }
  SessionBench bench(*model, pool,
                     {.experts_per_token = options.experts_per_token,
                      .memory_bytes = options.memory_bytes,
                      .precision = options.precision,
                      .kv = options.kv,
                      .profile = options.profile});
  const SessionRates rates =
      decodes ? bench.Decode({n_streams, options.prompt_tokens, n_tokens}, options.n_runs)
              : bench.Prefill(n_tokens, options.n_runs);
  BenchRow row;
  row.what = decodes ? "decode" : "prefill";
  const DType dtype = model->checkpoint().tensor({files::TensorKind::kGateProj, 0, 0}).dtype;
  row.type = Name(dtype);
  row.level = Name(engine::SelectKernels().level);
  row.precision = Name(options.precision);
  row.kv = Name(options.kv);
  row.n_streams = std::max(n_streams, 1);
  row.n_tokens = n_tokens;
  row.tokens_per_s = SpreadOf(rates.tokens_per_s);
  row.gflops = row.tokens_per_s.median * rates.flops_per_token / 1e9;
  row.gb_per_s = row.tokens_per_s.median * rates.bytes_per_token / 1e9;
  const engine::Phase phase = decodes ? engine::Phase::kDecode : engine::Phase::kPrefill;
  const engine::ExpertSchedule* schedule = model->weights().experts();
  if (schedule != nullptr) {
    const engine::ExpertStats stats = schedule->stats();
    row.streamed = true;
    row.disk_bytes_per_run = rates.bytes_read / static_cast<uint64_t>(options.n_runs);
    row.disk_gb_per_s = static_cast<double>(rates.bytes_read) / rates.seconds / 1e9;
    row.hit_ratio =
        decodes ? Share(stats.hits, stats.lookups) : Share(stats.scan_hits, stats.scan_lookups);
  }
  row.limit = decodes && row.streamed ? std::string_view("disk")
              : n_streams == 1        ? std::string_view("dram")
                                      : ArithmeticLimit(options.precision, phase, dtype);
  row.checked = "logits equal to the bit in every run";
  if (n_streams > 1) {
    row.checked += fmt::format(", and to those of {} streams alone", bench.NAlone(n_streams));
  }
  return row;
}

double ShareOfLimit(const BenchRow& row, const BenchResult& result) {
  if (row.limit == "disk") return row.disk_gb_per_s / result.disk_gb_per_s;
  if (row.limit == "dram") return row.gb_per_s / result.machine.dram_gb_per_s;
  return row.gflops / GflopsAt(row.limit, FindDType(row.type).value(), result.machine);
}

engine::MachineLimits MeasureLimits(int n_threads) {
  ThreadPool pool(n_threads);
  return engine::MeasureMachine(engine::SelectKernels(), pool);
}

// The checkpoint's first file: where its experts are read from.
double DiskRateOf(const std::string& model) {
  return MeasureDiskRate(files::Checkpoint::Open(model).files()[0]);
}

}  // namespace

BenchResult BenchMachine(int n_threads) {
  return {.machine = MeasureLimits(n_threads), .disk_gb_per_s = MeasureDiskRate(), .rows = {}};
}

BenchResult Bench(const BenchOptions& options) {
  const std::vector<std::string> known = {"sweep", "prefill", "decode", "trace_overhead"};
  for (const std::string& what : options.what) {
    if (std::find(known.begin(), known.end(), what) == known.end()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--what: expected {}, found '{}'", fmt::join(known, ", "), what));
    }
  }
  BenchResult result{.machine = MeasureLimits(options.n_threads),
                     .disk_gb_per_s = DiskRateOf(options.model),
                     .rows = {}};
  std::optional<SweepBench> sweep;  // both of its rows share the pass that pages weights in
  for (const std::string& what : options.what) {
    if (what == "prefill") {
      result.rows.push_back(SessionRow(options, 0));
      continue;
    }
    if (what == "decode") {
      for (int n_streams : options.streams) result.rows.push_back(SessionRow(options, n_streams));
      continue;
    }
    if (!sweep) sweep.emplace(options);
    result.rows.push_back(what == "sweep" ? sweep->Sweep() : sweep->TraceOverhead());
  }
  const uint64_t rows_peak = PeakResidentBytes();
  // The limits again, and the larger of both: a neighbour during the first would flatter the rows.
  engine::MachineLimits after = MeasureLimits(options.n_threads);
  result.disk_gb_per_s = std::max(result.disk_gb_per_s, DiskRateOf(options.model));
  result.peak_memory_bytes = rows_peak;
  engine::MachineLimits& machine = result.machine;
  machine.dram_gb_per_s = std::max(machine.dram_gb_per_s, after.dram_gb_per_s);
  machine.fp32_gflops = std::max(machine.fp32_gflops, after.fp32_gflops);
  machine.amx_gflops = std::max(machine.amx_gflops, after.amx_gflops);
  for (size_t i = 0; i < machine.int8.size(); ++i) {
    machine.int8[i].gops = std::max(machine.int8[i].gops, after.int8[i].gops);
  }
  for (BenchRow& row : result.rows) {
    row.share_of_limit = ShareOfLimit(row, result);
    if (row.n_streams == 1 || row.limit == "disk") continue;
    BenchRow by_reading = row;
    by_reading.limit = "dram";
    by_reading.share_of_limit = ShareOfLimit(by_reading, result);
    if (by_reading.share_of_limit > row.share_of_limit) row = by_reading;
  }
  return result;
}

}  // namespace moescope::lab
