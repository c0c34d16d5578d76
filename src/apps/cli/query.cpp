// moescope query RUN SQL: one SELECT over the views of a run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "base/error.h"
#include "base/units.h"
#include "base/valid_utf8.h"
#include "store/results.h"
#include "store/run.h"

namespace moescope::cli {
namespace {

using nlohmann::ordered_json;
using store::Value;

struct QueryOptions {
  std::string run;
  std::string sql;
  bool json = false;
  bool csv = false;
  std::string memory = "1G";
  double timeout_seconds = 60;
  int64_t limit = -1;
  int n_threads = 0;
};

constexpr int64_t kTableRows = 100;  // what a terminal page can hold
constexpr uint64_t kMaxSqlBytes = 1 << 20;
constexpr size_t kMaxCellCharacters = 60;

std::string ReadSql(const std::string& argument) {
  if (argument != "-") return argument;
  std::string sql;
  char buffer[4096];
  while (std::cin.read(buffer, sizeof(buffer)) || std::cin.gcount() > 0) {
    sql.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (sql.size() > kMaxSqlBytes) {
      throw Error(ErrorKind::kBadInput,
                  "cannot read SQL: standard input: expected at most 1 MB, "
                  "found more");
    }
  }
  return sql;
}

std::string Number(double value) {
  return fmt::format("{}", value);
}

// Two columns of one name would be one member: later ones are numbered.
std::vector<std::string> UniqueNames(const std::vector<std::string>& columns) {
  std::vector<std::string> names;
  for (const std::string& column : columns) {
    std::string name = ValidUtf8(column);
    for (int n = 1; std::find(names.begin(), names.end(), name) != names.end(); ++n) {
      name = fmt::format("{}:{}", ValidUtf8(column), n);
    }
    names.push_back(std::move(name));
  }
  return names;
}

ordered_json ToJson(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* real = std::get_if<double>(&value)) {
    return std::isfinite(*real) ? ordered_json(*real) : ordered_json(nullptr);
  }
  if (const auto* text = std::get_if<std::string>(&value)) return ValidUtf8(*text);
  return nullptr;
}

std::string CsvField(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return Number(*real);
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return "";
  if (!text->empty() && text->find_first_of(",\"\r\n") == std::string::npos) return *text;
  std::string quoted = "\"";
  for (char c : *text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

size_t Characters(const std::string& text) {
  size_t n = 0;
  for (char c : text) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return n;
}

// A value in one line of at most kMaxCellCharacters: control characters are escaped, so a token of
// the data can neither break the table nor drive the terminal.
std::string Cell(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{:.6g}", *real);
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return "null";
  std::string cell;
  size_t characters = 0;
  for (char c : ValidUtf8(*text)) {
    bool begins = (static_cast<uint8_t>(c) & 0xC0) != 0x80;
    if (begins && ++characters > kMaxCellCharacters) return cell + "...";
    if (c == '\n')
      cell += "\\n";
    else if (c == '\t')
      cell += "\\t";
    else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F)
      cell += fmt::format("\\x{:02X}", c);
    else
      cell += c;
  }
  return cell;
}

void PrintTable(store::Database& database, const QueryOptions& options, int64_t limit) {
  store::Table table = database.Query(options.sql, limit);
  std::vector<std::vector<std::string>> cells = {table.columns};
  std::vector<bool> numeric(table.columns.size(), true);
  for (const std::vector<Value>& row : table.rows) {
    std::vector<std::string>& line = cells.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      line.push_back(Cell(row[i]));
      if (std::holds_alternative<std::string>(row[i])) numeric[i] = false;
    }
  }
  std::vector<size_t> widths(table.columns.size(), 0);
  for (const auto& line : cells) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], Characters(line[i]));
  }
  for (size_t r = 0; r < cells.size(); ++r) {
    std::string text;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string& cell = cells[r][i];
      std::string blanks(widths[i] - Characters(cell), ' ');
      if (i > 0) text += "  ";
      text += numeric[i] ? blanks + cell : cell + blanks;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    fmt::print("{}\n", text);
    if (r > 0) continue;
    std::string rule;
    for (size_t i = 0; i < widths.size(); ++i) {
      rule += (i > 0 ? "  " : "") + std::string(widths[i], '-');
    }
    fmt::print("{}\n", rule);
  }
  if (table.truncated) {
    fmt::print(stderr, "first {} rows; --limit N shows more, --csv or --json all\n", limit);
  }
}

void PrintJson(store::Database& database, const QueryOptions& options) {
  std::vector<std::string> names;
  int64_t n_rows = 0;
  bool truncated = false;
  auto header = [&](const std::vector<std::string>& columns) {
    names = UniqueNames(columns);
    fmt::print("{{\"rows\": [");
  };
  auto row = [&](std::vector<Value>& values) {
    truncated = options.limit >= 0 && n_rows == options.limit;
    if (truncated) return false;
    ordered_json object = ordered_json::object();
    for (size_t i = 0; i < values.size(); ++i) object[names[i]] = ToJson(values[i]);
    fmt::print("{}{}", n_rows++ == 0 ? "\n" : ",\n", object.dump());
    return true;
  };
  database.ForEachRow(options.sql, header, row);
  fmt::print("], \"truncated\": {}}}\n", truncated);
}

void PrintCsv(store::Database& database, const QueryOptions& options) {
  int64_t n_rows = 0;
  auto header = [](const std::vector<std::string>& columns) {
    for (size_t i = 0; i < columns.size(); ++i) {
      fmt::print("{}{}", i > 0 ? "," : "", CsvField(columns[i]));
    }
    fmt::print("\n");
  };
  auto row = [&](std::vector<Value>& values) {
    if (options.limit >= 0 && n_rows++ == options.limit) return false;
    for (size_t i = 0; i < values.size(); ++i) {
      fmt::print("{}{}", i > 0 ? "," : "", CsvField(values[i]));
    }
    fmt::print("\n");
    return true;
  };
  database.ForEachRow(options.sql, header, row);
}

store::DatabaseOptions LimitsOf(const QueryOptions& options) {
  return {.memory_bytes = ParseBytes(options.memory),
          .n_threads = options.n_threads,
          .timeout_seconds = options.timeout_seconds};
}

std::unique_ptr<store::Database> OpenRun(const QueryOptions& options) {
  const store::Run run = store::Run::Open(options.run);
  auto database = run.OpenViews(LimitsOf(options));
  database->LockDown(run.Files());
  if (!run.complete()) {
    fmt::print(stderr, "note: the run is unfinished; this is its first {} tokens\n",
               FormatCount(static_cast<uint64_t>(run.n_tokens())));
  }
  return database;
}

// What eval -o wrote.
std::unique_ptr<store::Database> OpenResults(const QueryOptions& options) {
  const store::Results results = store::Results::Open(options.run);
  auto database = results.OpenViews(LimitsOf(options));
  database->LockDown(results.Files());
  return database;
}

void Query(QueryOptions options) {
  options.sql = ReadSql(options.sql);
  const auto database =
      store::Results::AreIn(options.run) ? OpenResults(options) : OpenRun(options);
  if (options.json)
    PrintJson(*database, options);
  else if (options.csv)
    PrintCsv(*database, options);
  else
    PrintTable(*database, options, options.limit >= 0 ? options.limit : kTableRows);
  if (std::fflush(stdout) != 0) ThrowErrno(errno, "write", "standard output");
}

}  // namespace

std::function<void()> AddQuery(CLI::App& app) {
  auto options = std::make_shared<QueryOptions>();
  app.add_option("run", options->run, "Run directory, or results of eval")->required();
  app.add_option("sql", options->sql,
                 "A SELECT over documents, tokens, routes, vocabulary, assignments,\n"
                 "expert_tokens(layer, expert), token_experts(token_id); - reads it from stdin")
      ->required();
  auto* json = app.add_flag("--json", options->json, "Print {\"rows\": [...]}");
  app.add_flag("--csv", options->csv, "Print comma-separated values")->excludes(json);
  app.add_option("--limit", options->limit, "Rows at most (default: 100 in a table, else all)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--memory", options->memory, "Memory for the query")->capture_default_str();
  app.add_option("--timeout", options->timeout_seconds, "Seconds until it is stopped, 0: never")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("-t,--threads", options->n_threads, "Threads, 0: one per core")
      ->check(CLI::Range(0, 1024));
  return [options] { Query(*options); };
}

}  // namespace moescope::cli
