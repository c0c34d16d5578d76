#include "store/run.h"

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "store/manifest.h"

namespace moescope::store {
namespace {

std::string Absolute(const std::string& directory, const std::string& path) {
  return (std::filesystem::absolute(directory) / path).lexically_normal().string();
}

// A list of SQL string literals.
std::string QuotedList(const std::vector<std::string>& paths) {
  std::string list;
  for (const std::string& path : paths) list += (list.empty() ? "" : ", ") + Quoted(path);
  return "[" + list + "]";
}

// Rows (token, layer, rank, expert, weight) from one arm per rank.
std::string AssignmentsView(int experts_per_token) {
  std::string sql;
  for (int rank = 0; rank < experts_per_token; ++rank) {
    if (rank > 0) sql += " UNION ALL ";
    sql += fmt::format(
        "SELECT token, layer, {0} AS rank, expert_{0} AS expert, weight_{0} AS weight "
        "FROM routes WHERE expert_{0} IS NOT NULL",
        rank);
  }
  return sql;
}

}  // namespace

Run Run::Open(const std::string& directory) {
  Manifest manifest = ReadManifest(directory);
  if (manifest.parts.empty()) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot open run: {}: expected a committed part, found none; the run was "
                    "interrupted early: the command that began it goes on with it",
                    directory));
  }
  Run run;
  run.description_ = manifest.description;
  run.directory_ = directory;
  run.complete_ = manifest.complete;
  run.n_tokens_ = manifest.n_tokens();
  run.n_documents_ = manifest.n_documents();
  for (const PartEntry& part : manifest.parts) {
    for (size_t i = 0; i < part.files.size(); ++i) {
      std::vector<std::string>& files = i == 0   ? run.document_files_
                                        : i == 1 ? run.token_files_
                                                 : run.route_files_;
      files.push_back(Absolute(directory, part.files[i].path));
    }
  }
  return run;
}

std::unique_ptr<Database> Run::OpenViews(const DatabaseOptions& options) const {
  auto database = std::make_unique<Database>(options);
  auto view = [&](const char* name, const std::string& query) {
    database->Execute(fmt::format("CREATE VIEW {} AS {}", name, query));
  };
  try {
    view("documents", fmt::format("SELECT * FROM read_parquet({})", QuotedList(document_files_)));
    view("tokens", fmt::format("SELECT * FROM read_parquet({})", QuotedList(token_files_)));
    view("routes", fmt::format("SELECT * FROM read_parquet({}, hive_partitioning = true, "
                               "hive_types = {{'layer': 'INTEGER'}})",
                               QuotedList(route_files_)));
    view("vocabulary", fmt::format("SELECT * FROM read_parquet({})",
                                   Quoted(Absolute(directory_, kVocabularyPath))));
    view("assignments", AssignmentsView(description_.experts_per_token));
  } catch (const Error& error) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot open run: {}: expected readable parts, found: {}; 'moescope "
                            "verify {}' names the damaged files",
                            directory_, error.what(), directory_));
  }
  return database;
}

std::vector<std::string> Run::Files() const {
  std::vector<std::string> files = {Absolute(directory_, kVocabularyPath)};
  for (const auto* list : {&document_files_, &token_files_, &route_files_}) {
    files.insert(files.end(), list->begin(), list->end());
  }
  return files;
}

}  // namespace moescope::store
