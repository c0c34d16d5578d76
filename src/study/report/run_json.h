// What every page says of what was run: the blocks `run` and `limits` (docs/report.md).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "study/analysis/statement.h"
#include "study/report/model_limits.h"

namespace moescope::study {

struct DatasetCounts {
  std::string name, unit_by;
  std::optional<int64_t> documents;  // nullopt: not counted by data set
  int64_t units = 0;
  int64_t tokens = 0;  // without special rows
};

nlohmann::json RunJson(const Statement& statement, const std::vector<DatasetCounts>& datasets);
nlohmann::json LimitsJson(const ModelLimits& limits);

}  // namespace moescope::study
