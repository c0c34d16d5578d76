#include "apps/cli/intervention_place.h"

#include <fmt/format.h>

#include "base/error.h"

namespace moescope::cli {
namespace {

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// What stands after the "@"; "" where nothing was given.
std::string WrittenPlace(const InterventionPlace& place) {
  if (!place.cells.empty()) {
    if (place.experts.empty() && place.layers.empty()) return place.cells;
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("--cells {} and {}: expected one of them, found both; cells name layers "
                    "and experts already",
                    place.cells, place.experts.empty() ? "--layers" : "--expert"));
  }
  const std::string layers = place.layers.empty() ? "all" : place.layers;
  if (place.experts.empty()) return place.layers;
  std::string cells;
  for (const std::string& layer : SplitList(layers)) {
    for (const std::string& expert : SplitList(place.experts)) {
      cells += fmt::format("{}{}:{}", cells.empty() ? "" : ",", layer, expert);
    }
  }
  return cells;
}

}  // namespace

std::vector<std::string> PlaceInterventions(const std::vector<std::string>& interventions,
                                            const InterventionPlace& place) {
  const std::string where = WrittenPlace(place);
  if (where.empty()) return interventions;
  if (interventions.empty()) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("layers and experts {}: expected --intervene with them, found none", where));
  }
  std::vector<std::string> placed;
  for (const std::string& intervention : interventions) {
    if (intervention.find('@') != std::string::npos) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--intervene {}: expected its place once, found {} beside it",
                              intervention, where));
    }
    placed.push_back(intervention + "@" + where);
  }
  return placed;
}

}  // namespace moescope::cli
