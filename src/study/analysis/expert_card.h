// Everything about one expert of one layer on a page: contexts, tokens, data sets, neighbours.
// Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"
#include "study/analysis/token_views.h"

namespace moescope::study {

struct ExpertCardOptions {
  int n_contexts = 8;       // random ones, and as many by weight
  int context_tokens = 10;  // before and after
  int n_tokens = 12;
  int64_t min_count = 10;  // of a token before its lift means anything
  BootstrapOptions bootstrap;
};

enum class ContextKind { kRandom, kTop };

// A token that chose the expert, with its surroundings in the same document.
struct ExpertContext {
  ContextKind kind = ContextKind::kRandom;
  int64_t row = 0;  // into RowColumns
  int64_t document = 0;
  std::string dataset, unit;
  int32_t position = 0;
  int choice = 0;                  // slot
  double weight = 0;               // routing weight as stored
  std::vector<std::string> bytes;  // of the tokens, as in the vocabulary
  int at = 0;                      // which of them is the token itself
};

struct ExpertDataset {
  std::string dataset;
  int64_t count = 0, rows = 0;
  double share = 0;  // of the data set's assignments
  double lift = 0;   // share over the mean of all data sets' shares
  std::optional<Interval> share_interval, lift_interval;  // the mean is held fixed
  int64_t n_units = 0;
  std::string why_no_interval;
};

enum class NeighbourKind { kTogether, kBefore, kAfter };

// Another expert beside this one: chosen by the same token, by the token before, or after.
struct ExpertNeighbour {
  NeighbourKind kind = NeighbourKind::kTogether;
  int expert = 0;
  int64_t count = 0;
  double of = 0;        // share of this expert's tokens (or pairs)
  double expected = 0;  // count if choices were independent
  double ratio = 0;     // count over expected
};

struct ExpertCard {
  int layer = 0, expert = 0;
  int64_t rows = 0;        // that chose it
  int64_t first_rows = 0;  // as first choice
  int64_t text_rows = 0;   // of the run
  double mean_weight = 0;
  std::vector<ExpertContext> contexts;  // random, then by weight; empty without token ids
  std::vector<ExpertToken> by_lift, by_count;
  std::vector<ExpertDataset> datasets;
  std::vector<ExpertNeighbour> neighbours;  // kind by kind, expert by expert
};

// Throws Error(kBadInput) for a layer or expert the run does not have, or a dense run.
ExpertCard MakeExpertCard(const store::Run& run, store::Database& database, const RowColumns& rows,
                          int layer, int expert, const ExpertCardOptions& options,
                          ThreadPool& pool);

}  // namespace moescope::study
