#include "apps/cli/ablate_targets.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"

namespace moescope::cli {
namespace {

using routing::Cell;
using routing::Intervention;
using routing::RoutedModel;

void CheckTogether(const AblateTargets& targets) {
  if (targets.cells.empty()) return;
  const char* other = targets.hunt               ? "--hunt"
                      : !targets.experts.empty() ? "--expert"
                      : !targets.layers.empty()  ? "--layers"
                                                 : nullptr;
  if (other == nullptr) return;
  throw Error(ErrorKind::kBadInput,
              fmt::format("--cells {} and {}: expected one of them, found both; cells name layers "
                          "and experts already",
                          targets.cells, other));
}

class Builder {
 public:
  Builder(const AblateTargets& targets, const RoutedModel& model)
      : targets_(targets), model_(model) {
    CheckTogether(targets);
    layers_ = targets.layers.empty() ? routing::AllLayers(model)
                                     : routing::ParseLayerList(targets.layers, model, "--layers");
    if (!targets.experts.empty()) {
      experts_ = routing::ParseExpertList(targets.experts, model, "--expert");
    }
    if (!targets.cells.empty() && targets.cells != "all") {
      cells_ = routing::ParseCells(targets.cells, model, "--cells");
    }
  }

  void Add(const std::string& text, std::vector<Intervention>& out) const {
    const Intervention mode = routing::ParseIntervention(text, model_, "--mode");
    // A mode with an "@" says itself where it holds.
    if (routing::FormatIntervention(mode, model_).find('@') != std::string::npos &&
        !mode.cells.empty()) {
      out.push_back(mode);
    } else if (targets_.hunt) {
      RequireExperts(mode, "--hunt");
      Hunt(mode, out);
    } else if (!targets_.cells.empty()) {
      RequireExperts(mode, "--cells");
      AddCells(mode, out);
    } else {
      AddOne(mode, out);
    }
  }

 private:
  static void RequireExperts(const Intervention& mode, const char* option) {
    if (routing::NamesExperts(mode.mode)) return;
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} with mode {}: expected a mode for experts (mask, zero, drop, "
                            "swap:E, bias=B), found one for whole layers; choose these with "
                            "--layers",
                            option, routing::FormatMode(mode)));
  }

  static Intervention At(Intervention mode, std::vector<Cell> cells) {
    mode.cells = std::move(cells);
    return mode;
  }

  // An expert cannot step in for itself.
  static bool IsOwn(const Intervention& mode, int expert) {
    return mode.mode == routing::InterventionMode::kSwap && mode.number == expert;
  }

  void Hunt(const Intervention& mode, std::vector<Intervention>& out) const {
    for (int expert : experts_.empty() ? AllExperts() : experts_) {
      if (!IsOwn(mode, expert)) out.push_back(At(mode, routing::CellsOf(layers_, {expert})));
    }
  }

  void AddCells(const Intervention& mode, std::vector<Intervention>& out) const {
    for (const Cell& cell : cells_.empty() ? routing::CellsOf(layers_, AllExperts()) : cells_) {
      if (cells_.empty() && IsOwn(mode, cell.expert)) continue;
      out.push_back(At(mode, {cell}));
    }
    if (cells_.size() > 1) out.push_back(At(mode, cells_));
  }

  void AddOne(const Intervention& mode, std::vector<Intervention>& out) const {
    if (!routing::NamesExperts(mode.mode) && !experts_.empty()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--expert {} with mode {}: expected a mode for experts (mask, zero, "
                              "drop, swap:E, bias=B), found one for whole layers",
                              targets_.experts, routing::FormatMode(mode)));
    }
    if (routing::RemovesExpert(mode.mode) && experts_.empty()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--mode {}: expected experts to remove, found none; add --hunt "
                              "(each from all layers), --cells all, --cells LAYER:EXPERT,... or "
                              "--expert E",
                              routing::FormatMode(mode)));
    }
    out.push_back(At(mode, experts_.empty() ? routing::WholeLayers(layers_)
                                            : routing::CellsOf(layers_, experts_)));
  }

  std::vector<int> AllExperts() const {
    std::vector<int> experts;
    for (int expert = 0; expert < model_.router.n_experts; ++expert) experts.push_back(expert);
    return experts;
  }

  const AblateTargets& targets_;
  const RoutedModel& model_;
  std::vector<int> layers_, experts_;
  std::vector<Cell> cells_;
};

}  // namespace

std::vector<Intervention> TargetsOf(const AblateTargets& targets, const RoutedModel& model) {
  std::vector<Intervention> interventions;
  // A dense model is refused by the first mode, before ranges of experts it does not have.
  for (const std::string& mode : targets.modes) routing::ParseIntervention(mode, model, "--mode");
  const Builder builder(targets, model);
  for (const std::string& mode : targets.modes) builder.Add(mode, interventions);
  return interventions;
}

}  // namespace moescope::cli
