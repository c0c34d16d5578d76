// All interventions of one branch, sorted by layer and applied to one row at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "routing/intervention.h"
#include "routing/probe.h"

namespace moescope::routing {

// What a run stored for a row: [K of the run] each; -1 beside weight 0 is a dropped slot.
struct StoredDecision {
  std::span<const int16_t> experts;
  std::span<const float> weights;
};

// Decisions that are known before the model runs. Thread-safe.
class DecisionSource {
 public:
  virtual ~DecisionSource() = default;
  // Throws Error(kBadInput) for a row it does not have or whose token differs.
  virtual StoredDecision At(int layer, const RowInfo& row) const = 0;
  virtual int experts_per_token() const = 0;
};

// Immutable and thread-safe. Logits are edited before the choice, in the order of the
// interventions; then top-k or force replaces the choice; then what removes experts, in order.
class InterventionPlan {
 public:
  // Throws Error(kBadInput) naming two interventions that contradict each other: two choices of one
  // layer, two removals of one cell, a mask or stored weights under edits of what they replace, an
  // expert that takes the place of itself or of one removed. `forced` must outlive the plan and be
  // there when an intervention forces.
  InterventionPlan(std::span<const Intervention> interventions, const RoutedModel& model,
                   const DecisionSource* forced = nullptr);

  // The first layer at which something differs; n_layers when nothing does.
  int first_layer() const;
  int n_layers() const { return model_.n_layers; }
  // The most experts a token that a layer chooses.
  int most_slots() const;
  bool EditsLogits(int layer) const { return !At(layer).of_logits.empty(); }

  // logits [n_experts] of one row.
  void EditLogits(int layer, std::span<float> logits) const;
  // experts, weights [slots >= most_slots()]: the choice of as many experts from the logits as
  // edited; becomes this branch's decision. A row keeps its slots: one that loses its expert holds
  // -1 and weight 0. The sum of the weights stays what it was when others are renormalised; of a
  // router that normalises, its scale.
  void EditDecision(int layer, const RowInfo& row, std::span<const float> logits,
                    std::span<int16_t> experts, std::span<float> weights) const;

 private:
  struct Edit {
    InterventionMode mode;
    int expert;  // Cell::kWholeLayer: all
    int number;
    float value;
  };
  struct Layer {
    std::vector<Edit> of_logits, of_choice;
    int n_chosen = 0;
    bool is_forced = false, takes_weights = false;
  };
  const Layer& At(int layer) const { return layers_[static_cast<size_t>(layer)]; }
  void Add(const Intervention& intervention);
  void Choose(const Layer& layer, int number, const RowInfo& row, std::span<const float> logits,
              std::span<int16_t> experts, std::span<float> weights) const;
  void Apply(const Edit& edit, std::span<int16_t> experts, std::span<float> weights) const;
  void Remove(size_t slot, std::span<int16_t> experts, std::span<float> weights) const;

  RoutedModel model_;
  const DecisionSource* forced_;
  std::vector<Layer> layers_;
};

}  // namespace moescope::routing
