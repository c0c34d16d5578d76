// Runs one text through a model and keeps what its heads look at.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/model/model.h"
#include "lab/attention.h"
#include "lab/attention_matrices.h"
#include "lab/sink_routes.h"

namespace moescope::lab {

struct WatchOptions {
  // Rows of one head to keep.
  struct Rows {
    int layer = 0, head = 0;
    int64_t first = 0, last = 0;
  };
  std::optional<Rows> rows;
  int64_t block = 0;    // tokens a block of the matrices of all heads; 0: keep none
  uint64_t memory = 0;  // bytes that may be used, mapped weights not counted
  int n_threads = 0;    // 0: one a core
};

struct WatchedAttention {
  std::vector<HeadFigures> heads;  // by layer, then head
  std::optional<AttentionRowsProbe> rows;
  std::optional<AttentionMatricesProbe> matrices;
  std::vector<SinkRoute> sink_routes;  // none where the model is dense
};

// In `exact` precision: the same bits for any number of threads. Requires: the ids fit the context,
// the rows the ids, layer and head the model. Throws Error(kResource) when memory does not suffice,
// and as Sweep::Run.
WatchedAttention WatchAttention(const engine::Model& model, const std::vector<int32_t>& ids,
                                const WatchOptions& options);

}  // namespace moescope::lab
