// What every report states beside its figures, so that a number can be traced to what made it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "store/run.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

struct Statement {
  std::string run;  // directory
  bool complete = false;
  store::RunDescription description;  // its data sets: those looked at
  int64_t documents = 0;
  int64_t tokens = 0;        // all rows
  int64_t plain_tokens = 0;  // without special rows
  int64_t units = 0;
  uint64_t seed = 0;  // of resampling and draws
  int bootstrap_samples = 0;
};

Statement MakeStatement(const store::Run& run, const RowColumns& rows, uint64_t seed,
                        int bootstrap_samples);

// Label and value, in the order people read them: "model", "expert weights", ...
std::vector<std::pair<std::string, std::string>> StatementLines(const Statement& statement);

}  // namespace moescope::study
