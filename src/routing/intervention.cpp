#include "routing/intervention.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"

namespace moescope::routing {
namespace {

struct ModeRow {
  InterventionMode mode;
  const char* name;
  const char* form;  // as the command line has it
};
constexpr ModeRow kModes[] = {
    {InterventionMode::kMask, "mask", "mask"},
    {InterventionMode::kZero, "zero", "zero"},
    {InterventionMode::kDrop, "drop", "drop"},
    {InterventionMode::kSwap, "swap", "swap:E"},
    {InterventionMode::kTopK, "top-k", "top-k=N"},
    {InterventionMode::kSkip, "skip", "skip:B"},
    {InterventionMode::kForce, "force", "force=RUN"},
    {InterventionMode::kForceWeights, "force-weights", "force-weights=RUN"},
    {InterventionMode::kBias, "bias", "bias=B"},
    {InterventionMode::kTemperature, "temperature", "temperature=T"},
};

const ModeRow& RowOf(InterventionMode mode) {
  return *std::find_if(std::begin(kModes), std::end(kModes),
                       [&](const ModeRow& row) { return row.mode == mode; });
}

[[noreturn]] void Refuse(const std::string& where, const std::string& expected,
                         const std::string& found) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("{}: expected {}, found {}", where, expected, found));
}

template <typename T>
std::optional<T> ParseNumber(const std::string& text) {
  T number{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && stop == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

int ParseIndex(const std::string& text, const char* what, int first, int last,
               const std::string& where) {
  const std::optional<int> number = ParseNumber<int>(text);
  if (!number || *number < first || *number > last) {
    Refuse(where, fmt::format("{} from {} to {}", what, first, last),
           text.empty() ? "nothing" : "'" + text + "'");
  }
  return *number;
}

float ParseReal(const std::string& text, const char* what, float lowest, float highest,
                const std::string& where) {
  const std::optional<float> number = ParseNumber<float>(text);
  if (!number || !(*number >= lowest && *number <= highest)) {
    Refuse(where, what, text.empty() ? "nothing" : "'" + text + "'");
  }
  return *number;
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    if (end == text.size()) return parts;
    begin = end + 1;
  }
}

// A number, a range or "all" into `out`.
void ParseRange(const std::string& text, const char* what, int n, const std::string& where,
                std::set<int>& out) {
  int first = 0, last = n - 1;
  if (text != "all") {
    const size_t dash = text.find('-');
    first = ParseIndex(text.substr(0, dash), what, 0, n - 1, where);
    last = dash == std::string::npos ? first
                                     : ParseIndex(text.substr(dash + 1), what, first, n - 1, where);
  }
  for (int i = first; i <= last; ++i) out.insert(i);
}

std::vector<int> ParseList(const std::string& text, const char* what, int n,
                           const std::string& where) {
  std::set<int> list;
  for (const std::string& part : Split(text, ',')) ParseRange(part, what, n, where, list);
  return {list.begin(), list.end()};
}

std::string FormatList(const std::vector<int>& list, int n) {
  if (list.size() == static_cast<size_t>(n) && n > 1) return "all";
  return fmt::format("{}", fmt::join(list, ","));
}

void CheckRouted(const RoutedModel& model, const std::string& where) {
  if (model.router.n_experts > 0) return;
  Refuse(where, "a mixture of experts", "a dense model, which has no router to intervene in");
}

}  // namespace

std::string Name(InterventionMode mode) {
  return RowOf(mode).name;
}

bool RemovesExpert(InterventionMode mode) {
  return mode == InterventionMode::kMask || mode == InterventionMode::kZero ||
         mode == InterventionMode::kDrop || mode == InterventionMode::kSwap;
}

bool NamesExperts(InterventionMode mode) {
  return RemovesExpert(mode) || mode == InterventionMode::kBias;
}

bool IsForce(InterventionMode mode) {
  return mode == InterventionMode::kForce || mode == InterventionMode::kForceWeights;
}

Intervention ParseMode(const std::string& text, const RoutedModel& model,
                       const std::string& where) {
  CheckRouted(model, where);
  const size_t separator = text.find_first_of("=: ");
  const std::string name = text.substr(0, separator);
  const std::string number = separator == std::string::npos ? "" : text.substr(separator + 1);
  const auto* row = std::find_if(std::begin(kModes), std::end(kModes),
                                 [&](const ModeRow& mode) { return mode.name == name; });
  if (row == std::end(kModes)) {
    std::vector<std::string> forms;
    for (const ModeRow& mode : kModes) forms.emplace_back(mode.form);
    Refuse(where, fmt::format("a mode of {}", fmt::join(forms, ", ")), "'" + name + "'");
  }
  Intervention result{.mode = row->mode, .number = 0, .value = 0, .run = {}, .cells = {}};
  constexpr float kMost = 1e30f;
  const int n_experts = model.router.n_experts;
  switch (row->mode) {
    case InterventionMode::kSwap:
      result.number = ParseIndex(number, "the expert that steps in,", 0, n_experts - 1, where);
      break;
    case InterventionMode::kTopK:
      result.number = ParseIndex(number, "experts a token", 1, n_experts, where);
      break;
    case InterventionMode::kSkip:
      result.value =
          ParseReal(number, "a share of the first weight from 0 to 1", 0.0f, 1.0f, where);
      break;
    case InterventionMode::kBias:
      result.value = ParseReal(number, "a bias between -1e30 and 1e30", -kMost, kMost, where);
      break;
    case InterventionMode::kTemperature:
      result.value = ParseReal(number, "a temperature from 1e-30 to 1e30", 1e-30f, kMost, where);
      break;
    case InterventionMode::kForce:
    case InterventionMode::kForceWeights:
      if (number.empty()) Refuse(where, fmt::format("the path of a run, {}", row->form), "nothing");
      result.run = number;
      break;
    default:
      if (separator != std::string::npos) {
        Refuse(where, fmt::format("'{}' without a number", name), "'" + text + "'");
      }
  }
  return result;
}

std::vector<int> ParseLayerList(const std::string& text, const RoutedModel& model,
                                const std::string& where) {
  return ParseList(text, "a layer", model.n_layers, where);
}

std::vector<int> ParseExpertList(const std::string& text, const RoutedModel& model,
                                 const std::string& where) {
  CheckRouted(model, where);
  return ParseList(text, "an expert", model.router.n_experts, where);
}

std::vector<Cell> ParseCells(const std::string& text, const RoutedModel& model,
                             const std::string& where) {
  CheckRouted(model, where);
  std::set<Cell> cells;
  for (const std::string& part : Split(text, ',')) {
    const size_t colon = part.find(':');
    if (colon == std::string::npos) {
      Refuse(where, "LAYER:EXPERT, as 1:3,5:0", part.empty() ? "nothing" : "'" + part + "'");
    }
    std::set<int> layers, experts;
    ParseRange(part.substr(0, colon), "a layer", model.n_layers, where, layers);
    ParseRange(part.substr(colon + 1), "an expert", model.router.n_experts, where, experts);
    for (int layer : layers) {
      for (int expert : experts) cells.insert({layer, expert});
    }
  }
  return {cells.begin(), cells.end()};
}

std::vector<Cell> WholeLayers(const std::vector<int>& layers) {
  return CellsOf(layers, {Cell::kWholeLayer});
}

std::vector<Cell> CellsOf(const std::vector<int>& layers, const std::vector<int>& experts) {
  std::vector<Cell> cells;
  for (int layer : layers) {
    for (int expert : experts) cells.push_back({layer, expert});
  }
  return cells;
}

std::vector<int> AllLayers(const RoutedModel& model) {
  std::vector<int> layers;
  for (int layer = 0; layer < model.n_layers; ++layer) layers.push_back(layer);
  return layers;
}

Intervention ParseIntervention(const std::string& text, const RoutedModel& model,
                               const std::string& where) {
  // The path of a run may have an "@" too; what follows one is never a path.
  const size_t at = text.rfind('@');
  const bool has_cells =
      at != std::string::npos && text.find('/', at) == std::string::npos && at + 1 < text.size();
  const std::string here = fmt::format("{} '{}'", where, text);
  Intervention result = ParseMode(has_cells ? text.substr(0, at) : text, model, here);
  if (has_cells && NamesExperts(result.mode)) {
    result.cells = ParseCells(text.substr(at + 1), model, here);
  } else if (has_cells) {
    result.cells = WholeLayers(ParseLayerList(text.substr(at + 1), model, here));
  } else if (!RemovesExpert(result.mode)) {
    result.cells = WholeLayers(AllLayers(model));
  }
  return result;
}

std::string FormatMode(const Intervention& intervention) {
  const std::string name = Name(intervention.mode);
  switch (intervention.mode) {
    case InterventionMode::kSwap:
      return fmt::format("{}:{}", name, intervention.number);
    case InterventionMode::kTopK:
      return fmt::format("{}={}", name, intervention.number);
    case InterventionMode::kSkip:
      return fmt::format("{}:{}", name, intervention.value);
    case InterventionMode::kBias:
    case InterventionMode::kTemperature:
      return fmt::format("{}={}", name, intervention.value);
    case InterventionMode::kForce:
    case InterventionMode::kForceWeights:
      return fmt::format("{}={}", name, intervention.run);
    default:
      return name;
  }
}

std::string FormatCells(const std::vector<Cell>& cells, const RoutedModel& model) {
  // Experts that go from every layer are named once.
  std::map<int, std::vector<int>> layers_of;
  for (const Cell& cell : cells) layers_of[cell.expert].push_back(cell.layer);
  if (layers_of.size() == 1 && layers_of.begin()->first == Cell::kWholeLayer) {
    return FormatList(layers_of.begin()->second, model.n_layers);
  }
  std::vector<std::string> parts;
  std::set<Cell> rest(cells.begin(), cells.end());
  for (const auto& [expert, layers] : layers_of) {
    if (model.n_layers < 2 || layers.size() != static_cast<size_t>(model.n_layers)) continue;
    parts.push_back(fmt::format("all:{}", expert));
    for (int layer : layers) rest.erase({layer, expert});
  }
  for (const Cell& cell : rest) parts.push_back(fmt::format("{}:{}", cell.layer, cell.expert));
  return fmt::format("{}", fmt::join(parts, ","));
}

std::string FormatIntervention(const Intervention& intervention, const RoutedModel& model) {
  const bool everywhere =
      !RemovesExpert(intervention.mode) && intervention.cells == WholeLayers(AllLayers(model));
  return everywhere ? FormatMode(intervention)
                    : FormatMode(intervention) + "@" + FormatCells(intervention.cells, model);
}

}  // namespace moescope::routing
