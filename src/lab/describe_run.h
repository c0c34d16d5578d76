// What ran over what, in the words of a run's manifest: for runs, and for results that have none.
#pragma once

#include <vector>

#include "engine/kernels/kernel_table.h"
#include "engine/model/model.h"
#include "engine/ops/precision.h"
#include "store/run_description.h"
#include "text/document.h"
#include "text/sequences.h"
#include "text/tokenizer.h"

namespace moescope::lab {

struct TextDescription {
  const std::vector<text::DataSpec>& data;
  const text::SequencePolicy& policy;
  int chunk = 0;     // what the policy's comes to
  bool raw = false;  // CR LF was kept
  engine::Precision precision = engine::Precision::kExact;
};
// Everything but how the run is stored. Depends on contents alone: no path, thread or time.
store::RunDescription DescribeRun(const engine::Model& model, const text::Tokenizer& tokenizer,
                                  const engine::KernelTable& kernels,
                                  const TextDescription& described);

}  // namespace moescope::lab
