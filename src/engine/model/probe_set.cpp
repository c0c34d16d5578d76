#include "engine/model/probe_set.h"

#include "base/error.h"

namespace moescope::engine {
namespace {

using routing::ActivationBatch;
using routing::DecisionBatch;
using routing::ExpertBatch;
using routing::Probe;

template <typename T>
std::span<T> Copy(std::span<T> values, std::vector<T>& copy) {
  copy.assign(values.begin(), values.end());
  return copy;
}

void Deliver(Probe& probe, routing::Site site, const DecisionBatch& batch) {
  site == routing::kSiteRouterLogits ? probe.OnRouterLogits(batch) : probe.OnDecision(batch);
}
void Deliver(Probe& probe, routing::Site site, const ActivationBatch& batch) {
  if (site == routing::kSiteResidualAfterMoe) return probe.OnResidualAfterMoe(batch);
  if (site == routing::kSiteHeads) return probe.OnHeads(batch);
  probe.OnResidualAfterAttention(batch);
}
void Deliver(Probe& probe, routing::Site site, const ExpertBatch& batch) {
  site == routing::kSiteExpertInput ? probe.OnExpertInput(batch) : probe.OnExpertOutput(batch);
}

}  // namespace

void ProbeSet::Begin(std::span<Probe* const> probes, int n_threads, size_t max_values) {
  probes_ = probes;
  sites_ = edits_ = 0;
  for (Probe* probe : probes_) {
    MOESCOPE_CHECK((probe->edits() & ~probe->sites()) == 0);
    MOESCOPE_CHECK((probe->edits() & routing::kSiteAttention) == 0);
    sites_ |= probe->sites();
    edits_ |= probe->edits();
  }
  copies_.resize(static_cast<size_t>(n_threads));
  if (sites_ == 0) return;
  for (Copies& copies : copies_) {
    copies.logits.reserve(max_values);
    copies.weights.reserve(max_values);
    copies.experts.reserve(max_values);
    const uint32_t kActivations = routing::kSiteExpertInput | routing::kSiteExpertOutput |
                                  routing::kSiteResidualAfterAttention |
                                  routing::kSiteResidualAfterMoe | routing::kSiteHeads;
    if (Wants(kActivations)) copies.values.reserve(max_values);
  }
}

void ProbeSet::Call(routing::Site site, const DecisionBatch& batch, int worker) {
  Copies& copies = copies_[static_cast<size_t>(worker)];
  for (Probe* probe : probes_) {
    if ((probe->sites() & site) == 0) continue;
    if (probe->edits() & site) {
      Deliver(*probe, site, batch);
      continue;
    }
    DecisionBatch copy = batch;
    copy.router_logits = Copy(batch.router_logits, copies.logits);
    copy.experts = Copy(batch.experts, copies.experts);
    copy.weights = Copy(batch.weights, copies.weights);
    Deliver(*probe, site, copy);
  }
}

void ProbeSet::Call(routing::Site site, const ActivationBatch& batch, int worker) {
  for (Probe* probe : probes_) {
    if ((probe->sites() & site) == 0) continue;
    ActivationBatch seen = batch;
    if ((probe->edits() & site) == 0) {
      seen.values = Copy(batch.values, copies_[static_cast<size_t>(worker)].values);
    }
    Deliver(*probe, site, seen);
  }
}

void ProbeSet::Call(routing::Site site, const ExpertBatch& batch, int worker) {
  for (Probe* probe : probes_) {
    if ((probe->sites() & site) == 0) continue;
    ExpertBatch seen = batch;
    if ((probe->edits() & site) == 0) {
      seen.values = Copy(batch.values, copies_[static_cast<size_t>(worker)].values);
    }
    Deliver(*probe, site, seen);
  }
}

void ProbeSet::CallAttention(const routing::AttentionBatch& batch) const {
  for (Probe* probe : probes_) {
    if (probe->sites() & routing::kSiteAttention) probe->OnAttention(batch);
  }
}

}  // namespace moescope::engine
