// run-log.jsonl: when and where a run was written. Never hashed, never read by analyses.
#pragma once

#include <cstdint>
#include <string>

namespace moescope::store {

inline constexpr const char* kRunLogName = "run-log.jsonl";

// Appends one line: event, time, host, process, tokens so far. Failing to is no error.
void AppendRunLog(const std::string& directory, const std::string& event, int64_t n_tokens);

}  // namespace moescope::store
