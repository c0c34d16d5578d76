#include "study/figures/esft_figure.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

const char* ScoreName(EsftScore score) {
  return score == EsftScore::kToken ? "token" : "gate";
}

double RoundedScore(const EsftLayer& layer, int expert) {
  return static_cast<double>(layer.rounded[static_cast<size_t>(expert)]) / kEsftUnitsPerOne;
}

// "3 (0.1204)  17 (0.0833)"
std::string SelectedText(const EsftLayer& layer) {
  std::string text;
  for (int expert : layer.selected) {
    text +=
        fmt::format("{}{} ({:.4f})", text.empty() ? "" : "  ", expert, RoundedScore(layer, expert));
  }
  return text;
}

}  // namespace

FigureTable EsftFigure(const std::vector<EsftLayer>& layers, EsftScore score, double share) {
  FigureTable table;
  table.figure = "esft";
  table.about = {{"score", ScoreName(score)}, {"p", share}};
  table.columns = {"layer", "expert", "score", "rounded_score", "rank", "tokens"};
  for (const EsftLayer& layer : layers) {
    for (size_t expert = 0; expert < layer.scores.size(); ++expert) {
      const auto at =
          std::find(layer.selected.begin(), layer.selected.end(), static_cast<int>(expert));
      const bool is_selected = at != layer.selected.end();
      table.rows.push_back(
          {int64_t{layer.layer}, static_cast<int64_t>(expert), Number(layer.scores[expert]),
           RoundedScore(layer, static_cast<int>(expert)),
           is_selected ? Cell(int64_t{at - layer.selected.begin()}) : Cell(), layer.n_tokens});
    }
  }
  return table;
}

std::string EsftText(const std::vector<EsftLayer>& layers, EsftScore score, double share,
                     const TerminalStyle&) {
  size_t n_selected = 0;
  TextTable table;
  table.AddColumn("layer");
  table.AddColumn("experts");
  table.AddColumn("best first, with their scores", TextTable::Align::kLeft);
  for (const EsftLayer& layer : layers) {
    n_selected += layer.selected.size();
    table.AddRow({fmt::format("{}", layer.layer), fmt::format("{}", layer.selected.size()),
                  SelectedText(layer)});
  }
  const double mean = static_cast<double>(n_selected) / static_cast<double>(layers.size());
  return fmt::format(
      "Experts to train: the fewest of each layer whose {} scores reach {} together, from {} "
      "tokens.\n{:.2f} of {} a layer. --json prints the file that ESFT's scripts read.\n\n{}",
      ScoreName(score), share, FormatCount(static_cast<uint64_t>(layers.front().n_tokens)), mean,
      layers.front().scores.size(), table.Format());
}

}  // namespace moescope::study
