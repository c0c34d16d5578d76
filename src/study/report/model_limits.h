// What a reader must not conclude from a run: the box at the end of a report.
#pragma once

#include <string>
#include <vector>

#include "store/run_description.h"

namespace moescope::study {

struct ModelLimits {
  struct Paragraph {
    std::string label;  // "" or how the paragraph begins, in bold
    std::string text;
  };
  std::string title;
  std::vector<Paragraph> paragraphs;
};

// True for the small model the product carries: by its name and its size, so in any weight type.
bool IsDemoModel(const store::RunDescription& run);

// The demo model's limits are known and specific; for others what holds of any routing statistics,
// or of any perplexity where the model is dense.
ModelLimits LimitsOf(const store::RunDescription& run);

}  // namespace moescope::study
