#include "study/simulate/cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/cancellation.h"
#include "base/error.h"
#include "study/simulate/batch_loads.h"

namespace moescope::study {
namespace {

// Seconds of one part: what takes longer, its bytes or its arithmetic.
struct StepTime {
  double bound = 0, predicted = 0;
  double by_dram = 0, by_arithmetic = 0;  // seconds of `predicted` that each limits

  void Add(double bytes, double flops, const MachineRates& machine) {
    const double dram = bytes / (machine.dram_gb_per_s * 1e9);
    const double arithmetic = flops / (machine.gflops * 1e9);
    bound += std::max(dram, arithmetic);
    const double slow_dram = dram / machine.dram_share;
    const double slow_arithmetic = arithmetic / machine.flops_share;
    predicted += std::max(slow_dram, slow_arithmetic);
    (slow_dram >= slow_arithmetic ? by_dram : by_arithmetic) +=
        std::max(slow_dram, slow_arithmetic);
  }
};

// Fills what follows from the number of distinct experts.
void Predict(const ModelSize& model, const MachineRates& machine, int context, CostCell& cell) {
  const double rows = cell.batch;
  const double n_layers = model.n_layers;
  // The head runs for the rows whose next token is wanted: of a prompt the last.
  const double head_rows = cell.kind == BatchKind::kDecode ? rows : 1;
  // Streams have keys and values of their own; rows of one prompt share them.
  const double sequences = cell.kind == BatchKind::kDecode ? rows : 1;
  const PartSize parts[] = {
      {model.layers.bytes, model.layers.flops_per_row * rows},
      {model.kv_bytes_per_position * context * sequences,
       model.score_flops_per_position * context * rows},
      {model.one_expert.bytes * cell.distinct * n_layers,
       model.one_expert.flops_per_row * cell.experts_per_token * n_layers * rows},
      {model.head.bytes, model.head.flops_per_row * head_rows}};
  StepTime time;
  double bytes = 0, flops = 0;
  for (const PartSize& part : parts) {
    time.Add(part.bytes, part.flops_per_row, machine);
    bytes += part.bytes;
    flops += part.flops_per_row;
  }
  cell.bytes_per_token = bytes / rows;
  cell.flops_per_token = flops / rows;
  cell.bound = rows / time.bound;
  cell.predicted = rows / time.predicted;
  cell.limit = time.by_dram >= time.by_arithmetic ? "dram" : "arithmetic";
}

// Different experts among the first k choices of a batch's rows.
int64_t CountDistinct(const LayerColumns& layer, const Batches& batches, int64_t index, int k,
                      std::vector<char>& seen) {
  std::fill(seen.begin(), seen.end(), 0);
  int64_t n = 0;
  for (int64_t j = 0; j < batches.batch; ++j) {
    const int64_t first = batches.Row(index, j) * layer.experts_per_token;
    for (int slot = 0; slot < k; ++slot) {
      const int16_t expert = layer.experts[static_cast<size_t>(first + slot)];
      if (expert < 0) continue;
      char& one = seen[static_cast<size_t>(expert)];
      n += one == 0;
      one = 1;
    }
  }
  return n;
}

}  // namespace

const char* NameOf(CostRouting routing) {
  switch (routing) {
    case CostRouting::kObserved:
      return "observed";
    case CostRouting::kUniform:
      return "uniform";
    case CostRouting::kDense:
      return "dense";
  }
  return "";
}

std::vector<double> DistinctExperts(const RowColumns& rows, const LayerColumns& layer,
                                    BatchKind kind, const CostOptions& options) {
  std::vector<int64_t> all(static_cast<size_t>(rows.n_rows()));
  std::iota(all.begin(), all.end(), int64_t{0});
  std::vector<char> seen(static_cast<size_t>(layer.n_experts));
  std::vector<double> means;
  for (int k : options.experts_per_token) {
    for (int batch : options.batches) {
      ThrowIfCancelled();
      const Batches batches{all, kind, batch};
      int64_t sum = 0;
      for (int64_t i = 0; i < batches.count(); ++i) {
        sum += CountDistinct(layer, batches, i, k, seen);
      }
      means.push_back(batches.count() > 0
                          ? static_cast<double>(sum) / static_cast<double>(batches.count())
                          : std::nan(""));
    }
  }
  return means;
}

double UniformDistinct(int n_experts, int experts_per_token, int batch) {
  return n_experts * (1 - std::pow(1 - static_cast<double>(experts_per_token) / n_experts, batch));
}

std::vector<CostCell> PredictCosts(const RowColumns& rows, const std::vector<LayerColumns>& layers,
                                   const ModelSize& model, const MachineRates& machine,
                                   const CostOptions& options) {
  for (int k : options.experts_per_token) {
    if (k <= layers.at(0).experts_per_token) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("--experts-per-token {}: expected at most the run's {}; trace with "
                            "--intervene top-k={} for more",
                            k, layers[0].experts_per_token, k));
  }
  const int most = *std::max_element(options.batches.begin(), options.batches.end());
  if (rows.n_rows() < most) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--batch {}: expected at most the run's {} rows", most, rows.n_rows()));
  }
  std::vector<CostCell> cells;
  for (BatchKind kind : {BatchKind::kDecode, BatchKind::kPrefill}) {
    std::vector<double> distinct(options.experts_per_token.size() * options.batches.size());
    for (const LayerColumns& layer : layers) {
      const std::vector<double> of_layer = DistinctExperts(rows, layer, kind, options);
      for (size_t i = 0; i < distinct.size(); ++i) {
        distinct[i] += of_layer[i] / static_cast<double>(layers.size());
      }
    }
    size_t next = 0;
    for (int k : options.experts_per_token) {
      for (int batch : options.batches) {
        const double observed = distinct[next++];
        for (CostRouting routing :
             {CostRouting::kObserved, CostRouting::kUniform, CostRouting::kDense}) {
          CostCell& cell = cells.emplace_back();
          cell.kind = kind;
          cell.routing = routing;
          cell.experts_per_token = k;
          cell.batch = batch;
          cell.n_batches = rows.n_rows() / batch;
          cell.distinct = routing == CostRouting::kObserved ? observed
                          : routing == CostRouting::kUniform
                              ? UniformDistinct(model.n_experts, k, batch)
                              : k;
          Predict(model, machine, options.context, cell);
        }
      }
    }
  }
  return cells;
}

std::vector<int> ParseCounts(const std::string& text, int most, const std::string& option) {
  const auto refuse = [&] {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} {}: expected increasing numbers from 1 to {}, as 1-4 or 1,2,8",
                            option, text, most));
  };
  const auto number = [](const std::string& item) -> std::optional<int> {
    int value = 0;
    const auto [stop, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (error != std::errc() || stop != item.data() + item.size()) return std::nullopt;
    return value;
  };
  std::vector<int> counts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t dash = std::min(item.find('-'), item.size());
    const auto first = number(item.substr(0, dash));
    const auto last = dash < item.size() ? number(item.substr(dash + 1)) : first;
    const int least = counts.empty() ? 1 : counts.back() + 1;
    if (!first || !last || *first < least || *last < *first || *last > most) refuse();
    for (int value = *first; value <= *last; ++value) counts.push_back(value);
  }
  return counts;
}

}  // namespace moescope::study
