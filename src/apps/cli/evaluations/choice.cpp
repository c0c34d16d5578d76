// moescope eval choice: questions with given answers, by likelihood.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "apps/cli/evaluations/evaluation.h"
#include "base/error.h"
#include "base/units.h"
#include "lab/eval/multiple_choice.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "text/document.h"

namespace moescope::cli {
namespace {

struct ChoiceCommand {
  ModelOptions model;
  ReportOptions report;
  std::vector<std::string> data;
  std::string shape, dev, description;
  int few_shot = 0;
  int64_t limit = 0;
};

struct TaskResult {
  std::string dataset;
  lab::ChoiceTask task;
  lab::ChoiceResults results;
  study::Accuracy accuracy, accuracy_norm;
};

study::Accuracy Measure(const TaskResult& task, bool norm, const study::BootstrapOptions& bootstrap,
                        ThreadPool& pool) {
  std::vector<study::Answered> items;
  for (size_t i = 0; i < task.results.items.size(); ++i) {
    const lab::ItemResult& item = task.results.items[i];
    items.push_back({.unit = task.task.items[i].unit,
                     .correct = (norm ? item.chosen_norm : item.chosen) == item.answer,
                     .chance = 1.0 / static_cast<double>(item.choices.size())});
  }
  return study::MeasureAccuracy(items, task.dataset, bootstrap, pool);
}

study::FigureTable TableOf(const std::vector<TaskResult>& tasks, int few_shot) {
  study::FigureTable table;
  table.figure = "eval choice";
  table.about = {{"few_shot", int64_t{few_shot}}};
  table.columns = {"dataset",        "task",
                   "task_hash",      "items",
                   "units",          "acc",
                   "acc_low",        "acc_high",
                   "acc_norm",       "acc_norm_low",
                   "acc_norm_high",  "chance",
                   "acc_at_chance",  "acc_norm_at_chance",
                   "interval",       "cut_items",
                   "why_no_interval"};
  for (const TaskResult& task : tasks) {
    const study::Accuracy &acc = task.accuracy, &norm = task.accuracy_norm;
    table.rows.push_back({task.dataset, task.task.shape, task.task.hash, acc.n_items, acc.n_units,
                          acc.share, study::Low(acc.interval), study::High(acc.interval),
                          norm.share, study::Low(norm.interval), study::High(norm.interval),
                          acc.chance, int64_t{acc.at_chance}, int64_t{norm.at_chance}, acc.method,
                          task.results.n_cut, study::TextOrNull(acc.why_no_interval)});
  }
  return table;
}

std::string TextOf(const std::vector<TaskResult>& tasks, int few_shot) {
  study::TextTable table;
  for (const char* heading : {"data set", "task"}) {
    table.AddColumn(heading, study::TextTable::Align::kLeft);
  }
  for (const char* heading : {"items", "chance"}) table.AddColumn(heading);
  for (const char* heading : {"acc", "acc_norm"}) {
    table.AddColumn(heading, study::TextTable::Align::kLeft);
  }
  std::vector<std::pair<std::string, std::string>> reasons;
  int64_t n_cut = 0;
  for (const TaskResult& task : tasks) {
    table.AddRow({study::Printable(task.dataset), task.task.shape,
                  FormatCount(static_cast<uint64_t>(task.accuracy.n_items)),
                  study::Percent(task.accuracy.chance) + " %", AccuracyText(task.accuracy),
                  AccuracyText(task.accuracy_norm)});
    reasons.emplace_back(task.dataset, task.accuracy.why_no_interval);
    n_cut += task.results.n_cut;
  }
  std::string text = fmt::format(
      "acc: the choice of the largest log-likelihood is right; acc_norm: of the largest\n"
      "log-likelihood per byte of the choice. {}-shot. At chance: within 2 standard errors of "
      "it.\n\n",
      few_shot);
  text += table.Format();
  const std::string why = study::WhyText(reasons);
  if (!why.empty()) text += "\n" + why;
  if (n_cut > 0) {
    text += fmt::format("{} items are longer than the context: their beginning is cut\n", n_cut);
  }
  return text;
}

std::vector<store::ResultTable> ItemsOf(const std::vector<TaskResult>& tasks) {
  using store::ColumnType;
  store::ResultTable items{.name = "items",
                           .columns = {{"item", ColumnType::kInt64},
                                       {"dataset", ColumnType::kText},
                                       {"task", ColumnType::kText},
                                       {"source", ColumnType::kText},
                                       {"unit", ColumnType::kText},
                                       {"choices", ColumnType::kInt64},
                                       {"answer", ColumnType::kInt64},
                                       {"chosen", ColumnType::kInt64},
                                       {"chosen_norm", ColumnType::kInt64},
                                       {"correct", ColumnType::kBool},
                                       {"correct_norm", ColumnType::kBool},
                                       {"cut", ColumnType::kBool}},
                           .rows = {}};
  store::ResultTable choices{.name = "choices",
                             .columns = {{"item", ColumnType::kInt64},
                                         {"choice", ColumnType::kInt64},
                                         {"log_likelihood", ColumnType::kFloat},
                                         {"tokens", ColumnType::kInt64},
                                         {"bytes", ColumnType::kInt64},
                                         {"greedy", ColumnType::kBool}},
                             .rows = {}};
  for (const TaskResult& task : tasks) {
    for (size_t i = 0; i < task.results.items.size(); ++i) {
      const lab::ItemResult& item = task.results.items[i];
      const auto number = static_cast<int64_t>(items.rows.size());
      items.rows.push_back({number, task.dataset, task.task.shape, task.task.items[i].where,
                            task.task.items[i].unit, static_cast<int64_t>(item.choices.size()),
                            int64_t{item.answer}, int64_t{item.chosen}, int64_t{item.chosen_norm},
                            int64_t{item.chosen == item.answer},
                            int64_t{item.chosen_norm == item.answer}, int64_t{item.was_cut}});
      for (size_t c = 0; c < item.choices.size(); ++c) {
        const lab::ScoredChoice& choice = item.choices[c];
        choices.rows.push_back({number, static_cast<int64_t>(c), choice.log_likelihood,
                                int64_t{choice.n_tokens}, choice.n_bytes,
                                int64_t{choice.is_greedy}});
      }
    }
  }
  return {items, choices};
}

void Run(const ChoiceCommand& options) {
  // Files first: a bad line is found before a model is opened.
  std::vector<TaskResult> tasks;
  std::vector<text::DataSpec> data;
  std::string hashes;
  for (const std::string& argument : options.data) {
    data.push_back(text::ParseDataSpec(argument));
    TaskResult& task = tasks.emplace_back();
    // Documents are never CSV, so their names keep this ending.
    std::string& name = data.back().name;
    if (name.size() > 4 && name.ends_with(".csv")) name.resize(name.size() - 4);
    task.dataset = name;
    task.task = lab::ReadChoiceTask(data.back().path, options.shape);
    hashes += (hashes.empty() ? "" : " ") + task.task.hash;
  }
  std::optional<lab::ChoiceTask> dev;
  if (!options.dev.empty()) dev = lab::ReadChoiceTask(options.dev, options.shape);
  lab::EvalModel model(options.model.model, EvalOptionsOf(options.model, options.report));
  const lab::ChoiceOptions wanted{
      .few_shot = {.n = options.few_shot, .seed = options.report.bootstrap.seed},
      .examples = dev ? &*dev : nullptr,
      .description = options.description,
      .bos = !options.model.no_bos,
      .limit = options.limit};
  lab::ScoreCost cost;
  for (TaskResult& task : tasks) {
    task.results = lab::RunChoices(model, task.task, wanted);
    cost.n_rows += task.results.cost.n_rows;
    cost.n_waves += task.results.cost.n_waves;
    cost.flops += task.results.cost.flops;
    cost.seconds += task.results.cost.seconds;
    task.accuracy = Measure(task, false, options.report.bootstrap, model.pool);
    task.accuracy_norm = Measure(task, true, options.report.bootstrap, model.pool);
  }
  text::SequencePolicy policy;
  policy.bos = options.model.no_bos ? text::BosPolicy::kNone : text::BosPolicy::kDocument;
  PrintEval(options.report, DescribeEval(model, data, policy, model.config().context), cost,
            {.table = TableOf(tasks, options.few_shot),
             .text = TextOf(tasks, options.few_shot),
             .items = ItemsOf(tasks),
             .about = {{"evaluation", "choice"},
                       {"task_hash", hashes},
                       {"few_shot", int64_t{options.few_shot}},
                       {"description", options.description}}});
}

}  // namespace

std::function<void()> AddEvalChoice(CLI::App& app) {
  auto options = std::make_shared<ChoiceCommand>();
  AddModelOptions(app, options->model);
  app.add_option("--data", options->data,
                 "NAME=PATH, repeatable: .csv (mmlu) or .jsonl, also .gz .xz .zst")
      ->required();
  app.add_option("--task", options->shape,
                 "shape of the files: " + lab::ChoiceShapes() + " (default: told by their fields)");
  app.add_option("--few-shot", options->few_shot, "solved examples before each question")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_option("--dev", options->dev,
                 "file of examples, in the same shape (default: the task's own other items)");
  app.add_option("--description", options->description, "text before everything");
  app.add_option("--limit", options->limit, "only so many items from the start")
      ->check(CLI::PositiveNumber);
  AddReportOptions(app, options->report);
  return [options] { Run(*options); };
}

}  // namespace moescope::cli
