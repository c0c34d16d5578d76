// Which solved examples stand before a question.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace moescope::lab {

struct FewShot {
  int n = 0;
  uint64_t seed = 1;
};

// `n` different places of a pool of examples, in the order they are shown. They depend on seed,
// item and size of the pool alone. `own`: the item's own place, where it is one of the pool; else
// -1. Requires: as many others in the pool.
std::vector<size_t> DrawExamples(const FewShot& few_shot, size_t item, size_t pool, int64_t own);

// Throws Error(kBadInput) when `n_others` examples cannot be drawn, naming where from.
void CheckFewShot(const FewShot& few_shot, size_t n_others, const std::string& where);

}  // namespace moescope::lab
