// Routes of known law for tests: documents of one length, experts drawn from given shares.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

struct PlantedRoutes {
  RowColumns rows;
  LayerColumns layer;
};

// Layout of the text: everything in data set "planted", each document a unit.
struct PlantedText {
  int64_t n_documents = 100;
  int64_t rows_per_document = 100;
  int n_token_ids = 50;
  bool bos = true;  // each document opens with a special row
  uint64_t seed = 1;
};

inline RowColumns MakePlantedText(const PlantedText& text) {
  RowColumnsBuilder builder;
  Random random(text.seed);
  for (int64_t document = 0; document < text.n_documents; ++document) {
    builder.BeginDocument(document, "planted", "unit " + std::to_string(document));
    builder.BeginSequence();
    int32_t position = 0;
    if (text.bos) builder.AddRow(1, position++, true);
    for (int64_t row = 0; row < text.rows_per_document; ++row) {
      builder.AddRow(static_cast<int32_t>(random.Below(text.n_token_ids)), position++, false);
    }
  }
  return builder.Finish();
}

inline int DrawExpert(const std::vector<double>& shares, Random& random) {
  double at = random.Uniform();
  for (size_t expert = 0; expert + 1 < shares.size(); ++expert) {
    at -= shares[expert];
    if (at < 0) return static_cast<int>(expert);
  }
  return static_cast<int>(shares.size()) - 1;
}

// First choices i.i.d. with the given shares, except that with probability `stickiness` a row
// repeats the first choice of the row before it in its sequence. Second choices uniform among the
// other experts, independent of everything.
inline PlantedRoutes PlantRoutes(const PlantedText& text, const std::vector<double>& first_shares,
                                 double stickiness) {
  PlantedRoutes planted = {MakePlantedText(text), {}};
  LayerColumns& layer = planted.layer;
  layer.n_experts = static_cast<int>(first_shares.size());
  layer.experts_per_token = 2;
  Random random(Combine(text.seed, 2));
  for (const SequenceRange& sequence : planted.rows.sequences) {
    int previous = -1;
    for (int64_t row = 0; row < sequence.n_rows; ++row) {
      const bool repeat = previous >= 0 && random.Uniform() < stickiness;
      const int first = repeat ? previous : DrawExpert(first_shares, random);
      int second = static_cast<int>(random.Below(layer.n_experts - 1));
      if (second >= first) ++second;
      layer.experts.push_back(static_cast<int16_t>(first));
      layer.experts.push_back(static_cast<int16_t>(second));
      previous = first;
    }
  }
  return planted;
}

}  // namespace moescope::study
