#include "store/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/platform/durable_directory.h"
#include "base/platform/durable_file.h"
#include "base/valid_utf8.h"
#include "store/part_cutter.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kDescriptionName = "results.json";
constexpr std::string_view kTableEnding = ".parquet";
constexpr size_t kMaxTables = 16;

bool IsTableName(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), allowed);
}

class TableRows : public RowSource {
 public:
  explicit TableRows(const ResultTable& table) : table_(table) {}
  std::vector<Column> columns() const override { return table_.columns; }
  int64_t n_rows() const override { return static_cast<int64_t>(table_.rows.size()); }
  void Fill(int64_t first, int64_t n, RowSink& sink) override {
    for (size_t column = 0; column < table_.columns.size(); ++column) {
      for (int64_t row = 0; row < n; ++row) {
        FillOne(table_.rows[static_cast<size_t>(first + row)][column], static_cast<int>(column),
                row, sink);
      }
    }
  }

 private:
  void FillOne(const Value& value, int column, int64_t row, RowSink& sink) const {
    const ColumnType type = table_.columns[static_cast<size_t>(column)].type;
    if (std::holds_alternative<std::monostate>(value)) {
      sink.SetNull(column, row);
    } else if (type == ColumnType::kText) {
      sink.SetText(column, row, ValidUtf8(std::get<std::string>(value)));
    } else if (type == ColumnType::kFloat) {
      static_cast<float*>(sink.values(column))[row] = static_cast<float>(std::get<double>(value));
    } else if (type == ColumnType::kBool) {
      static_cast<bool*>(sink.values(column))[row] = std::get<int64_t>(value) != 0;
    } else {
      MOESCOPE_CHECK(type == ColumnType::kInt64);
      static_cast<int64_t*>(sink.values(column))[row] = std::get<int64_t>(value);
    }
  }

  const ResultTable& table_;
};

void WriteTable(const ResultTable& table, const std::string& path) {
  MOESCOPE_CHECK(IsTableName(table.name));
  // One thread: the order of rows is then that of the table.
  Database database({.memory_bytes = uint64_t{256} << 20, .n_threads = 1});
  TableRows rows(table);
  database.AddTableFunction("moescope_rows", rows);
  database.Execute(
      fmt::format("COPY (SELECT * FROM moescope_rows()) TO {} (FORMAT parquet, COMPRESSION zstd, "
                  "PARQUET_VERSION v1, USE_TMP_FILE false)",
                  Quoted(path)));
  SyncFile(path);
}

ordered_json ToJson(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* text = std::get_if<std::string>(&value)) return ValidUtf8(*text);
  return nullptr;
}

std::string FormatDescription(const ResultsDescription& description,
                              const std::vector<ordered_json>& tables) {
  const RunDescription run = Normalised(description.run);
  ordered_json json = {{"results_version", 1}};
  for (const auto& [name, value] : description.about) json[name] = ToJson(value);
  json["model"] = {{"name", run.model_name},         {"architecture", run.architecture},
                   {"identity", run.model_identity}, {"expert_type", run.expert_type},
                   {"router_type", run.router_type}, {"n_layers", run.n_layers},
                   {"n_experts", run.n_experts},     {"experts_per_token", run.experts_per_token}};
  json["tokenizer"] = run.tokenizer_identity;
  json["bos"] = run.bos;
  json["interventions"] = run.interventions;
  json["precision"] = run.precision;
  json["kernel_level"] = run.kernel_level;
  json["engine_version"] = run.engine_version;
  json["tables"] = tables;
  return json.dump(2) + "\n";
}

}  // namespace

void RequireFreeDirectory(const std::string& directory) {
  const DurableDirectory probe(directory);
}

void WriteResults(const std::string& directory, const ResultsDescription& description,
                  const std::vector<ResultTable>& tables) {
  DurableDirectory output(directory);
  std::vector<ordered_json> entries;
  for (const ResultTable& table : tables) {
    const std::string name = table.name + std::string(kTableEnding);
    WriteTable(table, output.PathOf(name));
    const FileHash hash = HashFile(output.PathOf(name));
    entries.push_back(
        {{"path", name}, {"rows", table.rows.size()}, {"bytes", hash.bytes}, {"xxh3", hash.xxh3}});
  }
  const std::string text = FormatDescription(description, entries);
  ReplaceFile(output.PathOf(kDescriptionName), std::as_bytes(std::span(text)));
  output.Commit();
}

bool Results::AreIn(const std::string& directory) {
  std::error_code ignored;
  return fs::exists(fs::path(directory) / kDescriptionName, ignored);
}

Results Results::Open(const std::string& directory) {
  Results results;
  results.directory_ = directory;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kTableEnding)) continue;
    const std::string stem = name.substr(0, name.size() - kTableEnding.size());
    if (IsTableName(stem)) results.names_.push_back(stem);
  }
  std::sort(results.names_.begin(), results.names_.end());
  if (results.names_.empty() || results.names_.size() > kMaxTables) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot open results: {}: expected 1 to {} tables, found {}", directory,
                            kMaxTables, results.names_.size()));
  }
  for (const std::string& name : results.names_) {
    const fs::path path = fs::absolute(directory) / (name + std::string(kTableEnding));
    results.files_.push_back(path.lexically_normal().string());
  }
  return results;
}

std::unique_ptr<Database> Results::OpenViews(const DatabaseOptions& options) const {
  auto database = std::make_unique<Database>(options);
  for (size_t i = 0; i < names_.size(); ++i) {
    try {
      database->Execute(fmt::format("CREATE VIEW {} AS SELECT * FROM read_parquet({})", names_[i],
                                    Quoted(files_[i])));
    } catch (const Error& error) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot open results: {}: expected a readable table, found: {}",
                              files_[i], error.what()));
    }
  }
  return database;
}

}  // namespace moescope::store
