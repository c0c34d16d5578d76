// Reads two runs side by side: are they of the same text, and what did each token lose?
#pragma once

#include <vector>

#include "study/analysis/run_diff.h"

namespace moescope::study {

// Losses of tokens that have one in both runs, summed over a document.
struct DocumentLosses {
  int64_t predictions = 0;
  double loss_a = 0, loss_b = 0;
};

// One entry per document of `rows` (run A's). 9 bytes a token. Throws as DiffRuns.
std::vector<DocumentLosses> CompareTexts(const OpenRun& a, const OpenRun& b,
                                         const RowColumns& rows);

}  // namespace moescope::study
