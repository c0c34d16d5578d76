// moescope eval passkey: a key in a long text, by length and depth, with controls.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/evaluations/evaluation.h"
#include "base/units.h"
#include "lab/eval/passkey.h"
#include "study/analysis/proportion.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"

namespace moescope::cli {
namespace {

using lab::PasskeyCondition;
using lab::PasskeyTrial;

struct PasskeyCommand {
  ModelOptions model;
  ReportOptions report;
  lab::PasskeyOptions passkey;
  int training_context = 0;  // 0: the model's
};

// All keys of one length, depth and condition.
struct Cell {
  int length = 0;
  double depth = 0;
  PasskeyCondition condition = PasskeyCondition::kKey;
  int64_t n = 0, exact = 0, took_decoy = 0;

  double share() const { return static_cast<double>(exact) / static_cast<double>(n); }
  std::optional<study::Interval> interval() const { return study::WilsonInterval(exact, n); }
};

std::vector<Cell> CellsOf(const std::vector<PasskeyTrial>& trials, int n_keys) {
  constexpr size_t kConditions = 3;
  const size_t per_cell = kConditions * static_cast<size_t>(n_keys);
  std::vector<Cell> cells;
  for (size_t i = 0; i < trials.size(); ++i) {
    const PasskeyTrial& trial = trials[i];
    const size_t place = i / per_cell * kConditions + i % kConditions;
    if (place >= cells.size()) {
      cells.push_back({.length = trial.length, .depth = trial.depth, .condition = trial.condition});
    }
    Cell& cell = cells[place];
    ++cell.n;
    cell.exact += trial.exact;
    cell.took_decoy += trial.took_decoy;
  }
  return cells;
}

study::FigureTable TableOf(const std::vector<Cell>& cells, const lab::PasskeyOptions& options,
                           int training_context) {
  study::FigureTable table;
  table.figure = "eval passkey";
  table.about = {{"keys", int64_t{options.n_keys}},
                 {"digits", int64_t{options.n_digits}},
                 {"training_context", int64_t{training_context}}};
  table.columns = {
      "length",    "depth",      "condition",        "keys",           "exact", "share",
      "share_low", "share_high", "took_decoy_share", "beyond_training"};
  for (const Cell& cell : cells) {
    const bool decoy = cell.condition == PasskeyCondition::kDecoy;
    table.rows.push_back(
        {int64_t{cell.length}, cell.depth, std::string(lab::Name(cell.condition)), cell.n,
         cell.exact, cell.share(), study::Low(cell.interval()), study::High(cell.interval()),
         decoy ? study::Cell(static_cast<double>(cell.took_decoy) / static_cast<double>(cell.n))
               : study::Cell(),
         int64_t{cell.length > training_context}});
  }
  return table;
}

std::string TextOf(const std::vector<Cell>& cells, const lab::PasskeyOptions& options,
                   int training_context) {
  study::TextTable table;
  table.AddColumn("length");
  table.AddColumn("depth");
  table.AddColumn("right", study::TextTable::Align::kLeft);
  table.AddColumn("without a key", study::TextTable::Align::kLeft);
  table.AddColumn("beside a decoy", study::TextTable::Align::kLeft);
  table.AddColumn("decoy taken");
  table.AddColumn("", study::TextTable::Align::kLeft);
  for (size_t i = 0; i + 2 < cells.size(); i += 3) {
    std::vector<std::string> row = {std::to_string(cells[i].length),
                                    study::RealText(cells[i].depth, 2)};
    for (size_t c = 0; c < 3; ++c) {
      row.push_back(study::Percent(cells[i + c].share()) + " % " +
                    study::PercentInterval(cells[i + c].interval()));
    }
    const Cell& decoy = cells[i + 2];
    row.push_back(
        study::Percent(static_cast<double>(decoy.took_decoy) / static_cast<double>(decoy.n)) +
        " %");
    row.push_back(cells[i].length > training_context ? "beyond training" : "");
    table.AddRow(std::move(row));
  }
  return fmt::format(
             "{} keys a cell, {} digits each, answered greedily; Wilson's intervals. "
             "Lengths in tokens,\nprompt and answer together; depth 0 is the beginning.\n\n",
             options.n_keys, options.n_digits) +
         table.Format();
}

store::ResultTable ItemsOf(const std::vector<PasskeyTrial>& trials) {
  using store::ColumnType;
  store::ResultTable items{.name = "items",
                           .columns = {{"item", ColumnType::kInt64},
                                       {"length", ColumnType::kInt64},
                                       {"depth", ColumnType::kFloat},
                                       {"condition", ColumnType::kText},
                                       {"key", ColumnType::kText},
                                       {"decoy", ColumnType::kText},
                                       {"key_position", ColumnType::kInt64},
                                       {"tokens", ColumnType::kInt64},
                                       {"tokens_right", ColumnType::kInt64},
                                       {"correct", ColumnType::kBool},
                                       {"took_decoy", ColumnType::kBool}},
                           .rows = {}};
  for (const PasskeyTrial& trial : trials) {
    const bool decoy = trial.condition == PasskeyCondition::kDecoy;
    items.rows.push_back({static_cast<int64_t>(items.rows.size()), int64_t{trial.length},
                          trial.depth, std::string(lab::Name(trial.condition)), trial.key,
                          decoy ? store::Value(trial.decoy) : store::Value(), trial.key_position,
                          int64_t{trial.n_tokens}, int64_t{trial.n_right}, int64_t{trial.exact},
                          decoy ? store::Value(int64_t{trial.took_decoy}) : store::Value()});
  }
  return items;
}

void Run(PasskeyCommand options) {
  lab::PasskeyOptions& passkey = options.passkey;
  passkey.seed = options.report.bootstrap.seed;
  passkey.bos = !options.model.no_bos;
  lab::EvalModel model(options.model.model, EvalOptionsOf(options.model, options.report));
  const int context =
      options.training_context > 0 ? options.training_context : model.config().context;
  if (passkey.lengths.empty()) {
    for (int length = std::max(16, context / 4); length <= context; length *= 2) {
      passkey.lengths.push_back(length);
    }
  }
  const lab::Passkeys result = lab::RunPasskeys(model, passkey);
  const std::vector<Cell> cells = CellsOf(result.trials, passkey.n_keys);
  text::SequencePolicy policy;
  policy.bos = passkey.bos ? text::BosPolicy::kDocument : text::BosPolicy::kNone;
  const lab::PasskeyText& text = passkey.text;
  PrintEval(options.report, DescribeEval(model, {}, policy, passkey.lengths.back()), result.cost,
            {.table = TableOf(cells, passkey, context),
             .text = TextOf(cells, passkey, context),
             .items = {ItemsOf(result.trials)},
             .about = {{"evaluation", "passkey"},
                       {"keys", int64_t{passkey.n_keys}},
                       {"digits", int64_t{passkey.n_digits}},
                       {"intro", text.intro},
                       {"filler", text.filler},
                       {"needle", text.needle},
                       {"decoy", text.decoy},
                       {"question", text.question},
                       {"answer", text.answer}}});
}

}  // namespace

std::function<void()> AddEvalPasskey(CLI::App& app) {
  auto options = std::make_shared<PasskeyCommand>();
  lab::PasskeyOptions& passkey = options->passkey;
  passkey.depths = {0, 0.25, 0.5, 0.75, 1};
  AddModelOptions(app, options->model);
  app.add_option("--lengths", passkey.lengths,
                 "tokens of prompt and answer, as 1024,4096 (default: a quarter, half, all of the "
                 "training context)")
      ->delimiter(',');
  app.add_option("--training-context", options->training_context,
                 "lengths beyond it are marked (default: the model's context)")
      ->check(CLI::PositiveNumber);
  app.add_option("--depths", passkey.depths, "where the key stands, 0 to 1")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--keys", passkey.n_keys, "keys of each cell, at least 20")->capture_default_str();
  app.add_option("--digits", passkey.n_digits, "of a key, all different, 1 to 5")
      ->capture_default_str();
  app.add_option("--intro", passkey.text.intro, "text at the beginning");
  app.add_option("--filler", passkey.text.filler, "text that is repeated around the key");
  app.add_option("--needle", passkey.text.needle, "what says the key, {key} in it");
  app.add_option("--decoy", passkey.text.decoy, "what says another number, {key} in it");
  app.add_option("--question", passkey.text.question, "text at the end");
  app.add_option("--answer", passkey.text.answer, "what must follow, {key} in it");
  AddReportOptions(app, options->report);
  return [options] { Run(*options); };
}

}  // namespace moescope::cli
