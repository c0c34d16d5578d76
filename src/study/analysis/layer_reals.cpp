#include "study/analysis/layer_reals.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/cancellation.h"
#include "base/error.h"

namespace moescope::study {
namespace {

std::vector<std::string> WeightNames(int n_slots) {
  std::vector<std::string> names;
  for (int slot = 0; slot < n_slots; ++slot) names.push_back(fmt::format("weight_{}", slot));
  return names;
}

}  // namespace

std::vector<float> LoadLayerReals(const store::Run& run, store::Database& database,
                                  const RowColumns& rows, int layer,
                                  const std::vector<std::string>& names) {
  const size_t n_columns = names.size();
  std::vector<float> values(static_cast<size_t>(rows.n_rows()) * n_columns,
                            std::numeric_limits<float>::quiet_NaN());
  std::string sql = "SELECT token";
  for (const std::string& name : names) sql += fmt::format(", coalesce({}, 'NaN'::FLOAT)", name);
  sql += fmt::format(" FROM routes WHERE layer = {}", layer);
  std::vector<std::span<const double>> columns(n_columns);
  database.Stream(sql, [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto tokens = chunk.Integers(0);
    for (size_t c = 0; c < n_columns; ++c) columns[c] = chunk.Reals(static_cast<int>(c) + 1);
    for (int64_t r = 0; r < chunk.n_rows(); ++r) {
      const int64_t row = RowOfToken(run, rows, layer, tokens[r]);
      if (row < 0) continue;
      float* out = values.data() + row * static_cast<int64_t>(n_columns);
      for (size_t c = 0; c < n_columns; ++c) out[c] = static_cast<float>(columns[c][r]);
    }
  });
  return values;
}

std::vector<float> LoadStoredWeights(const store::Run& run, store::Database& database,
                                     const RowColumns& rows, const LayerColumns& layer) {
  std::vector<float> weights =
      LoadLayerReals(run, database, rows, layer.layer, WeightNames(layer.experts_per_token));
  for (size_t at = 0; at < weights.size(); ++at) {
    if (layer.experts[at] < 0) weights[at] = 0;
    if (std::isfinite(weights[at])) continue;
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("{}: expected routing weights at layer {}, found decisions without them",
                    run.directory(), layer.layer));
  }
  return weights;
}

std::vector<float> LoadNormalisedWeights(const store::Run& run, store::Database& database,
                                         const RowColumns& rows, const LayerColumns& layer) {
  const int n_slots = layer.experts_per_token;
  std::vector<float> weights =
      LoadLayerReals(run, database, rows, layer.layer, WeightNames(n_slots));
  for (int64_t row = 0; row < rows.n_rows(); ++row) {
    float* weight = weights.data() + row * n_slots;
    const int16_t* expert = layer.experts.data() + row * n_slots;
    float sum = 0;
    int n_chosen = 0;
    for (int slot = 0; slot < n_slots; ++slot) {
      if (expert[slot] < 0 || !std::isfinite(weight[slot]) || weight[slot] < 0) weight[slot] = 0;
      n_chosen += expert[slot] >= 0;
      sum += weight[slot];
    }
    for (int slot = 0; slot < n_slots; ++slot) {
      if (expert[slot] < 0) continue;
      weight[slot] = sum > 0 ? weight[slot] / sum : 1.0f / static_cast<float>(n_chosen);
    }
  }
  return weights;
}

}  // namespace moescope::study
