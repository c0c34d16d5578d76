#include "study/analysis/minimal_pair_plan.h"

#include <fmt/format.h>

#include <set>
#include <unordered_map>

#include "base/random.h"
#include "study/analysis/matched_words.h"

namespace moescope::study {
namespace {

// Words by their text, numbered as they come.
class WordList {
 public:
  int NumberOf(const std::string& word) {
    const auto [place, is_new] = number_.try_emplace(word, static_cast<int>(words_.size()));
    if (is_new) words_.push_back(word);
    return place->second;
  }
  std::vector<std::string> Take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
  std::unordered_map<std::string, int> number_;
};

}  // namespace

MinimalPairPlan PlanMinimalPairs(const RowColumns& rows, const WordIndex& index,
                                 const std::vector<std::pair<Occurrences, Occurrences>>& pairs,
                                 int n_null, uint64_t seed) {
  MinimalPairPlan plan;
  WordList words;
  for (const auto& [a, b] : pairs) {
    const uint64_t key = Combine(Combine(seed, KeyOfName(a.text)), KeyOfName(b.text));
    plan.questions.push_back({words.NumberOf(a.text), words.NumberOf(b.text), {}, key});
  }
  const MatchedWords matched(rows, index, kMinOccurrences);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto& [a, b] = pairs[i];
    const std::vector<int32_t> like_a = matched.Matching(a, {a.text, b.text}),
                               like_b = matched.Matching(b, {a.text, b.text});
    const WordsForPairs few = ChooseWordsForPairs(like_a, like_b, n_null, seed);
    std::set<int32_t> used;
    MinimalPairQuestion& question = plan.questions[i];
    for (const auto& [x, y] : DrawPairs(few.a, few.b, n_null, question.key)) {
      used.insert({x, y});
      question.null_pairs.emplace_back(words.NumberOf(index.word(x)),
                                       words.NumberOf(index.word(y)));
    }
    PlannedPair& pair = plan.pairs.emplace_back();
    pair.a = a.text;
    pair.b = b.text;
    pair.occurrences_a = static_cast<int64_t>(a.rows.size());
    pair.occurrences_b = static_cast<int64_t>(b.rows.size());
    pair.candidates_a = static_cast<int64_t>(like_a.size());
    pair.candidates_b = static_cast<int64_t>(like_b.size());
    pair.null_words = static_cast<int64_t>(used.size());
    if (static_cast<int>(question.null_pairs.size()) < n_null) {
      pair.null_note = fmt::format(
          "null pairs: {} instead of {}; words of the text matched to {}: {}, to {}: {}",
          question.null_pairs.size(), n_null, pair.a, pair.candidates_a, pair.b, pair.candidates_b);
    }
  }
  plan.words = words.Take();
  return plan;
}

}  // namespace moescope::study
