// What can be changed about the routing of a model, as data: a mode, its number, and the layers or
// the (layer, expert) cells it holds for. Written forms and meanings: docs/interventions.md.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "routing/router.h"

namespace moescope::routing {

enum class InterventionMode {
  kMask,          // the expert may not be chosen: the next best steps in
  kZero,          // chosen as before, weight 0, the others' weights untouched
  kDrop,          // removed after the choice, the others' weights renormalised
  kSwap,          // another expert runs in its place with the same weight
  kTopK,          // another number of experts a token
  kSkip,          // the last choice is dropped where its weight is small beside the first's
  kForce,         // the experts stored in a run, weights from the logits of now
  kForceWeights,  // the stored weights too
  kBias,          // added to router logits
  kTemperature,   // divides router logits
};
std::string Name(InterventionMode mode);
// mask, zero, drop and swap: what takes one expert out of a token's choice.
bool RemovesExpert(InterventionMode mode);
// Those, and a bias, hold for experts; the others for whole layers.
bool NamesExperts(InterventionMode mode);
bool IsForce(InterventionMode mode);

// The model an intervention is for.
struct RoutedModel {
  RouterDescription router;
  int n_layers = 0;
};

struct Cell {
  static constexpr int kWholeLayer = -1;
  int layer = 0;
  int expert = kWholeLayer;
  auto operator<=>(const Cell&) const = default;
};

struct Intervention {
  InterventionMode mode = InterventionMode::kMask;
  int number = 0;           // swap: the expert that steps in; top-k: experts a token
  float value = 0;          // skip: share of the first weight; bias; temperature
  std::string run;          // force: as the command line names it
  std::vector<Cell> cells;  // increasing, each once
};

// The mode with its number, without cells: "mask", "swap:5", "top-k=1", "skip:0.4", "force=RUN",
// "bias=0.5"; "=", ":" and a blank are equal. `where` begins the message of an Error(kBadInput)
// that names the value and what it may be.
Intervention ParseMode(const std::string& text, const RoutedModel& model, const std::string& where);
// "1:3,5:0": layers and experts; a layer may be a range, "2-5:3", or "all:3".
std::vector<Cell> ParseCells(const std::string& text, const RoutedModel& model,
                             const std::string& where);
// "0,3", "2-5", "all"; increasing.
std::vector<int> ParseLayerList(const std::string& text, const RoutedModel& model,
                                const std::string& where);
// "3", "0,2-5", "all"; increasing.
std::vector<int> ParseExpertList(const std::string& text, const RoutedModel& model,
                                 const std::string& where);
// Cells of whole layers, and every expert of the list in every layer of the other.
std::vector<Cell> WholeLayers(const std::vector<int>& layers);
std::vector<Cell> CellsOf(const std::vector<int>& layers, const std::vector<int>& experts);
std::vector<int> AllLayers(const RoutedModel& model);

// MODE or MODE@CELLS, or MODE@LAYERS for a mode of whole layers: "mask@1:3,5:0", "top-k=1@0-3". A
// mode of whole layers and a bias without "@" hold everywhere; others get no cells then.
Intervention ParseIntervention(const std::string& text, const RoutedModel& model,
                               const std::string& where);
// The one form that ParseIntervention gives back, for manifests and tables.
std::string FormatIntervention(const Intervention& intervention, const RoutedModel& model);
std::string FormatMode(const Intervention& intervention);
std::string FormatCells(const std::vector<Cell>& cells, const RoutedModel& model);

}  // namespace moescope::routing
