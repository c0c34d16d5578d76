#include "study/analysis/path_distance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "base/random.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/for_each_layer.h"
#include "study/analysis/layer_reals.h"
#include "study/analysis/matched_words.h"
#include "study/analysis/word_routes.h"

namespace moescope::study {
namespace {

// Rows of one word in one document: a range of its contexts.
struct DocumentContexts {
  int32_t document;
  int32_t begin, end;
};

struct Contexts {
  std::vector<int32_t> rows;
  std::vector<DocumentContexts> documents;  // in increasing order
};

Contexts MakeContexts(const RowColumns& rows, std::vector<int32_t> of) {
  Contexts contexts;
  const std::vector<int32_t> documents = DocumentsOfRows(rows, of);
  for (size_t i = 0; i < documents.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    if (i == 0 || documents[i] != documents[i - 1]) {
      contexts.documents.push_back({documents[i], at, at});
    }
    contexts.documents.back().end = at + 1;
  }
  contexts.rows = std::move(of);
  return contexts;
}

// Mean overlap of two words at a layer, summed over layers.
struct Overlap {
  double sets = 0;
  double weights = 0;
};

// A layer with the weights of each row summing to 1.
struct WeightedLayer {
  const LayerColumns& layer;
  std::vector<float> weights;
};

// Inclusion counts and summed weights by expert, of some contexts.
class Tally {
 public:
  explicit Tally(int n_experts) : counts_(n_experts), weights_(n_experts) {}
  void Clear() {
    std::fill(counts_.begin(), counts_.end(), 0.0);
    std::fill(weights_.begin(), weights_.end(), 0.0);
  }
  void Add(const WeightedLayer& weighted, const Contexts& contexts, int32_t begin, int32_t end) {
    const int n_slots = weighted.layer.experts_per_token;
    for (int32_t i = begin; i < end; ++i) {
      const int64_t first = int64_t{contexts.rows[i]} * n_slots;
      for (int64_t at = first; at < first + n_slots; ++at) {
        const int expert = weighted.layer.experts[at];
        if (expert < 0) continue;
        counts_[expert] += 1;
        weights_[expert] += double{weighted.weights[at]};
      }
    }
  }
  // Summed over all pairs of a context here and one there: experts in common, and the mean of the
  // two routing weights on them.
  Overlap Common(const Tally& other) const {
    Overlap common;
    for (size_t e = 0; e < counts_.size(); ++e) {
      common.sets += counts_[e] * other.counts_[e];
      common.weights += (weights_[e] * other.counts_[e] + counts_[e] * other.weights_[e]) / 2;
    }
    return common;
  }

 private:
  std::vector<double> counts_, weights_;
};

// Calls fn(i, j) for documents that both words occur in.
template <typename Fn>
void ForEachCommonDocument(const Contexts& a, const Contexts& b, Fn&& fn) {
  for (size_t i = 0, j = 0; i < a.documents.size() && j < b.documents.size();) {
    const int32_t x = a.documents[i].document, y = b.documents[j].document;
    if (x == y) fn(a.documents[i], b.documents[j]);
    i += x <= y;
    j += y <= x;
  }
}

double PairsFromDifferentDocuments(const Contexts& a, const Contexts& b) {
  double pairs = static_cast<double>(a.rows.size()) * static_cast<double>(b.rows.size());
  ForEachCommonDocument(a, b, [&](const DocumentContexts& x, const DocumentContexts& y) {
    pairs -= static_cast<double>(x.end - x.begin) * static_cast<double>(y.end - y.begin);
  });
  return pairs;
}

// The words and pairs to measure, each once; (i, i) stands for D(i, i).
class Measurement {
 public:
  explicit Measurement(const RowColumns& rows) : rows_(rows) {}

  int AddWord(std::vector<int32_t> rows) {
    words_.push_back(MakeContexts(rows_, std::move(rows)));
    const int word = n_words() - 1;
    AddPair(word, word);
    return word;
  }
  int AddPair(int a, int b) {
    pairs_.push_back({a, b, PairsFromDifferentDocuments(words_[a], words_[b]), {}});
    if (a == b) self_.push_back(static_cast<int>(pairs_.size()) - 1);
    return static_cast<int>(pairs_.size()) - 1;
  }
  int n_words() const { return static_cast<int>(words_.size()); }
  const Contexts& word(int index) const { return words_[index]; }
  double context_pairs(int pair) const { return pairs_[pair].context_pairs; }

  void AddLayer(const WeightedLayer& weighted, ThreadPool& pool) {
    const int n_experts = weighted.layer.n_experts;
    std::vector<Tally> totals(words_.size(), Tally(n_experts));
    pool.Run(n_words(), [&](int64_t w, int) {
      totals[w].Add(weighted, words_[w], 0, static_cast<int32_t>(words_[w].rows.size()));
    });
    struct Scratch {
      Tally a, b;
    };
    std::vector<Scratch> scratch(pool.n_threads(), {Tally(n_experts), Tally(n_experts)});
    pool.Run(static_cast<int64_t>(pairs_.size()), [&](int64_t p, int worker) {
      Pair& pair = pairs_[p];
      if (pair.context_pairs <= 0) return;
      const Contexts& a = words_[pair.a];
      const Contexts& b = words_[pair.b];
      Overlap common = totals[pair.a].Common(totals[pair.b]);
      Scratch& mine = scratch[worker];
      ForEachCommonDocument(a, b, [&](const DocumentContexts& x, const DocumentContexts& y) {
        mine.a.Clear();
        mine.a.Add(weighted, a, x.begin, x.end);
        mine.b.Clear();
        mine.b.Add(weighted, b, y.begin, y.end);
        const Overlap same = mine.a.Common(mine.b);
        common.sets -= same.sets;
        common.weights -= same.weights;
      });
      pair.overlap.sets += common.sets / pair.context_pairs / weighted.layer.experts_per_token;
      pair.overlap.weights += common.weights / pair.context_pairs;
    });
    ++n_layers_;
  }

  // Without its null.
  DistanceResult Result(int pair, double Overlap::*kind) const {
    const auto distance = [&](const Pair& p) {
      return p.context_pairs > 0 ? 1 - p.overlap.*kind / n_layers_ : std::nan("");
    };
    DistanceResult result;
    result.distance = distance(pairs_[pair]);
    result.within_a = distance(pairs_[self_[pairs_[pair].a]]);
    result.within_b = distance(pairs_[self_[pairs_[pair].b]]);
    result.excess = result.distance - (result.within_a + result.within_b) / 2;
    return result;
  }

 private:
  struct Pair {
    int a, b;
    double context_pairs;
    Overlap overlap;
  };
  const RowColumns& rows_;
  std::vector<Contexts> words_;
  std::vector<Pair> pairs_;
  std::vector<int> self_;  // of each word, its pair with itself
  int n_layers_ = 0;
};

std::string WhyNotMeasured(const PairDistance& pair, int min_contexts) {
  const auto complain = [&](const std::string& word, int64_t contexts, int64_t documents) {
    if (contexts < min_contexts) {
      return fmt::format("underpowered: {} has {} context{}, fewer than {}", word, contexts,
                         contexts == 1 ? "" : "s", min_contexts);
    }
    if (documents < 2) return fmt::format("underpowered: {} occurs in one document only", word);
    return std::string();
  };
  const std::string why = complain(pair.a, pair.contexts_a, pair.documents_a);
  return why.empty() ? complain(pair.b, pair.contexts_b, pair.documents_b) : why;
}

void AddNull(std::vector<double> excesses, DistanceResult& result) {
  if (excesses.empty()) {
    result.null_mean = result.null_low = result.null_high = result.p = std::nan("");
    return;
  }
  const auto at_least_as_close =
      std::count_if(excesses.begin(), excesses.end(), [&](double x) { return x <= result.excess; });
  result.p = static_cast<double>(1 + at_least_as_close) / static_cast<double>(1 + excesses.size());
  std::sort(excesses.begin(), excesses.end());
  result.null_mean =
      std::accumulate(excesses.begin(), excesses.end(), 0.0) / static_cast<double>(excesses.size());
  result.null_low = Quantile(excesses, 0.05);
  result.null_high = Quantile(excesses, 0.95);
}

// Holm: the i-th smallest of m is multiplied by m - i, and none is below the one before it.
void CorrectByHolm(std::vector<PairDistance>& pairs, DistanceResult PairDistance::*kind) {
  std::vector<DistanceResult*> tests;
  for (PairDistance& pair : pairs) {
    DistanceResult& result = pair.*kind;
    result.p_holm = std::nan("");
    if (pair.why_not.empty() && std::isfinite(result.p)) tests.push_back(&result);
  }
  std::stable_sort(tests.begin(), tests.end(),
                   [](const DistanceResult* a, const DistanceResult* b) { return a->p < b->p; });
  double largest = 0;
  for (size_t i = 0; i < tests.size(); ++i) {
    largest = std::max(largest, std::min(1.0, tests[i]->p * static_cast<double>(tests.size() - i)));
    tests[i]->p_holm = largest;
  }
}

// What a pair asked for has in the measurement.
struct Planned {
  int pair = -1;
  std::vector<int> null_pairs;
};

}  // namespace

std::vector<PairDistance> ComputePathDistances(
    const store::Run& run, store::Database& database, const RowColumns& rows,
    const WordIndex& index, const std::vector<std::pair<Occurrences, Occurrences>>& pairs,
    const std::vector<int>& layers, const PathDistanceOptions& options, ThreadPool& pool) {
  Measurement measurement(rows);
  const MatchedWords matched(rows, index, options.min_contexts);
  std::unordered_map<int32_t, int> measured;  // word of the index -> of the measurement
  const auto word_of = [&](int32_t word) {
    const auto place = measured.find(word);
    if (place != measured.end()) return place->second;
    return measured[word] = measurement.AddWord(index.At(word).rows);
  };
  std::vector<PairDistance> results(pairs.size());
  std::vector<Planned> plans(pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto& [a, b] = pairs[i];
    PairDistance& result = results[i];
    result.a = a.text;
    result.b = b.text;
    const int word_a = measurement.AddWord(a.rows), word_b = measurement.AddWord(b.rows);
    result.contexts_a = static_cast<int64_t>(a.rows.size());
    result.contexts_b = static_cast<int64_t>(b.rows.size());
    result.documents_a = static_cast<int64_t>(measurement.word(word_a).documents.size());
    result.documents_b = static_cast<int64_t>(measurement.word(word_b).documents.size());
    plans[i].pair = measurement.AddPair(word_a, word_b);
    result.context_pairs = measurement.context_pairs(plans[i].pair);
    result.why_not = WhyNotMeasured(result, options.min_contexts);
    if (!result.why_not.empty()) continue;
    const std::vector<int32_t> like_a = matched.Matching(a, {a.text, b.text}),
                               like_b = matched.Matching(b, {a.text, b.text});
    result.candidates_a = static_cast<int64_t>(like_a.size());
    result.candidates_b = static_cast<int64_t>(like_b.size());
    const uint64_t key = Combine(Combine(options.seed, KeyOfName(a.text)), KeyOfName(b.text));
    for (const auto& [x, y] : DrawPairs(like_a, like_b, options.n_null, key)) {
      const int word_x = word_of(x), word_y = word_of(y);
      plans[i].null_pairs.push_back(measurement.AddPair(word_x, word_y));
    }
  }
  ForEachLayer("distances", run, database, rows, layers, [&](const LayerColumns& layer) {
    measurement.AddLayer({layer, LoadNormalisedWeights(run, database, rows, layer)}, pool);
  });
  for (size_t i = 0; i < pairs.size(); ++i) {
    PairDistance& result = results[i];
    if (!result.why_not.empty()) continue;
    for (const auto& [kind, of] : {std::pair{&Overlap::sets, &PairDistance::sets},
                                   std::pair{&Overlap::weights, &PairDistance::weights}}) {
      result.*of = measurement.Result(plans[i].pair, kind);
      std::vector<double> excesses;
      for (int pair : plans[i].null_pairs) {
        const double excess = measurement.Result(pair, kind).excess;
        if (std::isfinite(excess)) excesses.push_back(excess);
      }
      result.null_pairs = static_cast<int64_t>(excesses.size());
      AddNull(std::move(excesses), result.*of);
    }
    if (result.null_pairs < options.n_null) {
      result.null_note = fmt::format(
          "random pairs: {} instead of {}; words of the text matched to {}: {}, to {}: {}",
          result.null_pairs, options.n_null, result.a, result.candidates_a, result.b,
          result.candidates_b);
    }
  }
  CorrectByHolm(results, &PairDistance::sets);
  CorrectByHolm(results, &PairDistance::weights);
  return results;
}

}  // namespace moescope::study
