#include "routing/intervention_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace moescope::routing {
namespace {

using Mode = InterventionMode;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool EditsLogitsOf(Mode mode) {
  return mode == Mode::kMask || mode == Mode::kBias || mode == Mode::kTemperature;
}

bool Chooses(Mode mode) {
  return mode == Mode::kTopK || IsForce(mode);
}

// Why the two cannot both hold for a cell; "" when they can.
std::string WhyNot(const Intervention& a, const Intervention& b, const Cell& of_a,
                   const Cell& of_b) {
  if (of_a.layer != of_b.layer) return "";
  if (Chooses(a.mode) && Chooses(b.mode)) {
    return fmt::format("both choose the experts of layer {}", of_a.layer);
  }
  if (a.mode == Mode::kSkip && b.mode == Mode::kSkip) {
    return fmt::format("both skip in layer {}", of_a.layer);
  }
  if (RemovesExpert(a.mode) && RemovesExpert(b.mode) && of_a.expert == of_b.expert) {
    return fmt::format("both remove expert {} of layer {}", of_a.expert, of_a.layer);
  }
  const auto one_way = [&](const Intervention& x, const Intervention& y, const Cell& of_y) {
    if (x.mode == Mode::kSwap && RemovesExpert(y.mode) && x.number == of_y.expert) {
      return fmt::format("expert {} of layer {} steps in and is removed", x.number, of_y.layer);
    }
    if (x.mode == Mode::kForce && y.mode == Mode::kMask) {
      return fmt::format("layer {} takes stored experts, the masked one among them", of_y.layer);
    }
    if (x.mode == Mode::kForceWeights && EditsLogitsOf(y.mode)) {
      return fmt::format("layer {} takes stored weights, not those of its logits", of_y.layer);
    }
    return std::string();
  };
  const std::string why = one_way(a, b, of_b);
  return why.empty() ? one_way(b, a, of_a) : why;
}

void CheckPair(const Intervention& a, const Intervention& b, const RoutedModel& model) {
  for (const Cell& of_a : a.cells) {
    for (const Cell& of_b : b.cells) {
      const std::string why = WhyNot(a, b, of_a, of_b);
      if (why.empty()) continue;
      throw Error(ErrorKind::kBadInput,
                  fmt::format("interventions '{}' and '{}' contradict each "
                              "other: {}; leave one out",
                              FormatIntervention(a, model), FormatIntervention(b, model), why));
    }
  }
}

void CheckSwap(const Intervention& swap, const RoutedModel& model) {
  for (const Cell& cell : swap.cells) {
    if (cell.expert != swap.number) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("intervention '{}': expected another expert than {} to step in for it, "
                            "found itself",
                            FormatIntervention(swap, model), cell.expert));
  }
}

bool Normalises(const RouterDescription& router) {
  return router.score == ScoreFunction::kSoftmaxOverChosen || router.renormalise;
}

}  // namespace

InterventionPlan::InterventionPlan(std::span<const Intervention> interventions,
                                   const RoutedModel& model, const DecisionSource* forced)
    : model_(model), forced_(forced), layers_(static_cast<size_t>(model.n_layers)) {
  for (Layer& layer : layers_) layer.n_chosen = model.router.experts_per_token;
  for (size_t i = 0; i < interventions.size(); ++i) {
    if (interventions[i].mode == Mode::kSwap) CheckSwap(interventions[i], model);
    for (size_t j = 0; j < i; ++j) CheckPair(interventions[j], interventions[i], model);
    Add(interventions[i]);
  }
}

void InterventionPlan::Add(const Intervention& intervention) {
  for (const Cell& cell : intervention.cells) {
    MOESCOPE_CHECK(cell.layer >= 0 && cell.layer < model_.n_layers);
    Layer& layer = layers_[static_cast<size_t>(cell.layer)];
    const Edit edit = {intervention.mode, cell.expert, intervention.number, intervention.value};
    if (EditsLogitsOf(intervention.mode)) {
      layer.of_logits.push_back(edit);
      continue;
    }
    layer.of_choice.push_back(edit);
    if (intervention.mode == Mode::kTopK) layer.n_chosen = intervention.number;
    if (IsForce(intervention.mode)) {
      MOESCOPE_CHECK(forced_ != nullptr);
      layer.n_chosen = forced_->experts_per_token();
      layer.is_forced = true;
      layer.takes_weights = intervention.mode == Mode::kForceWeights;
    }
  }
}

int InterventionPlan::first_layer() const {
  const auto changed = std::find_if(layers_.begin(), layers_.end(), [](const Layer& layer) {
    return !layer.of_logits.empty() || !layer.of_choice.empty();
  });
  return static_cast<int>(changed - layers_.begin());
}

int InterventionPlan::most_slots() const {
  int slots = 0;
  for (const Layer& layer : layers_) slots = std::max(slots, layer.n_chosen);
  return slots;
}

void InterventionPlan::EditLogits(int layer, std::span<float> logits) const {
  for (const Edit& edit : At(layer).of_logits) {
    const bool all = edit.expert == Cell::kWholeLayer;
    const std::span<float> edited =
        all ? logits : logits.subspan(static_cast<size_t>(edit.expert), 1);
    for (float& logit : edited) {
      if (edit.mode == Mode::kMask) logit = -kInfinity;
      if (edit.mode == Mode::kBias) logit += edit.value;
      if (edit.mode == Mode::kTemperature) logit /= edit.value;
    }
  }
}

void InterventionPlan::EditDecision(int layer, const RowInfo& row, std::span<const float> logits,
                                    std::span<int16_t> experts, std::span<float> weights) const {
  const Layer& edits = At(layer);
  Choose(edits, layer, row, logits, experts, weights);
  for (const Edit& edit : edits.of_choice) Apply(edit, experts, weights);
}

void InterventionPlan::Choose(const Layer& layer, int number, const RowInfo& row,
                              std::span<const float> logits, std::span<int16_t> experts,
                              std::span<float> weights) const {
  RouterDescription router = model_.router;
  router.experts_per_token = static_cast<int>(experts.size());
  if (layer.is_forced) {
    const StoredDecision stored = forced_->At(number, row);
    std::fill(std::copy(stored.experts.begin(), stored.experts.end(), experts.begin()),
              experts.end(), int16_t{-1});
    if (layer.takes_weights) {
      std::fill(std::copy(stored.weights.begin(), stored.weights.end(), weights.begin()),
                weights.end(), 0.0f);
    } else {
      WeighExperts(router, logits.data(), experts.data(), weights.data());
    }
    return;
  }
  if (static_cast<size_t>(layer.n_chosen) == experts.size()) return;  // as the engine chose
  router.experts_per_token = layer.n_chosen;
  ChooseExperts(router, logits.data(), experts.data(), weights.data());
  std::fill(experts.begin() + layer.n_chosen, experts.end(), int16_t{-1});
  std::fill(weights.begin() + layer.n_chosen, weights.end(), 0.0f);
}

void InterventionPlan::Apply(const Edit& edit, std::span<int16_t> experts,
                             std::span<float> weights) const {
  if (edit.mode == Mode::kSkip) {
    size_t last = experts.size() - 1;
    while (last > 0 && experts[last] < 0) --last;
    if (last > 0 && weights[last] < edit.value * weights[0]) Remove(last, experts, weights);
    return;
  }
  const auto found = std::find(experts.begin(), experts.end(), edit.expert);
  if (found == experts.end() || edit.expert < 0) return;
  const auto slot = static_cast<size_t>(found - experts.begin());
  if (edit.mode == Mode::kZero) weights[slot] = 0;
  if (edit.mode == Mode::kDrop) Remove(slot, experts, weights);
  if (edit.mode == Mode::kSwap) {
    const auto there = std::find(experts.begin(), experts.end(), edit.number);
    if (there == experts.end()) {
      experts[slot] = static_cast<int16_t>(edit.number);
      return;
    }
    weights[static_cast<size_t>(there - experts.begin())] += weights[slot];
    experts[slot] = -1;
    weights[slot] = 0;
  }
}

void InterventionPlan::Remove(size_t slot, std::span<int16_t> experts,
                              std::span<float> weights) const {
  const float total = std::accumulate(weights.begin(), weights.end(), 0.0f);
  experts[slot] = -1;
  weights[slot] = 0;
  const float rest = std::accumulate(weights.begin(), weights.end(), 0.0f);
  if (!(rest > 0)) return;
  const float sum = Normalises(model_.router) ? model_.router.scale : total;
  for (float& weight : weights) weight = weight / rest * sum;
}

}  // namespace moescope::routing
