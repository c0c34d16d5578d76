#include "study/figures/figure_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "study/figures/cell_json.h"
#include "study/figures/cells.h"

namespace moescope::study {
namespace {

using Json = nlohmann::ordered_json;

// Names of files and data sets need not be UTF-8.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json StatementObject(const Statement& statement) {
  const store::RunDescription& run = statement.description;
  Json datasets = Json::array();
  for (const auto& dataset : run.datasets) {
    datasets.push_back({{"name", dataset.name},
                        {"unit_by", dataset.unit_by},
                        {"template", dataset.text_template}});
  }
  return {{"run", statement.run},
          {"complete", statement.complete},
          {"model", run.model_name},
          {"architecture", run.architecture},
          {"model_identity", run.model_identity},
          {"expert_type", run.expert_type},
          {"router_type", run.router_type},
          {"n_layers", run.n_layers},
          {"n_experts", run.n_experts},
          {"experts_per_token", run.experts_per_token},
          {"score_function", run.score_function},
          {"interventions", run.interventions},
          {"tokenizer", run.tokenizer_identity},
          {"vocab_size", run.vocab_size},
          {"bos", run.bos},
          {"chunk", run.chunk},
          {"max_tokens", run.max_tokens},
          {"raw", run.raw},
          {"datasets", datasets},
          {"documents", statement.documents},
          {"tokens", statement.tokens},
          {"plain_tokens", statement.plain_tokens},
          {"units", statement.units},
          {"precision", run.precision},
          {"kernel_level", run.kernel_level},
          {"engine_version", run.engine_version},
          {"seed", statement.seed},
          {"bootstrap_samples", statement.bootstrap_samples}};
}

std::string JsonRows(const std::vector<std::string>& columns,
                     const std::vector<std::vector<Cell>>& rows) {
  std::string text = "[";
  for (size_t r = 0; r < rows.size(); ++r) {
    Json row = Json::object();
    for (size_t c = 0; c < columns.size(); ++c) row[columns[c]] = CellJson(rows[r][c]);
    text += fmt::format("{}\n  {}", r == 0 ? "" : ",", Dump(row));
  }
  return text + "]";
}

std::string JsonOf(const FigureTable& table, const std::string& statement) {
  std::string text = fmt::format("{{\"figure\": {},\n", Dump(table.figure));
  for (const auto& [name, value] : table.about) {
    text += fmt::format(" {}: {},\n", Dump(name), Dump(CellJson(value)));
  }
  text += fmt::format(" \"rows\": {},\n", JsonRows(table.columns, table.rows));
  for (const NamedRows& more : table.more) {
    text += fmt::format(" {}: {},\n", Dump(more.name), JsonRows(more.columns, more.rows));
  }
  return text + fmt::format(" \"statement\": {}}}\n", statement);
}

std::string CsvField(const Cell& cell) {
  if (const auto* integer = std::get_if<int64_t>(&cell)) return fmt::format("{}", *integer);
  if (const auto* real = std::get_if<double>(&cell)) return fmt::format("{}", *real);
  if (const auto* table = std::get_if<CountTable>(&cell)) {
    std::vector<std::string> rows;
    for (const auto& row : table->Rows()) rows.push_back(fmt::format("{}", fmt::join(row, " ")));
    return fmt::format("{}", fmt::join(rows, ";"));
  }
  const auto* text = std::get_if<std::string>(&cell);
  if (text == nullptr) return "";
  if (text->find_first_of(",\"\r\n") == std::string::npos) return *text;
  std::string quoted = "\"";
  for (char c : *text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::vector<std::vector<int64_t>> CountTable::Rows() const {
  std::vector<std::vector<int64_t>> rows;
  for (size_t i = 0; i < counts.size(); i += n_columns) {
    rows.emplace_back(
        counts.begin() + static_cast<int64_t>(i),
        counts.begin() + static_cast<int64_t>(std::min(i + n_columns, counts.size())));
  }
  return rows;
}

FigureTable SharesFigure(const std::vector<ExpertShare>& shares, ShareConvention convention) {
  FigureTable table;
  table.figure = "7";
  table.about = {{"convention", convention == ShareConvention::kTokens ? "tokens" : "assignments"}};
  table.columns = {"dataset",    "layer",      "expert", "choice", "share", "share_low",
                   "share_high", "even_share", "count",  "tokens", "units", "why_no_interval"};
  for (const ExpertShare& share : shares) {
    table.rows.push_back({share.dataset, int64_t{share.layer}, int64_t{share.expert},
                          ChoiceName(share.choice), Number(share.share), Low(share.interval),
                          High(share.interval), share.even_share, share.count, share.rows,
                          share.n_units, TextOrNull(share.why_no_interval)});
  }
  return table;
}

FigureTable RepetitionFigure(const std::vector<RepetitionCell>& cells, bool differing_tokens) {
  FigureTable table;
  table.figure = "table5";
  table.about = {{"lag", int64_t{cells.empty() ? 1 : cells.front().lag}},
                 {"restriction", differing_tokens ? Cell("tokens differ") : Cell()}};
  table.columns = {"dataset", "layer", "pairs", "first_repeat", "any_overlap"};
  for (const char* statistic : {"first_repeat", "any_overlap"}) {
    for (const char* suffix : {"low", "high", "null_uniform", "null_marginal", "null_shuffle",
                               "null_token", "token_covered"}) {
      table.columns.push_back(fmt::format("{}_{}", statistic, suffix));
    }
  }
  for (const char* name :
       {"token_coverage", "first_repeats", "any_overlaps", "lag", "units", "why_no_interval"}) {
    table.columns.emplace_back(name);
  }
  for (const RepetitionCell& cell : cells) {
    std::vector<Cell>& row = table.rows.emplace_back();
    row = {cell.dataset, int64_t{cell.layer}, cell.pairs, Number(cell.first_repeat),
           Number(cell.any_overlap)};
    const auto add = [&](const std::optional<Interval>& interval, auto statistic) {
      row.push_back(Low(interval));
      row.push_back(High(interval));
      for (const NullRepetition* null :
           {&cell.uniform, &cell.marginal, &cell.shuffle, &cell.token, &cell.token_covered}) {
        row.push_back(Number(null->*statistic));
      }
    };
    add(cell.first_repeat_interval, &NullRepetition::first_repeat);
    add(cell.any_overlap_interval, &NullRepetition::any_overlap);
    for (Cell value :
         {Number(cell.token_coverage), Cell(cell.first_repeats), Cell(cell.any_overlaps),
          Cell(int64_t{cell.lag}), Cell(cell.n_units), TextOrNull(cell.why_no_interval)}) {
      row.push_back(std::move(value));
    }
  }
  return table;
}

FigureTable PerplexityFigure(const std::vector<PerplexityRow>& rows) {
  FigureTable table;
  table.figure = "perplexity";
  table.columns = {"dataset",
                   "documents",
                   "units",
                   "tokens",
                   "plain_tokens",
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
  for (const PerplexityRow& row : rows) {
    table.rows.push_back(
        {row.dataset, row.documents, row.n_units, row.tokens, row.plain_tokens, row.predictions,
         row.bytes, Number(row.mean_loss), Low(row.mean_loss_interval),
         High(row.mean_loss_interval), Number(row.perplexity), Low(row.perplexity_interval),
         High(row.perplexity_interval), Number(row.bits_per_byte), Low(row.bits_per_byte_interval),
         High(row.bits_per_byte_interval), TextOrNull(row.why_no_interval)});
  }
  return table;
}

FigureTable ExpertTokensFigure(int layer, int expert, const std::vector<ExpertToken>& tokens) {
  FigureTable table;
  table.figure = "experts";
  table.columns = {"layer",       "expert",          "token_id",       "text", "count",
                   "occurrences", "share_of_expert", "share_of_token", "lift"};
  for (const ExpertToken& token : tokens) {
    table.rows.push_back({int64_t{layer}, int64_t{expert}, int64_t{token.token_id}, token.text,
                          token.count, token.occurrences, Number(token.share_of_expert),
                          Number(token.share_of_token), Number(token.lift)});
  }
  return table;
}

FigureTable TokenExpertsFigure(const std::vector<TokenExpert>& experts) {
  FigureTable table;
  table.figure = "token";
  table.columns = {"token_id", "text",        "layer",       "expert",
                   "count",    "first_count", "occurrences", "share"};
  for (const TokenExpert& expert : experts) {
    table.rows.push_back({int64_t{expert.token_id}, expert.text, int64_t{expert.layer},
                          int64_t{expert.expert}, expert.count, expert.first_count,
                          expert.occurrences, Number(expert.share)});
  }
  return table;
}

FigureTable FindingsFigure(const Findings& findings) {
  FigureTable table;
  table.figure = "findings";
  table.about = {{"rule", findings.rule}, {"cells_searched", findings.cells_searched}};
  table.columns = {"sentence",   "subject", "layer",     "expert", "value", "value_low",
                   "value_high", "null",    "null_name", "n",      "units", "why_no_interval"};
  for (const Finding& finding : findings.findings) {
    table.rows.push_back({finding.sentence, finding.subject, int64_t{finding.layer},
                          finding.expert < 0 ? Cell() : Cell(int64_t{finding.expert}),
                          Number(finding.value), Low(finding.interval), High(finding.interval),
                          Number(finding.null_value), finding.null_name, finding.n, finding.n_units,
                          TextOrNull(finding.why_no_interval)});
  }
  return table;
}

std::string FigureJson(const FigureTable& table, const Statement& statement) {
  return JsonOf(table, StatementJson(statement));
}

std::string FigureJson(const FigureTable& table, const Statement& a, const Statement& b) {
  return JsonOf(table,
                fmt::format("{{\"a\": {},\n  \"b\": {}}}", StatementJson(a), StatementJson(b)));
}

std::string FigureCsv(const FigureTable& table) {
  std::string text = fmt::format("{}\r\n", fmt::join(table.columns, ","));
  for (const auto& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) text += (c == 0 ? "" : ",") + CsvField(row[c]);
    text += "\r\n";
  }
  return text;
}

std::string StatementJson(const Statement& statement) {
  return Dump(StatementObject(statement));
}

}  // namespace moescope::study
