#include "study/figures/diff_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/cells.h"
#include "study/figures/display_numbers.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;

std::string DatasetName(const std::string& dataset) {
  return dataset.empty() ? "all" : Printable(dataset);
}

// Small shares matter here: a run against itself is exactly 0, and one flip in 10,000 is not.
std::string SmallPercent(double share) {
  if (!std::isfinite(share)) return "-";
  return share == 0 ? "0" : fmt::format("{:.3g}", 100 * share);
}

std::string SmallPercentInterval(const std::optional<Interval>& interval) {
  if (!interval) return "-";
  return SmallPercent(interval->low) + " to " + SmallPercent(interval->high);
}

// Differences of kernels are far below what five digits show, and not zero.
std::string LossDifference(double difference) {
  constexpr double kShown = 5e-5;
  if (difference == 0) return "0";
  if (std::abs(difference) < kShown) return fmt::format("{:+.1e}", difference);
  return std::isfinite(difference) ? fmt::format("{:+.5f}", difference) : "-";
}

std::string LossInterval(const std::optional<Interval>& interval) {
  if (!interval) return "-";
  return LossDifference(interval->low) + " to " + LossDifference(interval->high);
}

std::string Margin(double margin) {
  return std::isfinite(margin) ? fmt::format("{:.4g}", margin) : "-";
}

std::string LargestChange(const DiffCell& cell) {
  if (cell.expert < 0) return "-";
  return fmt::format("e{} {} to {}", cell.expert, DisplayPercent(cell.share_a),
                     DisplayPercent(cell.share_b));
}

// Where most decisions changed.
int LayerOfMostChanges(const RunDiff& diff) {
  const DiffCell* most = &diff.cells.front();
  for (const DiffCell& cell : diff.cells) {
    if (cell.dataset.empty() && cell.set_change > most->set_change) most = &cell;
  }
  return most->layer;
}

std::string DecisionsText(const RunDiff& diff) {
  if (diff.cells.empty()) return "";
  // More lines than that no one reads: then only one layer is split by data set.
  constexpr size_t kMostLines = 40;
  const bool is_long = diff.cells.size() > kMostLines;
  const int split_layer = LayerOfMostChanges(diff);
  TextTable table;
  table.AddColumn("layer");
  table.AddColumn("data set", kLeft);
  for (const char* heading : {"decisions", "set changed, %", "95 %", "first, %", "saturation, %",
                              "none changes above", "margin if changed", "if kept"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("largest change of share", kLeft);
  int layer = -1;
  for (const DiffCell& cell : diff.cells) {
    const bool is_new = cell.layer != layer;
    layer = cell.layer;
    if (is_long && layer != split_layer && !cell.dataset.empty()) continue;
    if (is_new && !is_long) table.AddGap();
    constexpr size_t kMedian = 2;
    table.AddRow({is_new ? fmt::format("{}", layer) : "", DatasetName(cell.dataset),
                  FormatCount(cell.decisions), SmallPercent(cell.set_change),
                  SmallPercentInterval(cell.set_change_interval), SmallPercent(cell.first_change),
                  fmt::format("{:.5g}", 100 * cell.saturation), Margin(cell.largest_changed_margin),
                  Margin(cell.margin_changed[kMedian]), Margin(cell.margin_kept[kMedian]),
                  LargestChange(cell)});
  }
  return "Decisions of run B against run A. first: another first choice; saturation: share of A's "
         "experts that B chose too;\nmargins: run A's, medians of decisions that changed and of "
         "those that did not.\n\n" +
         table.Format() +
         (is_long ? "(by data set: the layer where most changed; --json, --csv and --layers show "
                    "the others)\n\n"
                  : "\n");
}

std::string SharesOnlyText(const RunDiff& diff) {
  if (diff.cells.empty()) return "";
  TextTable table;
  table.AddColumn("layer");
  table.AddColumn("data set", kLeft);
  table.AddColumn("largest change of share, %", kLeft);
  for (const DiffCell& cell : diff.cells) {
    table.AddRow({fmt::format("{}", cell.layer), DatasetName(cell.dataset), LargestChange(cell)});
  }
  return table.Format() + "\n";
}

std::string LossesText(const RunDiff& diff) {
  if (diff.losses.empty()) return "No losses in common.\n";
  TextTable table;
  table.AddColumn("data set", kLeft);
  for (const char* heading : {"loss A", "loss B", "B - A", "95 %", "predictions", "units"}) {
    table.AddColumn(heading);
  }
  for (const DiffLoss& loss : diff.losses) {
    table.AddRow({DatasetName(loss.dataset), DisplayReal(loss.loss_a, 4),
                  DisplayReal(loss.loss_b, 4), LossDifference(loss.difference),
                  LossInterval(loss.interval), FormatCount(loss.predictions),
                  FormatCount(loss.n_units)});
  }
  return "Mean loss in nats, of tokens that have one in both runs\n\n" + table.Format();
}

void AddQuantiles(const MarginQuantiles& quantiles, std::vector<Cell>& row) {
  for (double quantile : quantiles) row.push_back(Number(quantile));
}

}  // namespace

FigureTable DiffFigure(const RunDiff& diff) {
  FigureTable table;
  table.figure = "diff";
  table.about = {{"why_no_decisions", TextOrNull(diff.why_no_decisions)}};
  table.columns = {"layer", "dataset", "decisions", "sets_changed", "first_changed"};
  for (const char* name : {"set_change", "first_change", "router_saturation"}) {
    for (const char* suffix : {"", "_low", "_high"}) {
      table.columns.push_back(fmt::format("{}{}", name, suffix));
    }
  }
  for (const char* name : {"changed", "kept"}) {
    for (double q : kMarginQuantiles) {
      table.columns.push_back(fmt::format("margin_{}_p{:.0f}", name, 100 * q));
    }
  }
  for (const char* name : {"largest_changed_margin", "kept_below", "expert", "share_a", "share_b",
                           "units", "why_no_interval"}) {
    table.columns.emplace_back(name);
  }
  const bool compared = diff.why_no_decisions.empty();
  for (const DiffCell& cell : diff.cells) {
    std::vector<Cell>& row = table.rows.emplace_back();
    row = {int64_t{cell.layer}, TextOrNull(cell.dataset)};
    if (compared) {
      for (int64_t count : {cell.decisions, cell.sets_changed, cell.first_changed}) {
        row.emplace_back(count);
      }
      const auto add = [&](double value, const std::optional<Interval>& interval) {
        for (Cell part : {Number(value), Low(interval), High(interval)}) row.push_back(part);
      };
      add(cell.set_change, cell.set_change_interval);
      add(cell.first_change, cell.first_change_interval);
      add(cell.saturation, cell.saturation_interval);
      AddQuantiles(cell.margin_changed, row);
      AddQuantiles(cell.margin_kept, row);
      row.push_back(Number(cell.largest_changed_margin));
      row.push_back(Number(cell.kept_below));
    } else {
      constexpr size_t kLastColumns = 5;  // expert, shares, units, why
      row.resize(table.columns.size() - kLastColumns);
    }
    row.push_back(cell.expert < 0 ? Cell() : Cell(int64_t{cell.expert}));
    row.push_back(cell.expert < 0 ? Cell() : Number(cell.share_a));
    row.push_back(cell.expert < 0 ? Cell() : Number(cell.share_b));
    row.emplace_back(cell.n_units);
    row.push_back(TextOrNull(cell.why_no_interval));
  }
  NamedRows losses = {"losses",
                      {"dataset", "loss_a", "loss_b", "difference", "difference_low",
                       "difference_high", "predictions", "units", "why_no_interval"},
                      {}};
  for (const DiffLoss& loss : diff.losses) {
    losses.rows.push_back({TextOrNull(loss.dataset), Number(loss.loss_a), Number(loss.loss_b),
                           Number(loss.difference), Low(loss.interval), High(loss.interval),
                           loss.predictions, loss.n_units, TextOrNull(loss.why_no_interval)});
  }
  NamedRows shares = {"shares", {"layer", "dataset", "expert", "share_a", "share_b"}, {}};
  for (const DiffShare& share : diff.shares) {
    shares.rows.push_back({int64_t{share.layer}, TextOrNull(share.dataset), int64_t{share.expert},
                           Number(share.share_a), Number(share.share_b)});
  }
  table.more = {std::move(losses), std::move(shares)};
  return table;
}

std::string DiffText(const RunDiff& diff, const TerminalStyle&) {
  if (diff.why_no_decisions.empty()) return DecisionsText(diff) + LossesText(diff);
  return fmt::format("Decisions cannot be compared ({}); shares and losses can.\n\n",
                     diff.why_no_decisions) +
         SharesOnlyText(diff) + LossesText(diff);
}

std::string DiffStatementText(const Statement& a, const Statement& b, const TerminalStyle&) {
  const auto lines_a = StatementLines(a), lines_b = StatementLines(b);
  std::string text =
      fmt::format("{:<13} A: {}\n{:<13} B: {}\n", "runs", Printable(a.run), "", Printable(b.run));
  const auto value_of = [](const auto& lines, const std::string& label) {
    std::string values;
    for (const auto& [name, value] : lines) {
      if (name == label) values += (values.empty() ? "" : "; ") + value;
    }
    return values.empty() ? std::string("-") : values;
  };
  std::vector<std::string> labels;
  for (const auto* lines : {&lines_a, &lines_b}) {
    for (const auto& line : *lines) {
      if (std::find(labels.begin(), labels.end(), line.first) == labels.end()) {
        labels.push_back(line.first);
      }
    }
  }
  for (const std::string& label : labels) {
    const std::string x = Printable(value_of(lines_a, label)),
                      y = Printable(value_of(lines_b, label));
    // Arithmetic is why two runs of one model differ: both are named even where they agree.
    if (x == y && label != "arithmetic") {
      text += fmt::format("{:<13} {}\n", label, x);
    } else {
      text += fmt::format("{:<13} A: {}\n{:<13} B: {}\n", label, x, "", y);
    }
  }
  return text;
}

}  // namespace moescope::study
