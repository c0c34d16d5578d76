// Everything a report page shows, computed from a run and gathered in one JSON block. The page's
// side of it: web/src/page_data.js; its form: docs/report.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "store/run.h"

namespace moescope::study {

struct ReportOptions {
  std::string title;        // "": made from the model's name and the data sets
  std::vector<int> layers;  // shown at first; empty: first, middle, last; others can be chosen
  std::string run_path;     // as commands on the page name it: one word of a shell
  store::DatabaseOptions database;
  uint64_t seed = 1;
  int bootstrap_samples = 2000;
};

struct ReportData {
  std::string title;
  std::string json;
};

// Of a dense run: perplexity and what was run. Reads every layer once. Memory: one layer's
// decisions and one table of vocabulary x experts. Throws Error(kBadInput) for a layer the run does
// not have, kCorrupt for a damaged run, kCancelled.
ReportData MakeReportData(const store::Run& run, const ReportOptions& options, ThreadPool& pool);

}  // namespace moescope::study
