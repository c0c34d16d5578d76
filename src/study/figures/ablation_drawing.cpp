#include "study/figures/ablation_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/figures/cells.h"
#include "study/figures/number_text.h"

namespace moescope::study {
namespace {

using routing::Intervention;
using routing::RoutedModel;

// Rows of one mode in one data set, largest effect first.
struct Ranked {
  std::string mode, dataset;
  std::vector<const AblationRow*> rows;
};

const Intervention& Of(const AblationRow& row, const std::vector<Intervention>& interventions) {
  return interventions[static_cast<size_t>(row.branch)];
}

std::vector<Ranked> Rank(const std::vector<AblationRow>& rows,
                         const std::vector<Intervention>& interventions) {
  std::vector<Ranked> ranked;
  for (const AblationRow& row : rows) {
    const std::string mode = routing::FormatMode(Of(row, interventions));
    auto of = std::find_if(ranked.begin(), ranked.end(), [&](const Ranked& r) {
      return r.mode == mode && r.dataset == row.dataset;
    });
    if (of == ranked.end()) of = ranked.insert(ranked.end(), {mode, row.dataset, {}});
    of->rows.push_back(&row);
  }
  for (Ranked& of : ranked) {
    std::stable_sort(of.rows.begin(), of.rows.end(),
                     [](const AblationRow* a, const AblationRow* b) {
                       return std::abs(a->effect) > std::abs(b->effect);
                     });
  }
  return ranked;
}

Cell DatasetName(const AblationRow& row) {
  return row.dataset.empty() ? std::string(kAllTogether) : row.dataset;
}

void AddRow(const AblationRow& row, const Intervention& intervention, const RoutedModel& model,
            NamedRows& list) {
  list.rows.push_back({routing::FormatMode(intervention), DatasetName(row),
                       PlaceText(intervention, model), Number(row.baseline_loss), Number(row.loss),
                       Number(row.effect), Low(row.interval), High(row.interval),
                       routing::FormatIntervention(intervention, model)});
}

const std::vector<std::string> kColumns = {"mode",          "dataset",     "where",
                                           "baseline_loss", "loss",        "effect",
                                           "effect_low",    "effect_high", "intervention"};

std::string WithInterval(const AblationRow& row) {
  const std::string effect = RealText(row.effect, 4);
  return row.interval ? fmt::format("{} [{}, {}]", effect, RealText(row.interval->low, 4),
                                    RealText(row.interval->high, 4))
                      : effect;
}

}  // namespace

FigureTable AblationDrawing(const std::vector<AblationRow>& rows,
                            const std::vector<Intervention>& interventions,
                            const RoutedModel& model) {
  FigureTable table = AblationFigure(rows, interventions, model);
  const auto dataset = static_cast<size_t>(
      std::find(table.columns.begin(), table.columns.end(), "dataset") - table.columns.begin());
  for (size_t i = 0; i < rows.size(); ++i) table.rows[i][dataset] = DatasetName(rows[i]);
  NamedRows largest = {"largest", kColumns, {}}, by_dataset = {"by_dataset", kColumns, {}};
  // Rows of a branch lie side by side: all together, then each data set.
  const size_t n_of_branch = interventions.empty() ? 0 : rows.size() / interventions.size();
  for (const Ranked& ranked : Rank(rows, interventions)) {
    const size_t n = std::min(ranked.rows.size(), kMostDrawn);
    for (size_t i = 0; i < n; ++i) {
      const AblationRow& row = *ranked.rows[i];
      AddRow(row, Of(row, interventions), model, largest);
      if (!row.dataset.empty() || n_of_branch < 3) continue;
      for (size_t d = 1; d < n_of_branch; ++d) {
        const AblationRow& of_dataset = rows[static_cast<size_t>(row.branch) * n_of_branch + d];
        AddRow(of_dataset, Of(row, interventions), model, by_dataset);
      }
    }
  }
  table.more = {std::move(largest), std::move(by_dataset)};
  double most = 0;
  for (const AblationRow& row : rows) most = std::max(most, std::abs(row.effect));
  if (most == 0) most = 1;
  table.about = {{"scale_low", -most}, {"scale_high", most}};
  return table;
}

std::vector<std::string> AblationSentences(const std::vector<AblationRow>& rows,
                                           const std::vector<Intervention>& interventions,
                                           const RoutedModel& model) {
  std::vector<std::string> sentences;
  for (const Ranked& ranked : Rank(rows, interventions)) {
    if (!ranked.dataset.empty()) continue;
    const AblationRow& first = *ranked.rows.front();
    const std::string change =
        fmt::format("the loss goes from {} to {} nats a token, by {}.",
                    RealText(first.baseline_loss, 4), RealText(first.loss, 4), WithInterval(first));
    const std::string where = PlaceText(Of(first, interventions), model);
    if (ranked.rows.size() == 1) {
      sentences.push_back(fmt::format("Under {} ({}) {}", ranked.mode, where, change));
      continue;
    }
    const AblationRow& second = *ranked.rows[1];
    const AblationRow& median = *ranked.rows[ranked.rows.size() / 2];
    std::string sentence = fmt::format(
        "Under {}, {} has the largest effect: {} Next is {} with {}; the median of the {} is {}.",
        ranked.mode, where, change, PlaceText(Of(second, interventions), model),
        WithInterval(second), ranked.rows.size(), RealText(median.effect, 4));
    sentences.push_back(std::move(sentence));
  }
  return sentences;
}

}  // namespace moescope::study
