// RowColumns and LayerColumns from a run's views.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/cancellation.h"
#include "base/error.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {
namespace {

struct DocumentNames {
  std::string dataset, unit;
};

std::string TextOf(const store::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text ? *text : std::string();
}

std::unordered_map<int64_t, DocumentNames> LoadDocuments(store::Database& database) {
  std::unordered_map<int64_t, DocumentNames> documents;
  const store::Table table = database.Query("SELECT document, dataset, unit FROM documents");
  documents.reserve(table.rows.size());
  for (const auto& row : table.rows) {
    documents[std::get<int64_t>(row[0])] = {TextOf(row[1]), TextOf(row[2])};
  }
  return documents;
}

bool Keeps(const std::vector<std::string>& datasets, const std::string& name) {
  return datasets.empty() || std::find(datasets.begin(), datasets.end(), name) != datasets.end();
}

void CheckDatasets(const store::Run& run, const std::vector<std::string>& datasets) {
  std::vector<std::string> known;
  for (const auto& dataset : run.description().datasets) known.push_back(dataset.name);
  for (const std::string& name : datasets) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw Error(ErrorKind::kNotFound, fmt::format("{} has no data set '{}'; it has {}",
                                                  run.directory(), name, fmt::join(known, ", ")));
  }
}

}  // namespace

RowColumns LoadRows(const store::Run& run, store::Database& database,
                    const std::vector<std::string>& datasets) {
  CheckDatasets(run, datasets);
  if (run.n_tokens() > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorKind::kResource,
                fmt::format("cannot analyse {}: {} tokens: at most 2^31 fit one analysis; trace "
                            "the data sets as separate runs",
                            run.directory(), run.n_tokens()));
  }
  const auto documents = LoadDocuments(database);
  RowColumnsBuilder builder;
  builder.Reserve(run.n_tokens());
  int64_t next_token = 0, document = -1, sequence = -1;
  bool keeps = true;  // the data set of the document
  const char* sql =
      "SELECT token, document, sequence, position, coalesce(token_id, -1), special "
      "FROM tokens";
  database.Stream(sql, [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto token_column = chunk.Integers(0), document_column = chunk.Integers(1),
               sequence_column = chunk.Integers(2), position_column = chunk.Integers(3),
               id_column = chunk.Integers(4), special_column = chunk.Integers(5);
    for (int64_t row = 0; row < chunk.n_rows(); ++row) {
      if (token_column[row] != next_token++) {
        throw Error(ErrorKind::kCorrupt,
                    fmt::format("cannot analyse {}/tokens: expected token {}, found {}; run "
                                "'moescope verify' on it",
                                run.directory(), next_token - 1, token_column[row]));
      }
      if (document_column[row] != document) {
        document = document_column[row];
        const auto names = documents.find(document);
        if (names == documents.end()) {
          throw Error(
              ErrorKind::kCorrupt,
              fmt::format("cannot analyse {}/documents: document {} of token {} is missing; "
                          "run 'moescope verify' on it",
                          run.directory(), document, token_column[row]));
        }
        keeps = Keeps(datasets, names->second.dataset);
        if (keeps) builder.BeginDocument(document, names->second.dataset, names->second.unit);
        sequence = -1;
      }
      if (!keeps) {
        builder.SkipRow();
        continue;
      }
      if (sequence_column[row] != sequence) {
        sequence = sequence_column[row];
        builder.BeginSequence();
      }
      builder.AddRow(static_cast<int32_t>(id_column[row]),
                     static_cast<int32_t>(position_column[row]), special_column[row] != 0);
    }
  });
  RowColumns rows = builder.Finish();
  for (DatasetInfo& dataset : rows.datasets) {
    dataset.unit_by = run.description().UnitBy(dataset.name);
  }
  return rows;
}

void RequireRoutes(const store::Run& run) {
  if (!run.description().is_dense()) return;
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot show routes: {}: expected a run of a mixture of experts, found one "
                  "of a dense model, which has none; 'moescope figure perplexity', 'moescope "
                  "report' and 'moescope query' work with it",
                  run.directory()));
}

int64_t RowOfToken(const store::Run& run, const RowColumns& rows, int layer, int64_t token) {
  if (token < 0 || token >= rows.n_tokens()) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot analyse {}/routes/layer={:02}: token {} is not in tokens; run "
                            "'moescope verify' on it",
                            run.directory(), layer, token));
  }
  return rows.row_of_token.empty() ? token : rows.row_of_token[token];
}

LayerColumns LoadLayer(const store::Run& run, store::Database& database, const RowColumns& rows,
                       int layer) {
  RequireRoutes(run);
  LayerColumns columns;
  columns.layer = layer;
  columns.n_experts = run.description().n_experts;
  columns.experts_per_token = run.description().experts_per_token;
  const int n_slots = columns.experts_per_token;
  const int64_t n_tokens = rows.n_tokens();
  columns.experts.resize(static_cast<size_t>(rows.n_rows()) * n_slots);

  std::string sql = "SELECT token";
  for (int slot = 0; slot < n_slots; ++slot) sql += fmt::format(", coalesce(expert_{}, -1)", slot);
  sql += fmt::format(" FROM routes WHERE layer = {}", layer);
  int64_t n_found = 0;
  std::vector<std::span<const int64_t>> slots(n_slots);
  database.Stream(sql, [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto tokens = chunk.Integers(0);
    for (int slot = 0; slot < n_slots; ++slot) slots[slot] = chunk.Integers(slot + 1);
    for (int64_t r = 0; r < chunk.n_rows(); ++r) {
      const int64_t row = RowOfToken(run, rows, layer, tokens[r]);
      ++n_found;
      if (row < 0) continue;
      int16_t* experts = columns.experts.data() + row * n_slots;
      for (int slot = 0; slot < n_slots; ++slot) {
        const int64_t expert = slots[slot][r];
        if (expert < -1 || expert >= columns.n_experts) {
          throw Error(ErrorKind::kCorrupt,
                      fmt::format("cannot analyse {}/routes/layer={:02}: expected an expert below "
                                  "{}, found {} at token {}",
                                  run.directory(), layer, columns.n_experts, expert, tokens[r]));
        }
        experts[slot] = static_cast<int16_t>(expert);
      }
    }
  });
  if (n_found == 0 && n_tokens > 0) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{} has no routes of layer {}", run.directory(), layer));
  }
  if (n_found != n_tokens) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot analyse {}/routes/layer={:02}: expected {} rows, found {}; run "
                            "'moescope verify' on it",
                            run.directory(), layer, n_tokens, n_found));
  }
  return columns;
}

}  // namespace moescope::study
