// Two decisions drawn independently agree with a probability that is a sum of products: over
// experts for first choices; for sets, by inclusion and exclusion, over subsets A of experts:
//   P(S and T meet) = sum over non-empty A of (-1)^(|A|+1) P(A in S) P(A in T),  |A| <= K.
// So a token's decisions are summed up in one count a feature (expert, or subset of experts), the
// counts of a document are taken off, and a pair costs one product of two short vectors: 44
// numbers for 8 experts and 2 choices.
#include "study/analysis/token_null.h"

#include <algorithm>
#include <bit>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace moescope::study {
namespace {

constexpr int kMaxFeatures = 512;
constexpr uint64_t kMaxTableBytes = uint64_t{512} << 20;

// The features a set of experts counts in: its non-empty subsets. Those of odd size come first, so
// that signs need no table.
struct SubsetFeatures {
  int n_odd = 0;
  int n_even = 0;
  std::vector<std::vector<int32_t>> of_set;  // [set] feature indices, 0-based

  int size() const { return n_odd + n_even; }
};

// False when there are more than kMaxFeatures.
bool MakeFeatures(const ExpertSets& sets, int n_slots, SubsetFeatures& features) {
  if (n_slots > 8) return false;  // 255 subsets a set
  std::map<std::vector<int16_t>, int32_t> odd, even;
  std::vector<int16_t> subset;
  const auto for_each_subset = [&](int32_t set, auto&& fn) {
    const std::vector<int16_t> members = sets.Members(set);
    for (uint32_t choice = 1; choice < (1u << members.size()); ++choice) {
      subset.clear();
      for (size_t m = 0; m < members.size(); ++m) {
        if (choice >> m & 1) subset.push_back(members[m]);
      }
      fn(subset.size() % 2 == 1 ? odd : even);
    }
  };
  for (int32_t set = 0; set < sets.size(); ++set) {
    for_each_subset(
        set, [&](auto& index) { index.try_emplace(subset, static_cast<int32_t>(index.size())); });
    if (odd.size() + even.size() > kMaxFeatures) return false;
  }
  features.n_odd = static_cast<int>(odd.size());
  features.n_even = static_cast<int>(even.size());
  features.of_set.resize(sets.size());
  for (int32_t set = 0; set < sets.size(); ++set) {
    for_each_subset(set, [&](auto& index) {
      features.of_set[set].push_back(index.at(subset) + (&index == &even ? features.n_odd : 0));
    });
  }
  return true;
}

double Dot(const double* a, const double* b, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// Token ids of a data set, renumbered densely.
struct DenseTokens {
  std::vector<int32_t> of_id;  // [largest id + 1] -1: does not occur
  int n = 0;
};

DenseTokens NumberTokens(const RowColumns& rows, const DatasetInfo& dataset) {
  DenseTokens tokens;
  for (int32_t d : dataset.documents) {
    const DocumentRange& document = rows.documents[d];
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const size_t id = static_cast<size_t>(rows.token_id[row]);
      if (id >= tokens.of_id.size()) tokens.of_id.resize(id + 1, -1);
      if (tokens.of_id[id] < 0) tokens.of_id[id] = tokens.n++;
    }
  }
  return tokens;
}

// Exact expectation, one document at a time.
class TokenTable {
 public:
  TokenTable(const RowColumns& rows, const LayerColumns& layer, const ExpertSets& sets,
             SubsetFeatures features, DenseTokens tokens)
      : rows_(rows),
        layer_(layer),
        sets_(sets),
        features_(std::move(features)),
        tokens_(std::move(tokens)),
        width_(layer.n_experts + features_.size()),
        n_rows_(tokens_.n),
        counts_(static_cast<size_t>(tokens_.n) * width_) {}

  void Add(const DocumentRange& document) {
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      const int32_t token = tokens_.of_id[rows_.token_id[row]];
      ++n_rows_[token];
      Count(row, counts_.data() + static_cast<size_t>(token) * width_);
    }
  }

  // What a worker needs to look at a document: its tokens, numbered among themselves.
  struct Scratch {
    std::vector<int32_t> local_of_token;  // [n tokens] -1
    std::vector<int32_t> token_of_local;
    std::vector<int32_t> local_of_row;
    std::vector<int32_t> counts;    // [local, width] in this document
    std::vector<int32_t> n_rows;    // [local] in this document
    std::vector<double> elsewhere;  // [local, width] in the other documents
  };

  // `sums` has one place a rule.
  void Compare(const DocumentRange& document, std::span<const PairRule> rules, Scratch& scratch,
               TokenNullSums* sums) const {
    TakeOff(document, scratch);
    for (size_t r = 0; r < rules.size(); ++r) {
      for (int64_t s = 0; s < document.n_sequences; ++s) {
        const SequenceRange& sequence = rows_.sequences[document.first_sequence + s];
        ForEachPair(rows_, sequence, rules[r], [&](int64_t i, int64_t j) {
          AddPair(i, j, scratch.local_of_row[i - document.first_row],
                  scratch.local_of_row[j - document.first_row], scratch, sums[r]);
        });
      }
    }
    for (int32_t token : scratch.token_of_local) scratch.local_of_token[token] = -1;
  }

 private:
  void Count(int64_t row, int32_t* counts) const {
    const int first = layer_.experts[row * layer_.experts_per_token];
    if (first >= 0) ++counts[first];
    for (int32_t feature : features_.of_set[sets_.set_of_row()[row]]) {
      ++counts[layer_.n_experts + feature];
    }
  }

  void TakeOff(const DocumentRange& document, Scratch& scratch) const {
    scratch.local_of_token.resize(tokens_.n, -1);
    scratch.token_of_local.clear();
    scratch.local_of_row.resize(document.n_rows);
    for (int64_t r = 0; r < document.n_rows; ++r) {
      const int32_t token = tokens_.of_id[rows_.token_id[document.first_row + r]];
      int32_t& local = scratch.local_of_token[token];
      if (local < 0) {
        local = static_cast<int32_t>(scratch.token_of_local.size());
        scratch.token_of_local.push_back(token);
      }
      scratch.local_of_row[r] = local;
    }
    const size_t n_local = scratch.token_of_local.size();
    scratch.counts.assign(n_local * width_, 0);
    scratch.n_rows.assign(n_local, 0);
    for (int64_t r = 0; r < document.n_rows; ++r) {
      const size_t local = scratch.local_of_row[r];
      ++scratch.n_rows[local];
      Count(document.first_row + r, scratch.counts.data() + local * width_);
    }
    scratch.elsewhere.resize(n_local * width_);
    for (size_t local = 0; local < n_local; ++local) {
      const int32_t* all =
          counts_.data() + static_cast<size_t>(scratch.token_of_local[local]) * width_;
      for (int f = 0; f < width_; ++f) {
        scratch.elsewhere[local * width_ + f] = all[f] - scratch.counts[local * width_ + f];
      }
    }
  }

  void AddPair(int64_t i, int64_t j, int32_t a, int32_t b, const Scratch& scratch,
               TokenNullSums& sums) const {
    const int32_t n_a = n_rows_[scratch.token_of_local[a]] - scratch.n_rows[a];
    const int32_t n_b = n_rows_[scratch.token_of_local[b]] - scratch.n_rows[b];
    // A token twice: two different occurrences are needed.
    if (a == b ? n_a < 2 : (n_a < 1 || n_b < 1)) return;
    const double* x = scratch.elsewhere.data() + static_cast<size_t>(a) * width_;
    const double* y = scratch.elsewhere.data() + static_cast<size_t>(b) * width_;
    const int n_experts = layer_.n_experts;
    double repeats = Dot(x, y, n_experts);
    double overlaps =
        Dot(x + n_experts, y + n_experts, features_.n_odd) -
        Dot(x + n_experts + features_.n_odd, y + n_experts + features_.n_odd, features_.n_even);
    double pairs = static_cast<double>(n_a) * n_b;
    if (a == b) {  // an occurrence is never paired with itself
      for (int e = 0; e < n_experts; ++e) repeats -= x[e];
      for (int f = 0; f < features_.size(); ++f) {
        overlaps -= f < features_.n_odd ? x[n_experts + f] : -x[n_experts + f];
      }
      pairs = static_cast<double>(n_a) * (n_a - 1);
    }
    ++sums.covered;
    const int first_i = layer_.experts[i * layer_.experts_per_token];
    sums.first_repeats += first_i >= 0 && first_i == layer_.experts[j * layer_.experts_per_token];
    sums.any_overlaps += sets_.Meet(sets_.set_of_row()[i], sets_.set_of_row()[j]) ? 1 : 0;
    sums.expected_first_repeats += repeats / pairs;
    sums.expected_any_overlaps += overlaps / pairs;
  }

  const RowColumns& rows_;
  const LayerColumns& layer_;
  const ExpertSets& sets_;
  const SubsetFeatures features_;
  const DenseTokens tokens_;
  const int width_;              // first-choice counts of each expert, then the features
  std::vector<int32_t> n_rows_;  // [token]
  std::vector<int32_t> counts_;  // [token, width]
};

// Sums per document, added in order, so that threads cannot change the result.
//   parts  [documents, n_rules]
TokenNullSums AddUp(const std::vector<TokenNullSums>& parts, size_t n_rules, size_t rule) {
  TokenNullSums total;
  for (size_t p = rule; p < parts.size(); p += n_rules) {
    const TokenNullSums& part = parts[p];
    total.covered += part.covered;
    total.first_repeats += part.first_repeats;
    total.any_overlaps += part.any_overlaps;
    total.expected_first_repeats += part.expected_first_repeats;
    total.expected_any_overlaps += part.expected_any_overlaps;
  }
  return total;
}

// Rows of each token in row order, so that a document's occurrences are one run of the list.
struct Occurrences {
  std::vector<int64_t> begin;  // [n tokens + 1]
  std::vector<int64_t> row;
};

Occurrences ListOccurrences(const RowColumns& rows, const DatasetInfo& dataset,
                            const DenseTokens& tokens) {
  Occurrences lists;
  lists.begin.assign(tokens.n + 1, 0);
  lists.row.resize(dataset.n_rows);
  const auto for_each_row = [&](auto&& fn) {
    for (int32_t d : dataset.documents) {
      const DocumentRange& document = rows.documents[d];
      for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
        fn(row, tokens.of_id[rows.token_id[row]]);
      }
    }
  };
  for_each_row([&](int64_t, int32_t token) { ++lists.begin[token + 1]; });
  for (int t = 0; t < tokens.n; ++t) lists.begin[t + 1] += lists.begin[t];
  std::vector<int64_t> next(lists.begin.begin(), lists.begin.end() - 1);
  for_each_row([&](int64_t row, int32_t token) { lists.row[next[token]++] = row; });
  return lists;
}

// Occurrences of one token outside one document: two runs of its list.
struct Elsewhere {
  const int64_t* begin;
  int64_t n_before, n_skipped, n;
  int64_t At(int64_t i) const { return begin[i < n_before ? i : i + n_skipped]; }
};

Elsewhere OutsideDocument(const Occurrences& lists, int32_t token, const DocumentRange& document) {
  const int64_t* begin = lists.row.data() + lists.begin[token];
  const int64_t* end = lists.row.data() + lists.begin[token + 1];
  const int64_t* first = std::lower_bound(begin, end, document.first_row);
  const int64_t* last = std::lower_bound(first, end, document.first_row + document.n_rows);
  return {begin, first - begin, last - first, (end - begin) - (last - first)};
}

}  // namespace

bool ExactTokenNull(const RowColumns& rows, int dataset, const LayerColumns& layer,
                    const ExpertSets& sets, std::span<const PairRule> rules, ThreadPool& pool,
                    std::vector<TokenNullSums>& sums) {
  const DatasetInfo& info = rows.datasets[dataset];
  SubsetFeatures features;
  if (!MakeFeatures(sets, layer.experts_per_token, features)) return false;
  DenseTokens tokens = NumberTokens(rows, info);
  const uint64_t width = layer.n_experts + features.size();
  if (width * tokens.n * sizeof(int32_t) > kMaxTableBytes) return false;

  TokenTable table(rows, layer, sets, std::move(features), std::move(tokens));
  for (int32_t d : info.documents) table.Add(rows.documents[d]);
  std::vector<TokenNullSums> parts(info.documents.size() * rules.size());
  std::vector<TokenTable::Scratch> scratch(pool.n_threads());
  pool.Run(static_cast<int64_t>(info.documents.size()), [&](int64_t task, int worker) {
    table.Compare(rows.documents[info.documents[task]], rules, scratch[worker],
                  parts.data() + static_cast<size_t>(task) * rules.size());
  });
  sums.clear();
  for (size_t r = 0; r < rules.size(); ++r) sums.push_back(AddUp(parts, rules.size(), r));
  return true;
}

TokenNullSums DrawnTokenNull(const RowColumns& rows, int dataset, const LayerColumns& layer,
                             const ExpertSets& sets, const PairRule& rule, uint64_t key,
                             ThreadPool& pool) {
  const DatasetInfo& info = rows.datasets[dataset];
  const DenseTokens tokens = NumberTokens(rows, info);
  const Occurrences lists = ListOccurrences(rows, info, tokens);
  const auto set = sets.set_of_row();
  const auto first = [&](int64_t row) { return layer.experts[row * layer.experts_per_token]; };
  std::vector<TokenNullSums> parts(info.documents.size());
  pool.Run(static_cast<int64_t>(parts.size()), [&](int64_t task, int) {
    const DocumentRange& document = rows.documents[info.documents[task]];
    TokenNullSums& part = parts[task];
    const auto add_pair = [&](int64_t i, int64_t j) {
      const int32_t token_i = tokens.of_id[rows.token_id[i]];
      const int32_t token_j = tokens.of_id[rows.token_id[j]];
      const Elsewhere a = OutsideDocument(lists, token_i, document);
      const Elsewhere b = OutsideDocument(lists, token_j, document);
      const bool same = token_i == token_j;
      if (same ? a.n < 2 : (a.n < 1 || b.n < 1)) return;
      ++part.covered;
      part.first_repeats += first(i) >= 0 && first(i) == first(j);
      part.any_overlaps += sets.Meet(set[i], set[j]) ? 1 : 0;
      Random random(Combine(key, static_cast<uint64_t>(i)));
      int repeats = 0, overlaps = 0;
      for (int draw = 0; draw < kTokenNullDraws; ++draw) {
        const int64_t at_x = static_cast<int64_t>(random.Below(a.n));
        int64_t at_y = static_cast<int64_t>(random.Below(same ? b.n - 1 : b.n));
        if (same && at_y >= at_x) ++at_y;
        const int64_t x = a.At(at_x), y = b.At(at_y);
        repeats += first(x) >= 0 && first(x) == first(y);
        overlaps += sets.Meet(set[x], set[y]) ? 1 : 0;
      }
      part.expected_first_repeats += static_cast<double>(repeats) / kTokenNullDraws;
      part.expected_any_overlaps += static_cast<double>(overlaps) / kTokenNullDraws;
    };
    for (int64_t s = 0; s < document.n_sequences; ++s) {
      ForEachPair(rows, rows.sequences[document.first_sequence + s], rule, add_pair);
    }
  });
  return AddUp(parts, 1, 0);
}

std::vector<TokenNullSums> ComputeTokenNull(const RowColumns& rows, int dataset,
                                            const LayerColumns& layer, const ExpertSets& sets,
                                            std::span<const PairRule> rules, uint64_t key,
                                            ThreadPool& pool) {
  std::vector<TokenNullSums> sums(rules.size());
  if (rows.datasets[dataset].documents.size() < 2) return sums;  // no other document
  if (ExactTokenNull(rows, dataset, layer, sets, rules, pool, sums)) return sums;
  for (size_t r = 0; r < rules.size(); ++r) {
    sums[r] = DrawnTokenNull(rows, dataset, layer, sets, rules[r], key, pool);
  }
  return sums;
}

}  // namespace moescope::study
