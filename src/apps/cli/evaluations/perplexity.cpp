// moescope eval perplexity: documents through overlapping windows, or the same tokens with more and
// less text before them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "apps/cli/evaluations/evaluation.h"
#include "apps/cli/text_options.h"
#include "base/units.h"
#include "lab/eval/perplexity.h"
#include "store/parquet_documents.h"
#include "study/analysis/perplexity.h"
#include "study/figures/cells.h"
#include "study/figures/number_text.h"

namespace moescope::cli {
namespace {

struct PerplexityCommand {
  std::shared_ptr<TextOptions> text;
  ReportOptions report;
  int window = 0, stride = 0;
  int training_context = 0;  // 0: the model's
  std::vector<int> lengths;
};

struct Row {
  study::PerplexityRow perplexity;
  int length = 0;
  bool beyond_training = false;
};

std::vector<Row> RowsOf(const lab::Perplexity& perplexity, const store::RunDescription& run,
                        int training_context, const study::BootstrapOptions& bootstrap,
                        ThreadPool& pool) {
  struct Sums {
    std::map<std::string, size_t> units;
    std::vector<double> values;
    int64_t documents = 0;
  };
  std::vector<std::string> datasets;  // in the order met
  std::map<std::pair<std::string, int32_t>, Sums> by_row;
  for (const lab::DocumentLoss& loss : perplexity.losses) {
    const lab::EvaluatedDocument& document =
        perplexity.documents[static_cast<size_t>(loss.document)];
    if (datasets.empty() || datasets.back() != document.dataset) {
      datasets.push_back(document.dataset);
    }
    Sums& sums = by_row[{document.dataset, loss.length}];
    const auto [unit, is_new] = sums.units.try_emplace(document.unit, sums.units.size());
    if (is_new) sums.values.resize(sums.values.size() + study::kUnitLossColumns);
    double* values = sums.values.data() + unit->second * study::kUnitLossColumns;
    const double with_bytes = loss.bytes > 0 ? loss.loss : 0;
    const double added[] = {static_cast<double>(loss.predictions), loss.loss, with_bytes,
                            static_cast<double>(loss.bytes)};
    for (int i = 0; i < study::kUnitLossColumns; ++i) values[i] += added[i];
    ++sums.documents;
  }
  std::vector<Row> rows;
  for (const std::string& dataset : datasets) {
    for (size_t l = 0; l < perplexity.lengths.size(); ++l) {
      const auto found = by_row.find({dataset, static_cast<int32_t>(l)});
      if (found == by_row.end()) continue;
      Row& row = rows.emplace_back();
      row.length = perplexity.lengths[l];
      row.beyond_training = row.length > training_context;
      row.perplexity.dataset = dataset;
      row.perplexity.documents = found->second.documents;
      study::FinishPerplexity(row.perplexity, found->second.values, run.UnitBy(dataset), bootstrap,
                              pool);
    }
  }
  return rows;
}

study::FigureTable TableOf(const std::vector<Row>& rows, const lab::Perplexity& perplexity,
                           bool same_targets, int training_context) {
  using study::Cell;
  using study::Low, study::High, study::Number;
  study::FigureTable table;
  table.figure = "eval perplexity";
  table.about = {{"stride", int64_t{perplexity.stride}},
                 {"same_targets", int64_t{same_targets}},
                 {"training_context", int64_t{training_context}},
                 {"documents_too_short", perplexity.n_too_short}};
  table.columns = {"dataset",
                   "length",
                   "beyond_training",
                   "documents",
                   "units",
                   "predictions",
                   "bytes",
                   "mean_loss",
                   "mean_loss_low",
                   "mean_loss_high",
                   "perplexity",
                   "perplexity_low",
                   "perplexity_high",
                   "bits_per_byte",
                   "bits_per_byte_low",
                   "bits_per_byte_high",
                   "why_no_interval"};
  for (const Row& row : rows) {
    const study::PerplexityRow& p = row.perplexity;
    table.rows.push_back(
        {p.dataset, int64_t{row.length}, int64_t{row.beyond_training}, p.documents, p.n_units,
         p.predictions, p.bytes, Number(p.mean_loss), Low(p.mean_loss_interval),
         High(p.mean_loss_interval), Number(p.perplexity), Low(p.perplexity_interval),
         High(p.perplexity_interval), Number(p.bits_per_byte), Low(p.bits_per_byte_interval),
         High(p.bits_per_byte_interval), study::TextOrNull(p.why_no_interval)});
  }
  return table;
}

std::string TextOf(const std::vector<Row>& rows, const lab::Perplexity& perplexity,
                   bool same_targets, int training_context) {
  using study::RealText;
  study::TextTable table;
  table.AddColumn("data set", study::TextTable::Align::kLeft);
  for (const char* heading : {same_targets ? "context" : "window", "documents", "predictions",
                              "loss/nats", "perplexity", "95 %", "bits/byte"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", study::TextTable::Align::kLeft);
  std::vector<std::pair<std::string, std::string>> reasons;
  for (const Row& row : rows) {
    const study::PerplexityRow& p = row.perplexity;
    table.AddRow({study::Printable(p.dataset), std::to_string(row.length),
                  FormatCount(static_cast<uint64_t>(p.documents)),
                  FormatCount(static_cast<uint64_t>(p.predictions)), RealText(p.mean_loss, 4),
                  RealText(p.perplexity, 3), study::IntervalText(p.perplexity_interval, 2),
                  RealText(p.bits_per_byte, 4), row.beyond_training ? "beyond training" : ""});
    reasons.emplace_back(p.dataset, p.why_no_interval);
  }
  std::string text =
      same_targets
          ? fmt::format("The same target tokens at every length: the last {} of each window.\n\n",
                        perplexity.stride)
          : fmt::format(
                "Windows of {} tokens; the last {} of each are scored, each token once.\n\n",
                perplexity.lengths.front(), perplexity.stride);
  text += table.Format();
  const std::string why = study::WhyText(reasons);
  if (!why.empty()) text += "\n" + why;
  if (perplexity.n_too_short > 0 && same_targets) {
    text +=
        fmt::format("{} documents of {} are shorter than {} tokens and left out\n",
                    perplexity.n_too_short, perplexity.documents.size(), perplexity.lengths.back());
  }
  if (perplexity.lengths.back() > training_context) {
    text += fmt::format("beyond training: more than the {} tokens of training\n", training_context);
  }
  return text;
}

store::ResultTable ItemsOf(const lab::Perplexity& perplexity) {
  using store::ColumnType;
  store::ResultTable items{.name = "items",
                           .columns = {{"document", ColumnType::kInt64},
                                       {"dataset", ColumnType::kText},
                                       {"source", ColumnType::kText},
                                       {"unit", ColumnType::kText},
                                       {"length", ColumnType::kInt64},
                                       {"predictions", ColumnType::kInt64},
                                       {"bytes", ColumnType::kInt64},
                                       {"loss", ColumnType::kFloat}},
                           .rows = {}};
  for (const lab::DocumentLoss& loss : perplexity.losses) {
    const auto& document = perplexity.documents[static_cast<size_t>(loss.document)];
    items.rows.push_back({int64_t{loss.document}, document.dataset, document.source, document.unit,
                          int64_t{perplexity.lengths[static_cast<size_t>(loss.length)]},
                          loss.predictions, loss.bytes, loss.loss});
  }
  return items;
}

void Run(const PerplexityCommand& options) {
  const TextOptions& text = *options.text;
  lab::EvalModel model(text.model, EvalOptionsOf({.model = text.model,
                                                  .precision = text.precision,
                                                  .memory = text.memory,
                                                  .n_threads = text.n_threads},
                                                 options.report));
  const lab::PerplexityOptions wanted{.data = text.Data(),
                                      .policy = text.Policy(),
                                      .window = options.window,
                                      .stride = options.stride,
                                      .lengths = options.lengths};
  const lab::Perplexity perplexity = lab::RunPerplexity(model, wanted, store::MakeParquetOpener());
  const int context =
      options.training_context > 0 ? options.training_context : model.config().context;
  const bool same_targets = !options.lengths.empty();
  const store::RunDescription run =
      DescribeEval(model, wanted.data, wanted.policy, perplexity.lengths.back());
  const std::vector<Row> rows =
      RowsOf(perplexity, run, context, options.report.bootstrap, model.pool);
  PrintEval(options.report, run, perplexity.cost,
            {.table = TableOf(rows, perplexity, same_targets, context),
             .text = TextOf(rows, perplexity, same_targets, context),
             .items = {ItemsOf(perplexity)},
             .about = {{"evaluation", "perplexity"},
                       {"stride", int64_t{perplexity.stride}},
                       {"same_targets", int64_t{same_targets}}}});
}

}  // namespace

std::function<void()> AddEvalPerplexity(CLI::App& app) {
  auto options = std::make_shared<PerplexityCommand>();
  options->text = AddTextOptions(app);
  app.remove_option(app.get_option("--chunk"));  // windows take its place
  AddReportOptions(app, options->report);
  app.add_option("--window", options->window, "tokens of a window (default: the model's context)");
  app.add_option("--stride", options->stride,
                 "tokens scored in each window, the last ones (default: half of it)");
  app.add_option("--lengths", options->lengths,
                 "instead of --window: windows of these lengths, as 64,128,512, each over the same "
                 "target tokens")
      ->delimiter(',')
      ->excludes("--window");
  app.add_option("--training-context", options->training_context,
                 "lengths beyond it are marked (default: the model's context)")
      ->check(CLI::PositiveNumber);
  return [options] { Run(*options); };
}

}  // namespace moescope::cli
