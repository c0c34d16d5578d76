#include "lab/inspect.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/platform/memory.h"
#include "lab/trace_memory.h"

namespace moescope::lab {
namespace {

using files::TensorKind;

const char* NameOf(files::TensorGroup group, bool dense) {
  switch (group) {
    case files::TensorGroup::kEmbeddings:
      return "embedding";
    case files::TensorGroup::kHead:
      return "output head";
    case files::TensorGroup::kAttention:
      return "attention";
    case files::TensorGroup::kRouter:
      return "router";
    case files::TensorGroup::kExperts:
      return dense ? "feed-forward" : "experts";
    case files::TensorGroup::kNorms:
      return "norms";
  }
  return "";
}

}  // namespace

std::vector<BytesRow> BytesByKind(const files::Checkpoint& checkpoint) {
  std::map<std::pair<std::string, DType>, BytesRow> groups;
  for (const auto& [id, location] : checkpoint.tensors()) {
    bool shared = id.kind == TensorKind::kOutputHead && checkpoint.config().tied_embeddings;
    if (shared) continue;
    const char* name = NameOf(files::GroupOf(id.kind), checkpoint.config().dense());
    BytesRow& row = groups[{name, location.dtype}];
    row.kind = name;
    row.dtype = location.dtype;
    ++row.n_tensors;
    row.n_bytes += location.n_bytes;
  }
  std::vector<BytesRow> rows;
  rows.reserve(groups.size());
  for (auto& [key, row] : groups) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const BytesRow& a, const BytesRow& b) { return a.n_bytes > b.n_bytes; });
  return rows;
}

SweepForecast ForecastSweep(const files::ModelConfig& config, uint64_t weight_bytes,
                            uint64_t memory_bytes, int chunk, int n_threads,
                            const SweepRates& rates) {
  SweepForecast forecast;
  forecast.memory_bytes = memory_bytes;
  forecast.weight_bytes = weight_bytes;
  forecast.plan =
      PlanTrace(config, {.memory_bytes = memory_bytes, .chunk = chunk, .n_threads = n_threads});
  uint64_t available = AvailableMemoryBytes();
  forecast.weights_stay_in_memory =
      available > memory_bytes && weight_bytes <= available - memory_bytes;
  forecast.compute_seconds_per_wave = static_cast<double>(forecast.plan.wave_rows) *
                                      forecast.plan.flops_per_row / rates.flops_per_second;
  forecast.disk_seconds_per_wave = static_cast<double>(weight_bytes) / rates.disk_bytes_per_second;
  return forecast;
}

double SweepForecast::Seconds(int64_t n_tokens) const {
  double share = static_cast<double>(n_tokens) / static_cast<double>(plan.wave_rows);
  double n_waves = std::ceil(share);
  if (weights_stay_in_memory) {
    return std::max(share * compute_seconds_per_wave, disk_seconds_per_wave);
  }
  // All waves but the last are full.
  double last = (share - (n_waves - 1)) * compute_seconds_per_wave;
  return (n_waves - 1) * std::max(compute_seconds_per_wave, disk_seconds_per_wave) +
         std::max(last, disk_seconds_per_wave);
}

}  // namespace moescope::lab
