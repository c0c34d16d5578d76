#include "lab/sink_routes.h"

namespace moescope::lab {

std::vector<SinkRoute> SinkRoutes(const RouteWatcher& routes, int n_layers, int n_experts,
                                  int64_t n_positions) {
  std::vector<SinkRoute> all;
  if (n_positions < 2) return all;
  const double share_of_one = 1 / static_cast<double>(n_positions - 1);
  for (int layer = 0; layer < n_layers; ++layer) {
    const std::span<const int16_t> experts = routes.Experts(layer, 0);
    const std::span<const float> weights = routes.Weights(layer, 0);
    std::vector<int64_t> counts(static_cast<size_t>(n_experts));
    for (int64_t position = 1; position < n_positions; ++position) {
      ++counts[static_cast<size_t>(routes.Experts(layer, position)[0])];
    }
    SinkRoute& route = all.emplace_back();
    route.layer = layer;
    route.experts.assign(experts.begin(), experts.end());
    route.weights.assign(weights.begin(), weights.end());
    for (int64_t count : counts) {
      route.share_of_others.push_back(static_cast<double>(count) * share_of_one);
    }
  }
  return all;
}

}  // namespace moescope::lab
