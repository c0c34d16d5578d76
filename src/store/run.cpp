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

// "expert_0 = x OR expert_1 = x", and the weight that goes with the one that is.
std::string AnySlotIs(int experts_per_token, const std::string& expert) {
  std::string sql;
  for (int rank = 0; rank < experts_per_token; ++rank) {
    sql += fmt::format("{}expert_{} = {}", rank == 0 ? "" : " OR ", rank, expert);
  }
  return sql;
}
std::string WeightOf(int experts_per_token, const std::string& expert) {
  std::string sql = "CASE";
  for (int rank = 0; rank < experts_per_token; ++rank) {
    sql += fmt::format(" WHEN expert_{0} = {1} THEN weight_{0}", rank, expert);
  }
  return sql + " END";
}

// expert_tokens(layer, expert): which tokens go to an expert. One scan of one layer.
std::string ExpertTokensMacro(int k) {
  return fmt::format(
      "CREATE MACRO expert_tokens(in_layer, in_expert) AS TABLE "
      "WITH seen AS (SELECT token_id, count(*) AS n, avg({}) AS mean_weight FROM "
      "(SELECT * FROM routes WHERE layer = in_layer AND ({})) JOIN tokens USING (token) "
      "GROUP BY token_id), "
      "everywhere AS (SELECT token_id, count(*) AS occurrences FROM tokens GROUP BY token_id) "
      "SELECT token_id, text, n, occurrences, n / occurrences AS share, mean_weight FROM seen "
      "JOIN everywhere USING (token_id) LEFT JOIN vocabulary USING (token_id) "
      "ORDER BY n DESC, token_id",
      WeightOf(k, "in_expert"), AnySlotIs(k, "in_expert"));
}

// token_experts(token_id): which experts saw a token, over all its occurrences. The choices are
// counted before they are unrolled, so routes are scanned once.
std::string TokenExpertsMacro(int k) {
  std::string experts, weights, arms;
  for (int rank = 0; rank < k; ++rank) {
    experts += fmt::format(", expert_{}", rank);
    weights += fmt::format(", sum(weight_{0}) AS sum_{0}", rank);
    arms += fmt::format(
        "{1}SELECT layer, expert_{0} AS expert, {2} AS first, n, sum_{0} AS weights "
        "FROM choices WHERE expert_{0} IS NOT NULL",
        rank, rank == 0 ? "" : " UNION ALL ", rank == 0 ? "n" : "0");
  }
  return fmt::format(
      "CREATE MACRO token_experts(in_token_id) AS TABLE "
      "WITH choices AS MATERIALIZED (SELECT layer{0}, count(*) AS n{1} FROM routes "
      "SEMI JOIN (SELECT token FROM tokens WHERE token_id = in_token_id) USING (token) "
      "GROUP BY layer{0}) "
      "SELECT layer, expert, sum(n)::BIGINT AS n, sum(first)::BIGINT AS n_first, "
      "sum(n) / (SELECT count(*) FROM tokens WHERE token_id = in_token_id) AS share, "
      "sum(weights) / sum(n) AS mean_weight FROM ({2}) GROUP BY layer, expert "
      "ORDER BY layer, n DESC, expert",
      experts, weights, arms);
}

// What a run without routes has in their place: the same names and types, no rows.
void CreateEmptyRouteViews(Database& database) {
  for (const char* sql :
       {"CREATE VIEW routes AS SELECT NULL::BIGINT AS token, NULL::FLOAT AS margin, "
        "NULL::FLOAT AS entropy, NULL::INTEGER AS layer WHERE false",
        "CREATE VIEW assignments AS SELECT NULL::BIGINT AS token, NULL::INTEGER AS layer, "
        "NULL::INTEGER AS rank, NULL::TINYINT AS expert, NULL::FLOAT AS weight WHERE false",
        "CREATE MACRO expert_tokens(in_layer, in_expert) AS TABLE SELECT NULL::INTEGER AS "
        "token_id, "
        "NULL::VARCHAR AS text, NULL::BIGINT AS n, NULL::BIGINT AS occurrences, "
        "NULL::DOUBLE AS share, NULL::DOUBLE AS mean_weight WHERE false",
        "CREATE MACRO token_experts(in_token_id) AS TABLE SELECT NULL::INTEGER AS layer, "
        "NULL::TINYINT AS expert, NULL::BIGINT AS n, NULL::BIGINT AS n_first, "
        "NULL::DOUBLE AS share, NULL::DOUBLE AS mean_weight WHERE false"}) {
    database.Execute(sql);
  }
}

void CreateRouteViews(Database& database, const std::vector<std::string>& files,
                      int experts_per_token) {
  database.Execute(
      fmt::format("CREATE VIEW routes AS SELECT * FROM read_parquet({}, hive_partitioning = true, "
                  "hive_types = {{'layer': 'INTEGER'}})",
                  QuotedList(files)));
  database.Execute("CREATE VIEW assignments AS " + AssignmentsView(experts_per_token));
  database.Execute(ExpertTokensMacro(experts_per_token));
  database.Execute(TokenExpertsMacro(experts_per_token));
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
  run.identity_ = ManifestHash(manifest);
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
    view("vocabulary", fmt::format("SELECT * FROM read_parquet({})",
                                   Quoted(Absolute(directory_, kVocabularyPath))));
    if (description_.is_dense())
      CreateEmptyRouteViews(*database);
    else
      CreateRouteViews(*database, route_files_, description_.experts_per_token);
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
