// A planted model opened as any other checkpoint, and texts run through it, for tests.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "engine/model/sweep.h"
#include "lab/planted/weights.h"
#include "lab/text_model.h"

namespace moescope::lab {

class PlantedRun {
 public:
  PlantedRun(const PlantedWeights& weights, const std::string& folder) : pool_(2) {
    weights.Write(folder);
    opened_ = OpenTextModel(folder);
  }
  const engine::Model& model() const { return *opened_.model; }
  const text::Tokenizer& tokenizer() const { return *opened_.tokenizer; }
  ThreadPool& pool() { return pool_; }

  // BOS and the tokens of a text.
  std::vector<int32_t> Tokens(const std::string& text) const {
    text::Encoding encoding;
    tokenizer().Encode(text, encoding);
    std::vector<int32_t> ids = {tokenizer().bos_id()};
    ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
    return ids;
  }

  // Each text after BOS as a sequence of its own. Returns the losses, row by row; NaN at the last
  // row of each text.
  std::vector<float> Run(const std::vector<std::string>& texts,
                         std::span<routing::Probe* const> probes = {}) {
    engine::Wave wave;
    int longest = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::vector<int32_t> ids = Tokens(texts[i]);
      wave.Add(static_cast<int64_t>(i), 0, ids);
      longest = std::max(longest, static_cast<int>(ids.size()));
    }
    engine::Sweep sweep(model(), engine::SelectKernels(), pool_,
                        {.wave_rows = wave.n_rows(), .max_sequence = longest});
    sweep.Run(wave, probes);
    return {sweep.losses().begin(), sweep.losses().end()};
  }

 private:
  ThreadPool pool_;
  TextModel opened_;
};

}  // namespace moescope::lab
