// Calls the probes of a run at a site: those that declared edits get the engine's own arrays, the
// others a copy, so that an observer cannot alter a result even by mistake.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "routing/probe.h"

namespace moescope::engine {

class ProbeSet {
 public:
  // Room for copies of `max_values` floats is kept for each worker, if some probe only observes.
  void Begin(std::span<routing::Probe* const> probes, int n_threads, size_t max_values);
  bool Wants(uint32_t sites) const { return (sites_ & sites) != 0; }
  bool Edits(uint32_t sites) const { return (edits_ & sites) != 0; }

  // One call for each probe that declared `site`, in the order given. The site says which of the
  // probe's functions is called.
  void Call(routing::Site site, const routing::DecisionBatch& batch, int worker);
  void Call(routing::Site site, const routing::ActivationBatch& batch, int worker);
  void Call(routing::Site site, const routing::ExpertBatch& batch, int worker);
  void CallAttention(const routing::AttentionBatch& batch) const;

 private:
  struct Copies {
    std::vector<float> logits, weights, values;
    std::vector<int16_t> experts;
  };
  std::span<routing::Probe* const> probes_;
  uint32_t sites_ = 0;
  uint32_t edits_ = 0;
  std::vector<Copies> copies_;  // one a worker
};

}  // namespace moescope::engine
