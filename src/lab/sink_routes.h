// Where the first token, on which attention often rests, is routed, beside all other tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "lab/route_watcher.h"

namespace moescope::lab {

struct SinkRoute {
  int layer = 0;
  std::vector<int16_t> experts;         // of position 0, first choice first
  std::vector<float> weights;           // of these
  std::vector<double> share_of_others;  // [n_experts] of other tokens, by their first choice
  // Of other tokens that choose the first token's first expert first: what one of them, drawn at
  // random, shares with it.
  double share_of_same() const { return share_of_others[static_cast<size_t>(experts[0])]; }
};

// By layer; none for fewer than two tokens. Requires: all positions have been run.
std::vector<SinkRoute> SinkRoutes(const RouteWatcher& routes, int n_layers, int n_experts,
                                  int64_t n_positions);

}  // namespace moescope::lab
