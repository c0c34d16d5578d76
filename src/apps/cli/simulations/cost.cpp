// simulate cost: bytes and arithmetic a token over experts and batch, and the rate they allow.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "apps/cli/simulations/simulation.h"
#include "base/error.h"
#include "base/platform/file.h"
#include "base/progress.h"
#include "engine/ops/precision.h"
#include "files/checkpoint.h"
#include "lab/arithmetic_limit.h"
#include "lab/bench.h"
#include "study/figures/cost_figure.h"
#include "study/simulate/cost.h"

namespace moescope::cli {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxMachineBytes = 16 << 20;
constexpr int kMaxBatch = 1 << 16;

struct CostArguments {
  std::string model, machine, precision = "exact", experts, batches = "1,2,4,8,16,32";
  int context = 64;
};

// Of a decoded token, with the weights of most of the arithmetic.
engine::Rounding RoundingOfDecode(const CostArguments& arguments, DType weights) {
  return RoundingOf(engine::ParsePrecision(arguments.precision), engine::Phase::kDecode,
                    engine::SelectKernels(), weights);
}

study::MachineRates Measure(const CostArguments& arguments, DType weights) {
  const engine::MachineLimits machine = lab::BenchMachine(0).machine;
  const bool is_int8 = RoundingOfDecode(arguments, weights) == engine::Rounding::kWholeNumbers;
  return {.dram_gb_per_s = machine.dram_gb_per_s,
          .gflops = is_int8 ? machine.Int8Gops(weights) : machine.fp32_gflops};
}

// What `bench --json` printed.
class BenchFile {
 public:
  explicit BenchFile(const std::string& path)
      : path_(path), json_(json::parse(ReadWholeFile(path, kMaxMachineBytes), nullptr, false)) {
    if (!json_.is_object() || !json_.contains("machine")) Refuse("what bench --json prints");
  }

  // Limits, and the shares of them that rows of this precision reached: of the DRAM the row with
  // the fewest streams that it limits, of the arithmetic the decoding row with the most streams,
  // or else the prompt or sweep.
  study::MachineRates Rates(const CostArguments& arguments, DType weights) const {
    const json& machine = json_["machine"];
    const bool is_int8 = RoundingOfDecode(arguments, weights) == engine::Rounding::kWholeNumbers;
    const std::string type(Name(weights));
    study::MachineRates rates;
    rates.dram_gb_per_s = Positive(machine, "dram_gb_per_s");
    if (is_int8) {
      if (!machine.contains("int8_gops")) Refuse("int8_gops in it");
      rates.gflops = Positive(machine["int8_gops"], type);
    } else {
      rates.gflops = Positive(machine, "fp32_gflops");
    }
    const std::string limit = is_int8 ? "int8" : "fp32";
    const json rows = json_.value("rows", json::array());
    int fewest = kMaxBatch + 1, most = 0;
    for (const json& row : rows) {
      if (!row.is_object() || !row.contains("limit") ||
          row.value("precision", json()) != arguments.precision) {
        continue;
      }
      const double share = Positive(row, "share_of_limit");
      const int streams =
          row.contains("streams")
              ? static_cast<int>(std::min<double>(Positive(row, "streams"), kMaxBatch))
              : 1;
      const bool is_decode = row.value("what", json()) == "decode";
      if (is_decode && row["limit"] == "dram" && streams < fewest) {
        fewest = streams;
        rates.dram_share = share;
      }
      // Anything else stands behind decoding.
      if (row["limit"] == limit && (is_decode ? streams : 0) >= most) {
        most = is_decode ? streams : 0;
        rates.flops_share = share;
      }
    }
    return rates;
  }

 private:
  [[noreturn]] void Refuse(const std::string& expected) const {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--machine {}: expected {}, found none; write it with moescope bench "
                            "--what decode,prefill --json",
                            path_, expected));
  }
  double Positive(const json& object, const std::string& key) const {
    const bool has = object.is_object() && object.contains(key) && object[key].is_number();
    const double value = has ? object[key].get<double>() : 0;
    if (!(value > 0) || !std::isfinite(value)) Refuse("a positive number " + key);
    return value;
  }

  std::string path_;
  json json_;
};

study::ModelSize SizeOf(const files::Checkpoint& checkpoint) {
  const files::ModelConfig& config = checkpoint.config();
  study::ModelSize size;
  size.n_layers = config.n_layers;
  size.n_experts = config.n_experts;
  for (const auto& [id, tensor] : checkpoint.tensors()) {
    const bool is_embedding = id.kind == files::TensorKind::kTokenEmbedding ||
                              id.kind == files::TensorKind::kPositionEmbedding;
    // Rows of it are read, and as the output head all of it where that is tied.
    if (is_embedding) continue;
    double n = 1;
    for (int64_t extent : tensor.shape) n *= static_cast<double>(extent);
    study::PartSize& part = ScopeOf(id.kind) == files::TensorScope::kExpert  ? size.one_expert
                            : ScopeOf(id.kind) == files::TensorScope::kModel ? size.head
                                                                             : size.layers;
    part.bytes += static_cast<double>(tensor.n_bytes);
    if (tensor.shape.size() > 1) part.flops_per_row += 2 * n;
  }
  const double n_networks = static_cast<double>(config.n_layers) * config.n_experts;
  size.one_expert.bytes /= n_networks;
  size.one_expert.flops_per_row /= n_networks;
  size.kv_bytes_per_position =
      2.0 * sizeof(float) * static_cast<double>(config.kv_dim()) * config.n_layers;
  size.score_flops_per_position = 4.0 * static_cast<double>(config.query_dim()) * config.n_layers;
  return size;
}

files::Checkpoint OpenFor(const FigureSession& session, const std::string& path) {
  files::Checkpoint checkpoint = files::Checkpoint::Open(path);
  const files::ModelConfig& config = checkpoint.config();
  const store::RunDescription& run = session.run.description();
  if (!checkpoint.has_weights() || config.n_layers != run.n_layers ||
      config.n_experts != run.n_experts) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("-m {}: expected weights of {} layers of {} experts, as the run has, "
                            "found {} of {}",
                            path, run.n_layers, run.n_experts, config.n_layers, config.n_experts));
  }
  return checkpoint;
}

}  // namespace

FigureFunction AddSimulateCost(CLI::App& app) {
  auto arguments = std::make_shared<CostArguments>();
  app.add_option("-m,--model", arguments->model, "The model whose bytes are counted")->required();
  app.add_option("--experts-per-token", arguments->experts,
                 "As 1-4; first choices of the run (default: 1 to as many as it has)");
  app.add_option("--batch", arguments->batches, "Tokens a step, as 1,2,4")->capture_default_str();
  app.add_option("--context", arguments->context, "Positions a token looks at")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--machine", arguments->machine,
                 "Limits, and shares of them that were reached, from bench --json (default: limits "
                 "are measured, all of them reached)");
  app.add_option("--precision", arguments->precision, "Arithmetic: exact or fast")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  return [arguments](FigureSession& session) -> Figure {
    const files::Checkpoint checkpoint = OpenFor(session, arguments->model);
    const int n_slots = session.run.description().experts_per_token;
    study::CostOptions options;
    options.experts_per_token = study::ParseCounts(
        arguments->experts.empty() ? fmt::format("1-{}", n_slots) : arguments->experts,
        checkpoint.config().n_experts, "--experts-per-token");
    options.batches = study::ParseCounts(arguments->batches, kMaxBatch, "--batch");
    options.context = arguments->context;
    const DType weights = checkpoint.tensor({files::TensorKind::kGateProj, 0, 0}).dtype;
    const study::MachineRates machine =
        arguments->machine.empty() ? Measure(*arguments, weights)
                                   : BenchFile(arguments->machine).Rates(*arguments, weights);
    const std::vector<int> numbers =
        session.options.layers.empty() ? session.AllLayers() : session.Layers();
    ProgressBar progress("reading", numbers.size(), "layers");
    std::vector<study::LayerColumns> layers;
    for (int layer : numbers) {
      progress.Update(layers.size());
      layers.push_back(study::LoadLayer(session.run, *session.database, session.rows, layer));
    }
    const auto cells =
        study::PredictCosts(session.rows, layers, SizeOf(checkpoint), machine, options);
    return {study::CostFigure(cells, machine, options), study::CostText(cells, machine, options)};
  };
}

}  // namespace moescope::cli
