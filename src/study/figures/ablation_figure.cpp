#include "study/figures/ablation_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

using routing::Intervention;
using routing::RoutedModel;

constexpr int kBarWidth = 24;
constexpr size_t kMostLines = 12;  // of single cells, below their heat map
constexpr size_t kMostDatasetColumns = 8;

// Where an intervention holds, as far as one number says it.
struct Place {
  std::string layers;                // "all", "1", "1,5"
  std::optional<int> layer, expert;  // where there is one

  Place(const Intervention& intervention, const RoutedModel& model) {
    std::set<int> of_layers, of_experts;
    for (const routing::Cell& cell : intervention.cells) {
      of_layers.insert(cell.layer);
      of_experts.insert(cell.expert);
    }
    layers =
        routing::FormatCells(routing::WholeLayers({of_layers.begin(), of_layers.end()}), model);
    if (of_layers.size() == 1) layer = *of_layers.begin();
    if (of_experts.size() == 1 && *of_experts.begin() >= 0) expert = *of_experts.begin();
  }
  bool is_cell() const { return layer && expert; }
};

// Rows of one branch: all together, then each data set.
struct Branch {
  const Intervention* intervention;
  std::span<const AblationRow> rows;
  const AblationRow& all() const { return rows.front(); }
};

std::vector<Branch> BranchesOf(const std::vector<AblationRow>& rows,
                               const std::vector<Intervention>& interventions) {
  std::vector<Branch> branches;
  const size_t n = interventions.empty() ? 0 : rows.size() / interventions.size();
  for (size_t i = 0; i < interventions.size(); ++i) {
    branches.push_back({&interventions[i], std::span(rows).subspan(i * n, n)});
  }
  return branches;
}

std::string SignedText(double value) {
  const std::string text = RealText(value, 4);
  return value > 0 && text.find_first_of("123456789") != std::string::npos ? "+" + text : text;
}

std::string Between(const std::optional<Interval>& interval) {
  return interval ? SignedText(interval->low) + " to " + SignedText(interval->high) : "-";
}

double LargestEffect(const std::vector<Branch>& branches) {
  double largest = 0;
  for (const Branch& branch : branches) largest = std::max(largest, std::abs(branch.all().effect));
  return largest;
}

std::string LinesTable(const std::vector<Branch>& branches, const RoutedModel& model,
                       double largest) {
  TextTable table;
  table.AddColumn("where", TextTable::Align::kLeft);
  for (const char* heading : {"loss", "effect", "95 %"}) table.AddColumn(heading);
  table.AddColumn("", TextTable::Align::kLeft);
  // With few data sets their effects stand beside.
  const std::span<const AblationRow> datasets = branches.front().rows.subspan(1);
  const size_t n_shown =
      datasets.size() > 1 && datasets.size() <= kMostDatasetColumns ? datasets.size() : 0;
  for (size_t d = 0; d < n_shown; ++d) table.AddColumn(Printable(datasets[d].dataset));
  for (const Branch& branch : branches) {
    const AblationRow& all = branch.all();
    const double share = largest > 0 ? std::abs(all.effect) / largest : 0;
    std::vector<std::string> cells = {PlaceText(*branch.intervention, model), RealText(all.loss, 4),
                                      SignedText(all.effect), Between(all.interval),
                                      Bar(share, kBarWidth)};
    for (size_t d = 0; d < n_shown; ++d) cells.push_back(SignedText(branch.rows[1 + d].effect));
    table.AddRow(std::move(cells));
  }
  return table.Format();
}

// White where nothing changes, red where the loss grows, blue where it falls.
std::string Heat(const std::string& text, double share) {
  const int pale = static_cast<int>(std::lround(255 - 150 * std::min(1.0, std::abs(share))));
  const int red = share > 0 ? 255 : pale, blue = share > 0 ? pale : 255;
  return fmt::format("\x1b[48;2;{};{};{}m\x1b[30m{}\x1b[0m", red, pale, blue, text);
}

std::string HeatTable(const std::vector<Branch>& branches, const RoutedModel& model, double largest,
                      const TerminalStyle& style) {
  std::map<std::pair<int, int>, double> effects;
  std::set<int> layers, experts;
  for (const Branch& branch : branches) {
    const Place place(*branch.intervention, model);
    effects[{*place.layer, *place.expert}] = branch.all().effect;
    layers.insert(*place.layer);
    experts.insert(*place.expert);
  }
  TextTable table;
  table.AddColumn("layer");
  for (int expert : experts) table.AddColumn(fmt::format("e{}", expert));
  for (int layer : layers) {
    std::vector<std::string> cells = {fmt::format("{}", layer)};
    for (int expert : experts) {
      const auto found = effects.find({layer, expert});
      if (found == effects.end()) {
        cells.emplace_back("-");
        continue;
      }
      const std::string text = fmt::format("{:>7}", SignedText(found->second));
      const double share = largest > 0 ? found->second / largest : 0;
      cells.push_back(style.colour ? Heat(text, share) : text);
    }
    table.AddRow(std::move(cells));
  }
  return table.Format();
}

// Of many data sets: their effects line by line, the branches as columns.
std::string DatasetTable(const std::vector<Branch>& branches, const RoutedModel& model) {
  TextTable table;
  table.AddColumn("effect by data set", TextTable::Align::kLeft);
  for (const Branch& branch : branches) {
    const Place place(*branch.intervention, model);
    table.AddColumn(place.expert ? fmt::format("e{}", *place.expert) : place.layers);
  }
  for (size_t d = 1; d < branches.front().rows.size(); ++d) {
    std::vector<std::string> cells = {Printable(branches.front().rows[d].dataset)};
    for (const Branch& branch : branches) cells.push_back(SignedText(branch.rows[d].effect));
    table.AddRow(std::move(cells));
  }
  return table.Format();
}

std::string ModeText(std::vector<Branch> branches, const RoutedModel& model,
                     const TerminalStyle& style) {
  const double largest = LargestEffect(branches);
  const bool all_cells = std::all_of(branches.begin(), branches.end(), [&](const Branch& branch) {
    return Place(*branch.intervention, model).is_cell();
  });
  const bool fits = 9 * model.router.n_experts + 8 <= style.width;
  if (!all_cells || branches.size() <= kMostLines) {
    const bool by_dataset =
        branches.front().rows.size() > kMostDatasetColumns + 1 && branches.size() <= kMostLines;
    return LinesTable(branches, model, largest) +
           (by_dataset ? "\n" + DatasetTable(branches, model) : "");
  }
  std::string text;
  if (fits) text = HeatTable(branches, model, largest, style) + "\n";
  std::stable_sort(branches.begin(), branches.end(), [](const Branch& a, const Branch& b) {
    return a.all().effect > b.all().effect;
  });
  const size_t n = branches.size();
  branches.resize(std::min(n, kMostLines));
  return text + fmt::format("The {} largest of {}\n\n", branches.size(), n) +
         LinesTable(branches, model, largest);
}

std::string BaselineText(std::span<const AblationRow> rows) {
  TextTable table;
  table.AddColumn("data set", TextTable::Align::kLeft);
  for (const char* heading : {"units", "predictions", "loss", "perplexity"}) {
    table.AddColumn(heading);
  }
  for (const AblationRow& row : rows) {
    table.AddRow({row.dataset.empty() ? "all together" : Printable(row.dataset),
                  FormatCount(static_cast<uint64_t>(row.n_units)),
                  FormatCount(static_cast<uint64_t>(row.predictions)),
                  RealText(row.baseline_loss, 4), RealText(std::exp(row.baseline_loss), 2)});
  }
  return table.Format();
}

}  // namespace

std::string PlaceText(const Intervention& intervention, const RoutedModel& model) {
  const Place place(intervention, model);
  const std::string in = place.layers == "all" ? "all layers"
                         : place.layer         ? "layer " + place.layers
                                               : "layers " + place.layers;
  if (place.expert) return fmt::format("expert {}, {}", *place.expert, in);
  if (routing::NamesExperts(intervention.mode) && intervention.cells.front().expert >= 0) {
    return routing::FormatCells(intervention.cells, model);
  }
  return in;
}

FigureTable AblationFigure(const std::vector<AblationRow>& rows,
                           const std::vector<Intervention>& interventions,
                           const RoutedModel& model) {
  FigureTable table;
  table.figure = "ablation";
  table.columns = {"layers",        "layer",       "expert",       "mode",           "dataset",
                   "baseline_loss", "loss",        "effect",       "effect_low",     "effect_high",
                   "units",         "predictions", "intervention", "why_no_interval"};
  const auto integer = [](const std::optional<int>& value) {
    return value ? study::Cell(int64_t{*value}) : study::Cell();
  };
  for (const AblationRow& row : rows) {
    const Intervention& intervention = interventions[static_cast<size_t>(row.branch)];
    const Place place(intervention, model);
    table.rows.push_back({place.layers, integer(place.layer), integer(place.expert),
                          routing::FormatMode(intervention), TextOrNull(row.dataset),
                          Number(row.baseline_loss), Number(row.loss), Number(row.effect),
                          Low(row.interval), High(row.interval), row.n_units, row.predictions,
                          routing::FormatIntervention(intervention, model),
                          TextOrNull(row.why_no_interval)});
  }
  return table;
}

std::string AblationText(const std::vector<AblationRow>& rows,
                         const std::vector<Intervention>& interventions, const RoutedModel& model,
                         const TerminalStyle& style) {
  const std::vector<Branch> branches = BranchesOf(rows, interventions);
  std::string text =
      "Loss in nats a predicted token. effect: what the intervention adds to it; its interval "
      "pairs\n"
      "the losses of the same units.\n\nThe model as it is\n\n" +
      BaselineText(branches.front().rows);
  for (size_t begin = 0; begin < branches.size();) {
    const std::string mode = routing::FormatMode(*branches[begin].intervention);
    size_t end = begin;
    while (end < branches.size() && routing::FormatMode(*branches[end].intervention) == mode) ++end;
    text += fmt::format("\nMode {}\n\n{}", Printable(mode),
                        ModeText({branches.begin() + static_cast<ptrdiff_t>(begin),
                                  branches.begin() + static_cast<ptrdiff_t>(end)},
                                 model, style));
    begin = end;
  }
  std::vector<AblationRow> named(branches.front().rows.begin() + 1, branches.front().rows.end());
  const std::string why = WhyLines(named);
  return why.empty() ? text : text + "\n" + why;
}

}  // namespace moescope::study
