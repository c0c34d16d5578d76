// What `attention` prints of one model: its heads, where the first token is routed, one head's
// rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/text_model.h"
#include "lab/watch_attention.h"

namespace moescope::cli {

// One model and what it looks at in the text.
struct Watched {
  std::string path;
  lab::TextModel opened;
  std::vector<int32_t> ids;
  std::vector<std::string> tokens;  // for display
  lab::WatchedAttention attention;

  const files::ModelConfig& config() const { return opened.model->config(); }
  int64_t n_tokens() const { return static_cast<int64_t>(ids.size()); }
  // What a head that looks evenly at all it sees would have.
  lab::HeadFigures Even() const { return lab::EvenAttention(n_tokens(), config().sliding_window); }
};

// Each head as one letter of what it mostly does, layers downwards, and the means of each layer.
void PrintHeads(const Watched& watched);
// Nothing where the model is dense.
void PrintSinks(const Watched& watched);
// Of the rows that were kept, if any, the `top` positions they look at most.
void PrintRows(const Watched& watched, int top);

}  // namespace moescope::cli
