#include "store/parquet_documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/platform/file.h"
#include "store/database.h"
#include "text/record_reader.h"
#include "text/text_template.h"

namespace moescope::store {
namespace {

std::string Identifier(const std::string& name) {
  std::string quoted = "\"";
  for (char c : name) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

// Those of the columns that a document of this data set can use; all if none has its text, so that
// the error can list them.
std::vector<std::string> UsefulColumns(const text::DataSpec& spec,
                                       const std::vector<std::string>& columns) {
  std::vector<std::string> contents = {"text", "tokens", "messages"};
  if (!spec.text_template.empty()) contents = text::TextTemplate(spec.text_template).fields();
  std::vector<std::string> others = {"source", "unit", "tools", spec.unit_field};
  auto is_in = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<std::string> useful;
  bool has_contents = false;
  for (const std::string& column : columns) {
    bool is_content = is_in(contents, column);
    has_contents = has_contents || is_content;
    if (is_content || is_in(others, column)) useful.push_back(column);
  }
  return has_contents ? useful : columns;
}

// The name of a file inside its data set.
std::string SourceName(const text::DataSpec& spec, const std::string& path) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(spec.path)) return fs::path(path).filename().string();
  return fs::path(path).lexically_relative(spec.path).string();
}

class ParquetDocuments final : public text::DocumentSource {
 public:
  ParquetDocuments(const text::DataSpec& spec, const std::string& path, uint64_t memory_bytes)
      : path_(path),
        source_(SourceName(spec, path)),
        bytes_total_(OpenFile(path)->size()),
        reader_(spec),
        // One thread: rows come in the order of the file.
        database_({.memory_bytes = memory_bytes, .n_threads = 1}) {
    // Writers that do not mark texts as UTF-8 leave them as bytes.
    std::string table = fmt::format("read_parquet({}, binary_as_string = true)", Quoted(path));
    Guarded([&] {
      n_rows_ = std::get<int64_t>(
          database_.Query(fmt::format("SELECT count(*) FROM {}", table)).rows.at(0).at(0));
      rows_ = database_.Open(fmt::format("SELECT {} FROM {}", RowAsJson(spec, table), table));
    });
  }

  bool Next(text::Document& document) override {
    std::vector<Value> row;
    bool more = false;
    Guarded([&] { more = rows_->Next(row); });
    while (more) {
      ++row_;
      std::string name = fmt::format("{}:{}", source_, row_);
      const auto* json = std::get_if<std::string>(&row.at(0));
      MOESCOPE_CHECK(json != nullptr);
      if (reader_.Read(*json, fmt::format("{}: row {}", path_, row_), name, document)) return true;
      Guarded([&] { more = rows_->Next(row); });
    }
    return false;
  }

  // Rows stand for bytes: where DuckDB is in the file it does not say.
  uint64_t bytes_read() const override {
    if (n_rows_ == 0) return bytes_total_;
    return static_cast<uint64_t>(static_cast<double>(bytes_total_) * static_cast<double>(row_) /
                                 static_cast<double>(n_rows_));
  }
  uint64_t bytes_total() const override { return bytes_total_; }

 private:
  std::string RowAsJson(const text::DataSpec& spec, const std::string& table) {
    std::vector<std::string> columns;
    for (const auto& row : database_.Query(fmt::format("DESCRIBE FROM {}", table)).rows) {
      columns.push_back(std::get<std::string>(row.at(0)));
    }
    std::string members;
    for (const std::string& column : UsefulColumns(spec, columns)) {
      if (!members.empty()) members += ", ";
      members += fmt::format("{0} := {0}", Identifier(column));
    }
    return fmt::format("CAST(to_json(struct_pack({})) AS VARCHAR)", members);
  }

  // Runs `read`; what DuckDB does not like about the file is said as an error of the file.
  template <typename Read>
  void Guarded(const Read& read) {
    try {
      read();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadInput && error.kind() != ErrorKind::kInternal) throw;
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot read documents: {}: expected a Parquet file, found: {}",
                              path_, error.what()));
    }
  }

  std::string path_;
  std::string source_;
  uint64_t bytes_total_;
  text::RecordReader reader_;
  Database database_;
  std::unique_ptr<RowCursor> rows_;  // after the database, which must outlive it
  int64_t n_rows_ = 0;
  int64_t row_ = 0;
};

}  // namespace

text::ParquetOpener MakeParquetOpener(uint64_t memory_bytes) {
  return [memory_bytes](const text::DataSpec& spec, const std::string& path) {
    return std::make_unique<ParquetDocuments>(spec, path, memory_bytes);
  };
}

}  // namespace moescope::store
