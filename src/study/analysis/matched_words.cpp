#include "study/analysis/matched_words.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/random.h"
#include "study/analysis/word_routes.h"

namespace moescope::study {
namespace {

bool IsUpper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool IsLower(char c) {
  return (c >= 'a' && c <= 'z') || (c & 0x80) != 0;
}

double TotalVariation(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} - double{b[i]});
  return sum / 2;
}

}  // namespace

MatchedWords::MatchedWords(const RowColumns& rows, const WordIndex& index, int64_t min_contexts)
    : rows_(rows), index_(index) {
  for (int word = 0; word < index.size(); ++word) {
    if (index.count(word) < min_contexts) continue;
    const Occurrences occurrences = index.At(word);
    const std::vector<int32_t> documents = DocumentsOfRows(rows, occurrences.rows);
    if (documents.front() == documents.back()) continue;
    words_.push_back(FeaturesOf(occurrences));
    words_.back().word = word;
  }
}

MatchedWords::Capitals MatchedWords::CapitalsOf(const std::string& text) {
  const auto n_upper = std::count_if(text.begin(), text.end(), IsUpper);
  const auto n_lower = std::count_if(text.begin(), text.end(), IsLower);
  if (n_upper == 0) return Capitals::kNone;
  if (n_lower == 0) return Capitals::kAll;
  return n_upper == 1 && IsUpper(text[0]) ? Capitals::kFirst : Capitals::kMixed;
}

MatchedWords::Features MatchedWords::FeaturesOf(const Occurrences& word) const {
  Features features;
  features.count = static_cast<int64_t>(word.rows.size());
  features.after_space = 2 * word.after_space > features.count;
  features.capitals = CapitalsOf(word.text);
  features.mix.resize(rows_.datasets.size());
  for (int32_t document : DocumentsOfRows(rows_, word.rows)) {
    features.mix[rows_.documents[document].dataset] += 1;
  }
  for (float& share : features.mix) share /= static_cast<float>(features.count);
  return features;
}

std::vector<int32_t> MatchedWords::Matching(const Occurrences& word,
                                            const std::vector<std::string>& except) const {
  const Features wanted = FeaturesOf(word);
  std::vector<int32_t> matching;
  for (const Features& features : words_) {
    const double ratio = static_cast<double>(features.count) / static_cast<double>(wanted.count);
    if (ratio < 0.75 || ratio > 1.25) continue;
    if (features.after_space != wanted.after_space || features.capitals != wanted.capitals) {
      continue;
    }
    if (TotalVariation(features.mix, wanted.mix) > kMaxMixDistance) continue;
    if (std::find(except.begin(), except.end(), index_.word(features.word)) != except.end()) {
      continue;
    }
    matching.push_back(features.word);
  }
  return matching;
}

std::vector<std::pair<int32_t, int32_t>> DrawPairs(const std::vector<int32_t>& a,
                                                   const std::vector<int32_t>& b, int limit,
                                                   uint64_t key) {
  using Pair = std::pair<int32_t, int32_t>;
  std::set<Pair> pairs;
  const auto add = [&](int32_t x, int32_t y) {
    if (x != y) pairs.insert({std::min(x, y), std::max(x, y)});
  };
  // Below four times the limit enumerating is as cheap as drawing and cannot miss any.
  const double n_products = static_cast<double>(a.size()) * static_cast<double>(b.size());
  if (n_products <= 4.0 * limit) {
    for (int32_t x : a) {
      for (int32_t y : b) add(x, y);
    }
    std::vector<Pair> all(pairs.begin(), pairs.end());
    Random random(key);
    for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.Below(i)]);
    if (static_cast<int>(all.size()) > limit) all.resize(limit);
    return all;
  }
  // At least 2 x limit - min(|a|, |b|) / 2 different pairs exist, so this ends soon.
  Random random(key);
  while (static_cast<int>(pairs.size()) < limit) {
    add(a[random.Below(a.size())], b[random.Below(b.size())]);
  }
  return {pairs.begin(), pairs.end()};
}

WordsForPairs ChooseWordsForPairs(const std::vector<int32_t>& a, const std::vector<int32_t>& b,
                                  int64_t limit, uint64_t seed) {
  const std::set<int32_t> in_a(a.begin(), a.end()), in_b(b.begin(), b.end());
  std::vector<int32_t> both, only_a, only_b;
  for (int32_t word : in_a) (in_b.contains(word) ? both : only_a).push_back(word);
  for (int32_t word : in_b) {
    if (!in_a.contains(word)) only_b.push_back(word);
  }
  for (std::vector<int32_t>* words : {&both, &only_a, &only_b}) {
    std::ranges::sort(*words, {}, [&](int32_t word) { return Combine(seed, word); });
  }
  WordsForPairs chosen;
  int64_t n_pairs = 0;
  size_t n_both = 0, n_only_a = 0, n_only_b = 0;
  while (n_pairs < limit) {
    if (n_both < both.size()) {
      n_pairs += static_cast<int64_t>(n_both);
      chosen.a.push_back(both[n_both]);
      chosen.b.push_back(both[n_both++]);
      continue;
    }
    const bool more_a = n_only_a < only_a.size(), more_b = n_only_b < only_b.size();
    if (!more_a && !more_b) break;
    if (more_a && (!more_b || chosen.b.size() >= chosen.a.size())) {
      n_pairs += static_cast<int64_t>(chosen.b.size());
      chosen.a.push_back(only_a[n_only_a++]);
    } else {
      n_pairs += static_cast<int64_t>(chosen.a.size());
      chosen.b.push_back(only_b[n_only_b++]);
    }
  }
  std::ranges::sort(chosen.a);
  std::ranges::sort(chosen.b);
  return chosen;
}

}  // namespace moescope::study
