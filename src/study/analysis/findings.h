// Sentences a run supports: found on one half of the units, measured on the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

enum class FindingKind { kTokenClass, kDomain, kRepetition };

// One finding: a share measured on units that took no part in choosing it.
struct Finding {
  FindingKind kind = FindingKind::kTokenClass;
  std::string sentence;  // complete, with value, null, interval, n
  std::string subject;   // "indentation", a data set's name
  int layer = 0;
  int expert = -1;  // -1: not about one expert
  double value = 0;
  double null_value = 0;
  std::string null_name;  // "of all other tokens"
  int64_t n = 0;          // tokens or pairs behind value
  int64_t n_units = 0;
  std::optional<Interval> interval;
  std::string why_no_interval;
};

struct FindingsOptions {
  int n_findings = 3;
  BootstrapOptions bootstrap;
};

struct Findings {
  std::vector<Finding> findings;
  std::string rule;  // how they were selected, one sentence
  int64_t cells_searched = 0;
};

// Searches every layer. Fewer than n_findings come back when nothing else beats its null.
// Throws Error(kBadInput) for a dense run.
Findings ComputeFindings(const store::Run& run, store::Database& database, const RowColumns& rows,
                         const FindingsOptions& options, ThreadPool& pool);

}  // namespace moescope::study
