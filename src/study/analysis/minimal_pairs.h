// The minimal-pair form of the path distance: two words in the same templates, so that the word is
// all that differs; beside pairs of matched words in the same templates.
// Definitions: docs/analyses.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "routing/routed_rows.h"
#include "study/analysis/bootstrap.h"

namespace moescope::study {

// A template an entry: the row of the word's last piece, then those after it; no rows where the
// word does not stand by itself.
using WordInTemplates = std::span<const routing::RoutedRows>;

// Fewer null pairs can give no p below 0.05.
inline constexpr int64_t kMinNullPairs = 20;

// Where two words are compared, and how.
enum class MinimalKind {
  kSets,          // last piece, share of experts in common
  kWeights,       // last piece, mean of the two routing weights on experts in common
  kAfter,         // tokens after the word, share of experts in common
  kAfterWeights,  // tokens after the word, by weight
};
inline constexpr int kMinimalKinds = 4;
template <typename T>
using ByMinimalKind = std::array<T, kMinimalKinds>;  // indexed by MinimalKind

// 1 - the mean over templates and layers. NaN: there is none.
struct MinimalDistance {
  double distance = 0;
  std::optional<Interval> interval;  // over templates
  double null_mean = 0;
  double null_low = 0;  // 5th and 95th percentiles
  double null_high = 0;
  double p = 0;       // one-sided: null pairs at least as close
  double p_holm = 0;  // over the pairs asked for
};

struct MinimalLayer {
  int layer = 0;
  ByMinimalKind<double> distance = {};
  ByMinimalKind<double> null_mean = {};
};

// What is asked: indices into the words given.
struct MinimalPairQuestion {
  int a = 0, b = 0;
  std::vector<std::pair<int, int>> null_pairs;
  uint64_t key = 0;  // of the resamples of its interval
};

struct MinimalPair {
  std::vector<int32_t> templates;  // where both words stand by themselves
  int64_t after_tokens = 0;        // compared after the word, over these templates
  ByMinimalKind<MinimalDistance> distances;
  std::vector<MinimalLayer> layers;
  std::vector<ByMinimalKind<double>> by_template;  // as `templates`
  int64_t null_pairs = 0;                          // that share a template with the pair
  // Shares of templates (mean over null pairs) in which both words end in the same token, as
  // "walking" and "talking" may: these are close for another reason than their meaning.
  double same_last_piece = 0, null_same_last_piece = 0;  // NaN: no templates, no null pairs
  std::string why_not;          // "": measured. "no template where both words stand by themselves"
  std::string why_no_p;         // "underpowered: 3 null pairs, fewer than 20"
  std::string why_no_interval;  // "4 templates, fewer than 10"

  const MinimalDistance& of(MinimalKind kind) const { return distances[static_cast<size_t>(kind)]; }
};

// A pure function of the words' routes. Null pairs are compared in the templates of the pair they
// belong to. Tokens after the word are those at the end of both sequences that have the same ids.
// Layers: which to take the mean of, indices into the rows' layers.
// Requires: all words have the same number of templates, all rows the same layers and K.
// The same for any number of threads.
std::vector<MinimalPair> CompareMinimalPairs(std::span<const WordInTemplates> words,
                                             std::span<const MinimalPairQuestion> questions,
                                             const std::vector<int>& layers,
                                             const BootstrapOptions& options, ThreadPool& pool);

}  // namespace moescope::study
