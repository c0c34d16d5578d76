// Results of an evaluation on disk: Parquet tables of what each item came to, and results.json,
// which says what made them. Format: docs/evaluation.md.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/database.h"
#include "store/row_source.h"
#include "store/run_description.h"

namespace moescope::store {

struct ResultTable {
  std::string name;             // of the view, and of NAME.parquet: lower-case letters and "_"
  std::vector<Column> columns;  // kBool, kInt64, kFloat, kText
  std::vector<std::vector<Value>> rows;  // in that order; a null is std::monostate
};

struct ResultsDescription {
  RunDescription run;                                // model, tokenizer, arithmetic, interventions
  std::vector<std::pair<std::string, Value>> about;  // "task", "task_hash", "few_shot", ...
};

// The directory appears complete or not at all, and its bytes depend on these arguments alone. Text
// that is not UTF-8 has U+FFFD in its place.
// Throws Error(kBadInput) where something is under the name already, Error(kIo).
void WriteResults(const std::string& directory, const ResultsDescription& description,
                  const std::vector<ResultTable>& tables);
// The error that WriteResults would end with, before anything is computed.
void RequireFreeDirectory(const std::string& directory);

class Results {
 public:
  static bool AreIn(const std::string& directory);
  // Throws Error(kCorrupt) when no table is there.
  static Results Open(const std::string& directory);

  // A database with a view for each table. Throws Error(kCorrupt) when one cannot be read.
  std::unique_ptr<Database> OpenViews(const DatabaseOptions& options) const;
  const std::vector<std::string>& Files() const { return files_; }  // absolute

 private:
  std::string directory_;
  std::vector<std::string> names_, files_;
};

}  // namespace moescope::store
