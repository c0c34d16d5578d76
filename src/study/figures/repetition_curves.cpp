#include "study/figures/repetition_curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/figures/line_plot.h"
#include "study/figures/number_text.h"
#include "study/figures/palette.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;

// One of the two statistics of a cell, with its nulls.
struct Statistic {
  const char* title;
  double RepetitionCell::*value;
  double NullRepetition::*null;
};
constexpr Statistic kStatistics[] = {
    {"Same first choice", &RepetitionCell::first_repeat, &NullRepetition::first_repeat},
    {"A common expert among those chosen", &RepetitionCell::any_overlap,
     &NullRepetition::any_overlap}};

// Cells of one line: a data set over layers, or a data set and layer over lags.
using Line = std::vector<const RepetitionCell*>;

template <typename Same>
std::vector<Line> GroupCells(const std::vector<RepetitionCell>& cells, Same&& same) {
  std::vector<Line> lines;
  for (const RepetitionCell& cell : cells) {
    if (lines.empty() || !same(*lines.back().back(), cell)) lines.emplace_back();
    lines.back().push_back(&cell);
  }
  return lines;
}

std::string Sparks(const std::vector<double>& values) {
  double low = 1, high = 0;
  for (double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value), high = std::max(high, value);
  }
  std::string text;
  for (double value : values) {
    const double share = high > low ? (value - low) / (high - low) : 1;
    text += std::isfinite(value) ? Spark(std::max(share, 1e-6)) : " ";
  }
  return text;
}

std::string ColouredName(const std::string& name, int line, const TerminalStyle& style) {
  if (!style.colour) return Printable(name);
  const Colour colour = ExpertColour(line);
  return fmt::format("\x1b[38;2;{};{};{}m{}\x1b[0m", colour.red, colour.green, colour.blue,
                     Printable(name));
}

std::vector<double> MeanMarginal(const std::vector<Line>& lines, const Statistic& statistic) {
  std::vector<double> means(lines.front().size());
  for (size_t i = 0; i < means.size(); ++i) {
    double sum = 0;
    int n = 0;
    for (const Line& line : lines) {
      const double value = line[i]->marginal.*statistic.null;
      if (std::isfinite(value)) sum += value, ++n;
    }
    means[i] = n > 0 ? sum / n : std::nan("");
  }
  return means;
}

std::string LayerPanel(const std::vector<Line>& lines, const Statistic& statistic,
                       const TerminalStyle& style) {
  std::vector<std::string> labels;
  for (const RepetitionCell* cell : lines.front()) labels.push_back(fmt::format("{}", cell->layer));
  const std::vector<double> even(labels.size(), lines.front().front()->uniform.*statistic.null);
  std::vector<PlotLine> plot = {{even, 0, true}, {MeanMarginal(lines, statistic), 0, true}};
  for (size_t l = 0; l < lines.size(); ++l) {
    PlotLine& line = plot.emplace_back();
    line.colour = static_cast<int>(l);
    for (const RepetitionCell* cell : lines[l]) line.values.push_back(cell->*statistic.value);
  }
  PlotSize size;
  size.width = std::clamp(style.width - 12, 30, 72);
  size.height = 12;
  return LinePlot(plot, labels, size, style.colour);
}

// Every layer where it fits, else the first, the highest, the lowest and the last.
std::string LayerNumbers(const std::vector<Line>& lines, const Statistic& statistic,
                         const TerminalStyle& style) {
  const size_t n_layers = lines.front().size();
  const bool every_layer = n_layers * 6 + 30 + n_layers <= static_cast<size_t>(style.width);
  TextTable table;
  table.AddColumn("data set", kLeft);
  table.AddColumn("by layer", kLeft);
  if (every_layer) {
    for (const RepetitionCell* cell : lines.front())
      table.AddColumn(fmt::format("L{}", cell->layer));
  } else {
    for (const char* heading : {"first", "last", "highest", "lowest"}) table.AddColumn(heading);
  }
  const auto add = [&](const std::string& name, const std::vector<double>& values) {
    std::vector<std::string> row = {name, Sparks(values)};
    if (every_layer) {
      for (double value : values) row.push_back(Percent(value));
    } else {
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      const auto at = [&](auto place) {
        return fmt::format("{} L{}", Percent(*place), lines.front()[place - values.begin()]->layer);
      };
      row.insert(row.end(), {at(values.begin()), at(values.end() - 1), at(high), at(low)});
    }
    table.AddRow(std::move(row));
  };
  for (size_t l = 0; l < lines.size(); ++l) {
    std::vector<double> values, marginal;
    for (const RepetitionCell* cell : lines[l]) {
      values.push_back(cell->*statistic.value);
      marginal.push_back(cell->marginal.*statistic.null);
    }
    add(ColouredName(lines[l].front()->dataset, static_cast<int>(l), style), values);
    add("  marginal null", marginal);
  }
  return table.Format();
}

}  // namespace

std::string RepetitionByLayerText(const std::vector<RepetitionCell>& cells,
                                  const TerminalStyle& style) {
  if (cells.empty()) return "";
  const auto lines = GroupCells(cells, [](const RepetitionCell& a, const RepetitionCell& b) {
    return a.dataset == b.dataset;
  });
  std::string text = fmt::format(
      "Repetition between tokens {} apart by layer, percent. Dashed: uniform choice, and two rows "
      "of the\ndata set (marginal null, averaged over data sets; each one's own is in the "
      "table).\n",
      cells.front().lag);
  for (const Statistic& statistic : kStatistics) {
    text += fmt::format("\n{} (uniform {})\n\n", statistic.title,
                        Percent(cells.front().uniform.*statistic.null));
    text += LayerPanel(lines, statistic, style) + "\n" + LayerNumbers(lines, statistic, style);
  }
  return text + "\n" + WhyLines(cells);
}

FigureTable RepetitionByLagFigure(const std::vector<RepetitionCell>& cells, bool differing_tokens) {
  FigureTable table = RepetitionFigure(cells, differing_tokens);
  table.figure = "lags";
  std::erase_if(table.about, [](const auto& entry) { return entry.first == "lag"; });
  return table;
}

std::string RepetitionByLagText(const std::vector<RepetitionCell>& cells,
                                const TerminalStyle& style) {
  if (cells.empty()) return "";
  const auto lines = GroupCells(cells, [](const RepetitionCell& a, const RepetitionCell& b) {
    return a.dataset == b.dataset && a.layer == b.layer;
  });
  // Powers of two stand for the rest where not all lags fit.
  std::vector<size_t> shown;
  const size_t n_lags = lines.front().size();
  const bool all_fit = n_lags * 6 + 60 <= static_cast<size_t>(std::max(style.width, 104));
  for (size_t i = 0; i < n_lags; ++i) {
    const int lag = lines.front()[i]->lag;
    if (all_fit || (lag & (lag - 1)) == 0) shown.push_back(i);
  }
  std::string text =
      "Repetition between tokens some distance (lag) apart, percent. Nulls: even (uniform choice), "
      "marg (two\nrows of the data set), shuf (rows shuffled in their sequence), token (what the "
      "same tokens get in\nother documents), the last two at the first lag.\n";
  for (const Statistic& statistic : kStatistics) {
    TextTable table;
    table.AddColumn("data set", kLeft);
    table.AddColumn("layer");
    table.AddColumn("by lag", kLeft);
    for (size_t i : shown) table.AddColumn(fmt::format("{}", lines.front()[i]->lag));
    for (const char* heading : {"even", "marg", "shuf", "token"}) table.AddColumn(heading);
    const std::string* previous = nullptr;
    for (const Line& line : lines) {
      const RepetitionCell& first = *line.front();
      const bool is_new = previous == nullptr || *previous != first.dataset;
      std::vector<double> values;
      for (const RepetitionCell* cell : line) values.push_back(cell->*statistic.value);
      std::vector<std::string> row = {is_new ? Printable(first.dataset) : "",
                                      fmt::format("{}", first.layer), Sparks(values)};
      for (size_t i : shown) row.push_back(Percent(values[i]));
      for (const NullRepetition* null :
           {&first.uniform, &first.marginal, &first.shuffle, &first.token}) {
        row.push_back(Percent(null->*statistic.null));
      }
      table.AddRow(std::move(row));
      previous = &first.dataset;
    }
    text += fmt::format("\n{}\n\n", statistic.title) + table.Format();
  }
  return text + "\n" + WhyLines(cells);
}

}  // namespace moescope::study
