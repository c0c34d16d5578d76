// A stretch of text of each data set with where its tokens went: what the page's coloured text
// shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/run.h"

namespace moescope::study {

// Consecutive tokens (without special rows) from the beginning of one document.
struct TextSample {
  std::string dataset;
  std::string unit;
  int64_t document = 0;
  std::vector<std::string> bytes;         // [n] as in the vocabulary
  std::vector<std::vector<int>> experts;  // [layers][n * K], slots of a token together; -1: dropped
  std::vector<std::vector<double>> weights;  // the same
};

// One sample a data set, in the order of `datasets`: its first document of at least `max_tokens`
// tokens, or its longest. A data set without tokens, or whose text is unknown, has no sample.
std::vector<TextSample> LoadTextSamples(const store::Run& run, store::Database& database,
                                        const std::vector<std::string>& datasets,
                                        const std::vector<int>& layers, int max_tokens);

}  // namespace moescope::study
