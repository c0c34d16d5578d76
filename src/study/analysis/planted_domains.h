// Routes of known law over several data sets, for tests: tokens and experts drawn by given rules.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "study/analysis/planted_routes.h"

namespace moescope::study {

struct PlantedDomains {
  std::vector<std::string> datasets = {"code", "text"};
  int n_units = 20;  // of each data set, one document each
  int rows_per_unit = 300;
  int n_experts = 4;
  uint64_t seed = 1;
  // The token id of a row.
  std::function<int32_t(int dataset, Random& random)> token = [](int, Random& random) {
    return static_cast<int32_t>(random.Below(20));
  };
  // Shares of the first choice. `unit` counts over all data sets.
  std::function<std::vector<double>(int dataset, int unit, int32_t token)> shares;
};

// First choices drawn as planted, second choices even among the other experts.
inline PlantedRoutes PlantDomains(const PlantedDomains& planted) {
  RowColumnsBuilder builder;
  LayerColumns layer;
  layer.n_experts = planted.n_experts;
  layer.experts_per_token = 2;
  Random random(planted.seed);
  int unit = 0;
  for (size_t dataset = 0; dataset < planted.datasets.size(); ++dataset) {
    for (int u = 0; u < planted.n_units; ++u, ++unit) {
      builder.BeginDocument(unit, planted.datasets[dataset], "unit " + std::to_string(unit));
      builder.BeginSequence();
      for (int32_t position = 0; position < planted.rows_per_unit; ++position) {
        const int32_t token = planted.token(static_cast<int>(dataset), random);
        builder.AddRow(token, position, false);
        const int first =
            DrawExpert(planted.shares(static_cast<int>(dataset), unit, token), random);
        int second = static_cast<int>(random.Below(planted.n_experts - 1));
        if (second >= first) ++second;
        layer.experts.push_back(static_cast<int16_t>(first));
        layer.experts.push_back(static_cast<int16_t>(second));
      }
    }
  }
  return {builder.Finish(), std::move(layer)};
}

}  // namespace moescope::study
