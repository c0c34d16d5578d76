// How many answers are right, how sure that is, and whether guessing does as well.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"

namespace moescope::study {

struct Answered {
  std::string unit;  // what statistics resample
  bool correct = false;
  double chance = 0;  // of guessing right
};

struct Accuracy {
  int64_t n_items = 0, n_units = 0, n_correct = 0;
  double share = 0;
  std::optional<Interval> interval;
  std::string method;  // "wilson" where each item is a unit, else "bootstrap"
  std::string why_no_interval;
  double chance = 0;  // mean over items
  // Within 2 standard errors of chance, as guessing has them: sqrt(sum p (1 - p)) / n.
  bool at_chance = false;
};

// Wilson's interval where every item is a unit of its own, else whole units resampled. `key` names
// the data set. Requires: at least one item.
Accuracy MeasureAccuracy(std::span<const Answered> items, const std::string& key,
                         const BootstrapOptions& bootstrap, ThreadPool& pool);

}  // namespace moescope::study
