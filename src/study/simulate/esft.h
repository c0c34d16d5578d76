// Which experts to fine-tune for a task: expert-specialised fine-tuning's choice, from a run.
// Source: arXiv 2407.01906. Definitions: docs/simulate.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

enum class EsftScore { kToken, kGate };

// Scores of a layer's experts are rounded to ten-thousandths, as the published files have them, and
// are kept as whole numbers of those, so that sums of them are exact.
inline constexpr int kEsftUnitsPerOne = 10000;

struct EsftLayer {
  int layer = 0;
  int64_t n_tokens = 0;
  std::vector<double> scores;    // [n_experts] before rounding
  std::vector<int32_t> rounded;  // [n_experts] ten-thousandths
  std::vector<int> selected;     // best first
};

// Scores over the rows of the data sets named by `in_task` [datasets of the run].
//   token  share of the K slots of each token that go to the expert, mean over tokens
//   gate   mean routing weight as stored, 0 where the expert is not chosen
// weights  [n_rows, K], read for kGate only
// Selects the fewest experts, best first and of equals the lower one, whose scores sum to `share`
// or more; all of them where even their sum does not reach it, which weights that sum to less than
// 1 allow. Requires: 0 < share.
EsftLayer ComputeEsft(const RowColumns& rows, const LayerColumns& layer,
                      std::span<const float> weights, const std::vector<uint8_t>& in_task,
                      EsftScore score, double share);

// Layer by layer of a run; `dataset` "": all of them.
// Throws Error(kNotFound) for a data set that is not there, kBadInput for a share that is not in
// (0, 1] or gate scores of a run without weights.
std::vector<EsftLayer> EsftSelection(const store::Run& run, store::Database& database,
                                     const RowColumns& rows, const std::vector<int>& layers,
                                     const std::string& dataset, EsftScore score, double share);

// {"experts": {"<layer>": [ids]}, "shared_experts": false, "non_expert_modules": false}: the file
// that ESFT's training scripts read.
std::string EsftConfigJson(const std::vector<EsftLayer>& layers);

}  // namespace moescope::study
