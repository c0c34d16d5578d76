#include "study/analysis/path_distance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/random.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"
#include "study/analysis/layer_reals.h"
#include "study/analysis/matched_words.h"
#include "study/analysis/tiny_run.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/word_routes.h"

namespace moescope::study {
namespace {

class PathDistanceOfRun : public store::TestDirectory {};

std::vector<int16_t> RandomSet(Random& random) {
  const auto first = static_cast<int16_t>(random.Below(8));
  auto second = static_cast<int16_t>(random.Below(7));
  if (second >= first) ++second;
  return {first, second};
}

// Each of 54 words once in each of 60 documents. At each of three layers a word has experts of its
// own, chosen in 7 of 10 contexts; "king" and "queen" have the same, "salt" and "sand" have not.
void WritePlantedWords(const std::string& directory) {
  constexpr int kLayers = 3;
  std::vector<std::string> words = {"king", "queen", "salt", "sand"};
  for (int i = 0; i < 50; ++i) {
    words.push_back(std::string("w") + static_cast<char>('a' + i % 26) +
                    static_cast<char>('a' + i / 26));
  }
  Random random(7);
  std::vector<std::vector<int16_t>> home;  // [word * layers]
  for (size_t i = 0; i < words.size() * kLayers; ++i) home.push_back(RandomSet(random));
  for (int l = 0; l < kLayers; ++l) {
    home[kLayers + l] = home[l];
    home[2 * kLayers + l] = {0, 1};
    home[3 * kLayers + l] = {static_cast<int16_t>(2 + l), 7};
  }
  std::vector<TinyDocument> documents;
  for (int d = 0; d < 60; ++d) {
    TinyDocument& document = documents.emplace_back();
    document.dataset = d % 2 == 0 ? "a" : "b";
    document.unit = "unit " + std::to_string(d);
    for (size_t w = 0; w < words.size(); ++w) {
      TinyToken& token = document.tokens.emplace_back();
      token.bytes = " " + words[w];
      for (int l = 0; l < kLayers; ++l) {
        const bool at_home = random.Uniform() < 0.7;
        const auto set = at_home ? home[w * kLayers + l] : RandomSet(random);
        token.experts.insert(token.experts.end(), set.begin(), set.end());
      }
    }
  }
  WriteTinyRun(directory, kLayers, 8, 2, documents);
}

struct Loaded {
  store::Run run;
  std::unique_ptr<store::Database> database;
  RowColumns rows;
  std::vector<std::string> vocabulary;
  WordIndex index;
  ThreadPool pool{2};

  explicit Loaded(const std::string& directory)
      : run(store::Run::Open(directory)),
        database(run.OpenViews({})),
        rows(LoadRows(run, *database)),
        vocabulary(LoadVocabularyBytes(*database)),
        index(rows, vocabulary, -1) {}
  std::vector<PairDistance> Measure(const std::vector<std::pair<std::string, std::string>>& pairs,
                                    const PathDistanceOptions& options) {
    std::vector<std::pair<Occurrences, Occurrences>> found;
    for (const auto& [a, b] : pairs) found.emplace_back(index.Find(a), index.Find(b));
    return ComputePathDistances(run, *database, rows, index, found,
                                run.description().LayerNumbers(), options, pool);
  }
};

TEST_F(PathDistanceOfRun, FindsThePlantedPairAndNotTheDecoy) {
  WritePlantedWords(Path("run"));
  Loaded loaded(Path("run"));
  const auto pairs = loaded.Measure({{"king", "queen"}, {"salt", "sand"}}, {});
  ASSERT_EQ(pairs.size(), 2u);
  const PairDistance& alike = pairs[0];
  EXPECT_EQ(alike.why_not, "");
  EXPECT_EQ(alike.contexts_a, 60);
  EXPECT_EQ(alike.documents_b, 60);
  EXPECT_EQ(alike.context_pairs, 60 * 59);
  EXPECT_EQ(alike.null_pairs, 1000);
  // Equal laws: the excess is 0 up to the noise of 60 contexts (below 0.7 / sqrt(60 * 3) a word).
  EXPECT_NEAR(alike.sets.excess, 0, 0.05);
  EXPECT_GT(alike.sets.null_mean, 0.25);
  EXPECT_LT(alike.sets.p, 0.01);
  EXPECT_DOUBLE_EQ(alike.sets.p_holm, 2 * alike.sets.p);
  EXPECT_LT(alike.weights.p, 0.01);
  const PairDistance& decoy = pairs[1];
  EXPECT_GT(decoy.sets.excess, 0.3);
  EXPECT_GT(decoy.sets.p, 0.3);
  EXPECT_DOUBLE_EQ(decoy.sets.p_holm, decoy.sets.p);
  // Weights are equal in this run, so that both distances are the same number.
  EXPECT_NEAR(decoy.weights.excess, decoy.sets.excess, 1e-6);
}

TEST_F(PathDistanceOfRun, SaysWhenThereAreTooFewContexts) {
  WritePlantedWords(Path("run"));
  Loaded loaded(Path("run"));
  PathDistanceOptions options;
  options.min_contexts = 61;
  const auto pairs = loaded.Measure({{"king", "queen"}}, options);
  EXPECT_EQ(pairs[0].why_not, "underpowered: king has 60 contexts, fewer than 61");
  EXPECT_EQ(pairs[0].null_pairs, 0);
}

// The definition, context by context.
TEST_F(PathDistanceOfRun, EqualsTheMeanOverAllPairsOfContexts) {
  store::SyntheticRun synthetic;
  synthetic.description = store::SyntheticDescription(2, 6, 3);
  synthetic.n_tokens = 6000;
  synthetic.mean_document_tokens = 150;
  WriteSynthetic(synthetic, Path("run"), 3000);
  Loaded loaded(Path("run"));
  PathDistanceOptions options;
  options.min_contexts = 10;
  const auto pairs = loaded.Measure({{"#20", "#31"}}, options);
  ASSERT_EQ(pairs[0].why_not, "");
  const std::vector<int32_t> a = loaded.index.Find("#20").rows, b = loaded.index.Find("#31").rows;
  const auto documents_a = DocumentsOfRows(loaded.rows, a),
             documents_b = DocumentsOfRows(loaded.rows, b);
  ASSERT_LT(std::set(documents_a.begin(), documents_a.end()).size(), a.size())
      << "no document has two contexts: the case to test is missing";
  double sets = 0, weights = 0, n = 0;
  for (int number : {0, 1}) {
    const LayerColumns layer = LoadLayer(loaded.run, *loaded.database, loaded.rows, number);
    const auto weight = LoadNormalisedWeights(loaded.run, *loaded.database, loaded.rows, layer);
    for (size_t i = 0; i < a.size(); ++i) {
      for (size_t j = 0; j < b.size(); ++j) {
        if (documents_a[i] == documents_b[j]) continue;
        n += number == 0;
        for (int x = a[i] * 3; x < a[i] * 3 + 3; ++x) {
          for (int y = b[j] * 3; y < b[j] * 3 + 3; ++y) {
            if (layer.experts[x] != layer.experts[y]) continue;
            sets += 1.0 / 3;
            weights += (double{weight[x]} + double{weight[y]}) / 2;
          }
        }
      }
    }
  }
  EXPECT_EQ(pairs[0].context_pairs, n);
  EXPECT_NEAR(pairs[0].sets.distance, 1 - sets / n / 2, 1e-12);
  EXPECT_NEAR(pairs[0].weights.distance, 1 - weights / n / 2, 1e-12);
}

TEST_F(PathDistanceOfRun, IsTheSameForAnyNumberOfThreads) {
  WritePlantedWords(Path("run"));
  Loaded loaded(Path("run"));
  const auto two = loaded.Measure({{"king", "salt"}}, {});
  ThreadPool one(1);
  const auto alone = ComputePathDistances(loaded.run, *loaded.database, loaded.rows, loaded.index,
                                          {{loaded.index.Find("king"), loaded.index.Find("salt")}},
                                          {0, 1, 2}, {}, one);
  EXPECT_EQ(two[0].sets.excess, alone[0].sets.excess);
  EXPECT_EQ(two[0].weights.null_mean, alone[0].weights.null_mean);
}

TEST(DrawPairs, DrawsDifferentPairsUpToAllThereAre) {
  const std::vector<int32_t> a = {1, 2, 3}, b = {2, 3, 4};
  // {1,2} {1,3} {1,4} {2,3} {2,4} {3,4}
  EXPECT_EQ(DrawPairs(a, b, 100, 1).size(), 6u);
  EXPECT_EQ(DrawPairs(a, b, 4, 1).size(), 4u);
  EXPECT_TRUE(DrawPairs({5}, {5}, 10, 1).empty());
  std::vector<int32_t> many(100);
  for (int i = 0; i < 100; ++i) many[i] = i;
  const auto drawn = DrawPairs(many, many, 1000, 1);
  EXPECT_EQ(std::set(drawn.begin(), drawn.end()).size(), 1000u);
  for (const auto& [x, y] : drawn) EXPECT_LT(x, y);
}

// Everything but one feature is the same: each keeps the word out.
TEST(MatchedWords, MatchesFrequencySpaceCapitalsAndMix) {
  const std::vector<std::string> vocabulary = {" word", " like",  " Capital", "\n",
                                               "glued", " rarer", " other"};
  RowColumnsBuilder builder;
  for (int d = 0; d < 40; ++d) {
    builder.BeginDocument(d, d % 2 == 0 ? "a" : "b", "u");
    builder.BeginSequence();
    int32_t position = 0;
    for (int32_t id : {0, 1, 2, 3, 4}) builder.AddRow(id, position++, false);
    if (d % 2 == 0) builder.AddRow(5, position++, false);
    for (int i = 0; i < 2 && d % 2 == 0; ++i) builder.AddRow(6, position++, false);
  }
  const RowColumns rows = builder.Finish();
  const WordIndex index(rows, vocabulary, -1);
  const MatchedWords matched(rows, index, 5);
  const auto like = matched.Matching(index.Find("word"), {"word"});
  ASSERT_EQ(like.size(), 1u);
  EXPECT_EQ(index.word(like[0]), "like");
}

}  // namespace
}  // namespace moescope::study
