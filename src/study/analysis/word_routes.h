// Routes of words: which experts see a word's last piece, over layers and in many contexts.
// Definitions: docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/word_index.h"

namespace moescope::study {

// One (layer, expert) of a word.
struct WordShare {
  int layer = 0;
  int expert = 0;
  int64_t count = 0;        // occurrences that chose the expert
  int64_t first_count = 0;  // as first choice
  double share = 0;         // of the word's assignments at the layer
  double text_share = 0;    // the expert's share of all assignments of the same text
  std::optional<Interval> interval;
};

// First choices over the layers asked for.
struct WordPath {
  std::vector<int16_t> experts;
  int64_t count = 0;
  double share = 0;        // of occurrences that have a path
  double independent = 0;  // product of the word's own first-choice shares
};

struct WordRoutes {
  std::string word;
  int64_t occurrences = 0, documents = 0, n_units = 0;
  int32_t last_piece = -1;  // its most frequent token id
  std::string last_piece_text;
  double last_piece_share = 0;    // of the occurrences that end with it
  std::vector<WordShare> shares;  // layer by layer, expert by expert
  std::vector<WordPath> paths;    // the most frequent, at most `max_paths`
  int64_t distinct_paths = 0;
  std::string why_no_interval;
};

struct WordRoutesOptions {
  int dataset = -1;  // as the index has; text_share is of it
  int max_paths = 3;
  BootstrapOptions bootstrap;
};

// One entry a word. One layer in memory at a time.
std::vector<WordRoutes> ComputeWordRoutes(const store::Run& run, store::Database& database,
                                          const RowColumns& rows,
                                          const std::vector<std::string>& vocabulary,
                                          const std::vector<Occurrences>& words,
                                          const std::vector<int>& layers,
                                          const WordRoutesOptions& options, ThreadPool& pool);

// For rows in increasing order, the documents they lie in, as indices into rows.documents.
std::vector<int32_t> DocumentsOfRows(const RowColumns& rows, const std::vector<int32_t>& of);

// An index into rows.datasets; -1 for "". Throws Error(kNotFound) naming those there are.
int FindDataset(const RowColumns& rows, const std::string& name);

// Throws Error(kBadInput) when the run was imported without token ids.
void RequireTokenIds(const store::Run& run);

}  // namespace moescope::study
