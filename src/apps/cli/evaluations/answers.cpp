// moescope eval answers: questions answered by writing, right where the number at the end is.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "apps/cli/evaluations/evaluation.h"
#include "base/units.h"
#include "lab/eval/written_answers.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "text/document.h"

namespace moescope::cli {
namespace {

struct AnswersCommand {
  ModelOptions model;
  ReportOptions report;
  std::vector<std::string> data;
  std::string dev;
  lab::AnswerOptions answers;
};

struct TaskResult {
  std::string dataset;
  lab::AnswerTask task;
  lab::AnswerResults results;
  // Of the majority (with one answer: that one), after "####" and by the last number; and the mean
  // over single answers, where there are several.
  study::Accuracy strict, flexible;
  double mean_strict = 0, mean_flexible = 0;
};

template <typename IsRight>
study::Accuracy Measure(const TaskResult& task, const study::BootstrapOptions& bootstrap,
                        ThreadPool& pool, IsRight is_right) {
  std::vector<study::Answered> items;
  for (size_t i = 0; i < task.results.items.size(); ++i) {
    items.push_back(
        {.unit = task.task.items[i].unit, .correct = is_right(task.results.items[i]), .chance = 0});
  }
  return study::MeasureAccuracy(items, task.dataset, bootstrap, pool);
}

void Finish(TaskResult& task, const study::BootstrapOptions& bootstrap, ThreadPool& pool) {
  task.strict = Measure(task, bootstrap, pool,
                        [](const lab::AnswerResult& item) { return item.majority == item.number; });
  task.flexible = Measure(task, bootstrap, pool, [](const lab::AnswerResult& item) {
    return item.last_majority == item.number;
  });
  double n = 0;
  for (const lab::AnswerResult& item : task.results.items) {
    for (const lab::WrittenAnswer& answer : item.answers) {
      task.mean_strict += answer.number == item.number;
      task.mean_flexible += answer.last_number == item.number;
      ++n;
    }
  }
  task.mean_strict /= n;
  task.mean_flexible /= n;
}

study::FigureTable TableOf(const std::vector<TaskResult>& tasks,
                           const lab::AnswerOptions& options) {
  study::FigureTable table;
  table.figure = "eval answers";
  table.about = {{"few_shot", int64_t{options.few_shot.n}},
                 {"answers", int64_t{options.n_drawn}},
                 {"temperature", options.sampling.temperature},
                 {"max_tokens", int64_t{options.max_tokens}}};
  table.columns = {"dataset",
                   "task",
                   "task_hash",
                   "items",
                   "units",
                   "exact_match",
                   "exact_match_low",
                   "exact_match_high",
                   "last_number_match",
                   "last_number_match_low",
                   "last_number_match_high",
                   "mean_exact_match",
                   "mean_last_number_match",
                   "tokens_written",
                   "interval",
                   "why_no_interval"};
  for (const TaskResult& task : tasks) {
    const study::Accuracy &strict = task.strict, &flexible = task.flexible;
    table.rows.push_back({task.dataset, task.task.shape, task.task.hash, strict.n_items,
                          strict.n_units, strict.share, study::Low(strict.interval),
                          study::High(strict.interval), flexible.share,
                          study::Low(flexible.interval), study::High(flexible.interval),
                          task.mean_strict, task.mean_flexible, task.results.n_tokens,
                          strict.method, study::TextOrNull(strict.why_no_interval)});
  }
  return table;
}

std::string TextOf(const std::vector<TaskResult>& tasks, const lab::AnswerOptions& options) {
  const bool majority = options.n_drawn > 1;
  const std::string name =
      majority ? fmt::format("maj@{}", options.n_drawn) : std::string("exact match");
  study::TextTable table;
  table.AddColumn("data set", study::TextTable::Align::kLeft);
  table.AddColumn("items");
  table.AddColumn(name, study::TextTable::Align::kLeft);
  table.AddColumn("by the last number", study::TextTable::Align::kLeft);
  if (majority) table.AddColumn("single answers");
  table.AddColumn("tokens written");
  for (const TaskResult& task : tasks) {
    std::vector<std::string> row = {study::Printable(task.dataset),
                                    FormatCount(static_cast<uint64_t>(task.strict.n_items)),
                                    AccuracyText(task.strict), AccuracyText(task.flexible)};
    if (majority) row.push_back(study::Percent(task.mean_strict) + " %");
    row.push_back(FormatCount(static_cast<uint64_t>(task.results.n_tokens)));
    table.AddRow(std::move(row));
  }
  return fmt::format(
             "The number after \"####\" is the right one{}. {}-shot.\n\n",
             majority ? fmt::format(", by majority of {} drawn answers", options.n_drawn) : "",
             options.few_shot.n) +
         table.Format();
}

std::vector<store::ResultTable> ItemsOf(const std::vector<TaskResult>& tasks) {
  using store::ColumnType;
  store::ResultTable items{.name = "items",
                           .columns = {{"item", ColumnType::kInt64},
                                       {"dataset", ColumnType::kText},
                                       {"source", ColumnType::kText},
                                       {"unit", ColumnType::kText},
                                       {"number", ColumnType::kText},
                                       {"majority", ColumnType::kText},
                                       {"last_majority", ColumnType::kText},
                                       {"correct", ColumnType::kBool},
                                       {"last_correct", ColumnType::kBool}},
                           .rows = {}};
  store::ResultTable answers{.name = "answers",
                             .columns = {{"item", ColumnType::kInt64},
                                         {"answer", ColumnType::kInt64},
                                         {"text", ColumnType::kText},
                                         {"number", ColumnType::kText},
                                         {"last_number", ColumnType::kText},
                                         {"tokens", ColumnType::kInt64}},
                             .rows = {}};
  const auto or_null = [](const std::string& text) {
    return text.empty() ? store::Value() : store::Value(text);
  };
  for (const TaskResult& task : tasks) {
    for (size_t i = 0; i < task.results.items.size(); ++i) {
      const lab::AnswerResult& item = task.results.items[i];
      const auto number = static_cast<int64_t>(items.rows.size());
      items.rows.push_back({number, task.dataset, task.task.items[i].where, task.task.items[i].unit,
                            item.number, or_null(item.majority), or_null(item.last_majority),
                            int64_t{item.majority == item.number},
                            int64_t{item.last_majority == item.number}});
      for (size_t a = 0; a < item.answers.size(); ++a) {
        const lab::WrittenAnswer& answer = item.answers[a];
        answers.rows.push_back({number, static_cast<int64_t>(a), answer.text,
                                or_null(answer.number), or_null(answer.last_number),
                                answer.n_tokens});
      }
    }
  }
  return {items, answers};
}

void Run(AnswersCommand options) {
  std::vector<TaskResult> tasks;
  std::vector<text::DataSpec> data;
  std::string hashes;
  for (const std::string& argument : options.data) {
    data.push_back(text::ParseDataSpec(argument));
    TaskResult& task = tasks.emplace_back();
    task.dataset = data.back().name;
    task.task = lab::ReadAnswerTask(data.back().path);
    hashes += (hashes.empty() ? "" : " ") + task.task.hash;
  }
  std::optional<lab::AnswerTask> dev;
  if (!options.dev.empty()) dev = lab::ReadAnswerTask(options.dev);
  lab::AnswerOptions& answers = options.answers;
  answers.examples = dev ? &*dev : nullptr;
  answers.bos = !options.model.no_bos;
  answers.few_shot.seed = answers.sampling.seed = options.report.bootstrap.seed;
  lab::EvalModel model(options.model.model, EvalOptionsOf(options.model, options.report));
  lab::ScoreCost cost;
  for (TaskResult& task : tasks) {
    task.results = lab::RunAnswers(model, task.task, answers);
    cost.n_rows += task.results.n_tokens;
    cost.seconds += task.results.seconds;
    Finish(task, options.report.bootstrap, model.pool);
  }
  text::SequencePolicy policy;
  policy.bos = answers.bos ? text::BosPolicy::kDocument : text::BosPolicy::kNone;
  PrintEval(options.report, DescribeEval(model, data, policy, model.config().context), cost,
            {.table = TableOf(tasks, answers),
             .text = TextOf(tasks, answers),
             .items = ItemsOf(tasks),
             .about = {{"evaluation", "answers"},
                       {"task_hash", hashes},
                       {"few_shot", int64_t{answers.few_shot.n}},
                       {"answers", int64_t{answers.n_drawn}},
                       {"temperature", answers.sampling.temperature},
                       {"top_p", answers.sampling.top_p},
                       {"max_tokens", int64_t{answers.max_tokens}},
                       {"description", answers.description}}});
}

}  // namespace

std::function<void()> AddEvalAnswers(CLI::App& app) {
  auto options = std::make_shared<AnswersCommand>();
  lab::AnswerOptions& answers = options->answers;
  AddModelOptions(app, options->model);
  app.add_option("--data", options->data,
                 "NAME=PATH, repeatable: .jsonl of question and answer, which ends in '#### N'")
      ->required();
  app.add_option("--few-shot", answers.few_shot.n, "solved examples before each question")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_option("--dev", options->dev, "file of examples (default: the task's own other items)");
  app.add_option("--description", answers.description, "text before everything");
  app.add_option("--maj", answers.n_drawn, "answers drawn for each item; the majority counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--temperature", answers.sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  app.add_option("--top-p", answers.sampling.top_p,
                 "draw from the fewest tokens with this probability")
      ->capture_default_str();
  app.add_option("-n,--tokens", answers.max_tokens, "tokens of an answer at most")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--stop", answers.stop, "texts that end an answer, repeatable")
      ->capture_default_str();
  app.add_option("--limit", answers.limit, "only so many items from the start")
      ->check(CLI::PositiveNumber);
  AddReportOptions(app, options->report);
  return [options] { Run(*options); };
}

}  // namespace moescope::cli
