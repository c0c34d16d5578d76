// The probe behind `trace`: keeps every decision of a wave in the layout the store writes.
#pragma once

#include <cstdint>
#include <vector>

#include "routing/probe.h"
#include "routing/router.h"
#include "store/run_writer.h"

namespace moescope::lab {

// Buffers are allocated once for the largest wave. Workers call it for disjoint rows. Of a dense
// model (a router without experts) it keeps nothing, and its routes are an empty list.
class DecisionCollector : public routing::Probe {
 public:
  DecisionCollector(const routing::RouterDescription& router, int n_layers, int64_t max_rows,
                    bool keep_logits);

  uint32_t sites() const override { return routing::kSiteDecision; }
  void OnDecision(const routing::DecisionBatch& batch) override;

  // The decisions of the wave's first n_rows rows, a routed layer an entry; valid until the next
  // wave.
  std::vector<store::LayerRoutes> Routes(int64_t n_rows) const;

  // What one row of a wave costs, for the memory plan.
  static uint64_t BytesPerRow(const routing::RouterDescription& router, int n_layers,
                              bool keep_logits);

 private:
  struct Layer {
    std::vector<int16_t> experts;  // [max_rows, K]
    std::vector<float> weights;    // [max_rows, K]
    std::vector<float> margins;    // [max_rows]
    std::vector<float> entropies;  // [max_rows]
    std::vector<float> logits;     // [max_rows, E] when kept
  };
  routing::RouterDescription router_;
  bool keep_logits_;
  std::vector<Layer> layers_;
};

}  // namespace moescope::lab
