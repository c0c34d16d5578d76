// Whether the pieces of a word go to one expert.
// Source: Mixtral of Experts, arXiv 2401.04088, section 5 and figure 8. Definitions:
// docs/analyses.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"
#include "study/analysis/word_pieces.h"

namespace moescope::study {

// Words of two pieces or more of one data set at one layer. Words of which a piece's first choice
// was dropped are left out. Shares are fractions; NaN where they do not exist.
struct WordCell {
  std::string dataset;
  int layer = 0;
  int64_t n_units = 0;
  int64_t words = 0;
  int64_t pieces = 0;
  int64_t alike_words = 0;  // all pieces share their first choice
  double alike = 0;
  double pieces_null = 0;  // pieces shuffled among the words
  double places_null = 0;  // the same, first pieces among first ones, second among second ones, ...
  double token_null = 0;   // each piece's decision from its token in another document
  double token_coverage = 0;
  double alike_token_covered = 0;  // observed on the words that the token null is known for
  std::optional<Interval> interval;
  std::string why_no_interval;
};

// One cell for each data set.
std::vector<WordCell> ComputeWordConsistency(const RowColumns& rows, const LayerColumns& layer,
                                             const WordPieces& pieces,
                                             const BootstrapOptions& options, ThreadPool& pool);

// A word asked for, of any number of pieces, in one data set at one layer.
struct WordExpertCell {
  std::string word;
  std::string dataset;
  int layer = 0;
  int64_t n_units = 0;      // that have the word
  int64_t occurrences = 0;  // whose pieces all have a first choice
  int64_t pieces = 0;
  double alike = 0;  // share of occurrences whose pieces share their first choice
  double alike_token_null = 0;
  int expert = -1;            // the most frequent first choice among its pieces
  double share = 0;           // of its pieces
  double iid_share = 0;       // of the most frequent expert, were as many pieces routed at random
  double token_share = 0;     // of `expert`, were each piece's decision another document's
  double token_coverage = 0;  // share of occurrences that both token nulls are known for
  double share_token_covered = 0;
  double alike_token_covered = 0;
  std::optional<Interval> interval;  // of share
  std::string why_no_interval;
};

// Word by word, a cell for each data set that has it.
std::vector<WordExpertCell> ComputeWordExperts(const RowColumns& rows, const LayerColumns& layer,
                                               const WordPieces& pieces,
                                               const std::vector<std::string>& words,
                                               const BootstrapOptions& options, ThreadPool& pool);

// Over the layers of a run. Throw Error(kBadInput) for a dense run or one without token ids, and
// Error(kNotFound) for a word that no data set has.
std::vector<WordCell> WordTable(const store::Run& run, store::Database& database,
                                const RowColumns& rows, const std::vector<int>& layers,
                                const BootstrapOptions& options, ThreadPool& pool);
std::vector<WordExpertCell> WordExpertTable(const store::Run& run, store::Database& database,
                                            const RowColumns& rows, const std::vector<int>& layers,
                                            const std::vector<std::string>& words,
                                            const BootstrapOptions& options, ThreadPool& pool);

}  // namespace moescope::study
