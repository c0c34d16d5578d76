#include "study/analysis/expert_card.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"
#include "study/analysis/tiny_run.h"

namespace moescope::study {
namespace {

class ExpertCardOfRun : public store::TestDirectory {
 protected:
  ExpertCard Card(int layer, int expert, const ExpertCardOptions& options = {}) {
    const store::Run run = store::Run::Open(Path("run"));
    auto database = run.OpenViews({});
    const RowColumns rows = LoadRows(run, *database);
    ThreadPool pool(2);
    return MakeExpertCard(run, *database, rows, layer, expert, options, pool);
  }
};

const ExpertNeighbour& Neighbour(const ExpertCard& card, NeighbourKind kind, int expert) {
  for (const ExpertNeighbour& neighbour : card.neighbours) {
    if (neighbour.kind == kind && neighbour.expert == expert) return neighbour;
  }
  throw std::runtime_error("no such neighbour");
}

TEST_F(ExpertCardOfRun, CountsByHand) {
  WriteTinyRun(Path("run"), 1, 3, 2,
               {{"a", "u", {{"<s>", {0, 1}}, {" p", {0, 1}}, {" q", {1, 0}}, {" r", {1, 2}}}},
                {"b", "v", {{" p", {2, 0}}, {" q", {1, 2}}}}});
  ExpertCardOptions options;
  options.context_tokens = 1;
  options.min_count = 1;
  const ExpertCard card = Card(0, 0, options);
  EXPECT_EQ(card.rows, 3);
  EXPECT_EQ(card.first_rows, 1);
  EXPECT_EQ(card.text_rows, 5);
  EXPECT_DOUBLE_EQ(card.mean_weight, 0.5);
  // Of the same tokens: 1 twice, 2 once. Without 0 the text has 4 of 1 and 3 of 2.
  const ExpertNeighbour& together = Neighbour(card, NeighbourKind::kTogether, 1);
  EXPECT_EQ(together.count, 2);
  EXPECT_DOUBLE_EQ(together.of, 2.0 / 3);
  EXPECT_DOUBLE_EQ(together.expected, 3 * 4.0 / 7);
  // Pairs: (p,q) (q,r) in a, (p,q) in b. After expert 0: q {1,0}, r {1,2}, q {1,2}.
  const ExpertNeighbour& after = Neighbour(card, NeighbourKind::kAfter, 2);
  EXPECT_EQ(after.count, 2);
  EXPECT_DOUBLE_EQ(after.expected, 3 * 2.0 / 3);
  // Before expert 0: only p, before q of a.
  EXPECT_EQ(Neighbour(card, NeighbourKind::kBefore, 0).count, 1);
  EXPECT_DOUBLE_EQ(Neighbour(card, NeighbourKind::kBefore, 0).expected, 1 * 3.0 / 3);
  ASSERT_EQ(card.datasets.size(), 2u);
  EXPECT_DOUBLE_EQ(card.datasets[0].share, 2.0 / 6);
  EXPECT_DOUBLE_EQ(card.datasets[1].share, 1.0 / 4);
  EXPECT_DOUBLE_EQ(card.datasets[0].lift, (2.0 / 6) / ((2.0 / 6 + 1.0 / 4) / 2));
  // Three random ones, then one of each document by weight, within the document.
  ASSERT_EQ(card.contexts.size(), 5u);
  const ExpertContext& top = card.contexts[3];
  EXPECT_EQ(top.kind, ContextKind::kTop);
  EXPECT_EQ(top.bytes, (std::vector<std::string>{" p", " q"}));
  EXPECT_EQ(top.at, 0);
  EXPECT_EQ(top.position, 1);
  EXPECT_EQ(card.contexts[4].dataset, "b");
  EXPECT_EQ(card.contexts[4].choice, 1);
  ASSERT_FALSE(card.by_count.empty());
  EXPECT_EQ(card.by_count[0].text, " p");
}

TEST_F(ExpertCardOfRun, TopContextsHaveTheLargestWeights) {
  store::SyntheticRun synthetic;
  synthetic.description = store::SyntheticDescription(2, 8, 2);
  synthetic.n_tokens = 4000;
  WriteSynthetic(synthetic, Path("run"), 4000);
  const ExpertCard card = Card(1, 5);
  ASSERT_EQ(card.contexts.size(), 16u);
  const store::Run run = store::Run::Open(Path("run"));
  const auto best = run.OpenViews({})->Query(
      "SELECT document, max(weight) AS best FROM assignments JOIN tokens USING (token) "
      "WHERE layer = 1 AND expert = 5 AND NOT special GROUP BY document ORDER BY best DESC LIMIT "
      "8");
  std::set<int64_t> rows;
  for (int i = 0; i < 8; ++i) {
    const ExpertContext& top = card.contexts[8 + i];
    EXPECT_EQ(top.document, std::get<int64_t>(best.rows[i][0]));
    EXPECT_FLOAT_EQ(static_cast<float>(top.weight),
                    static_cast<float>(std::get<double>(best.rows[i][1])));
    rows.insert(card.contexts[i].row);
  }
  EXPECT_EQ(rows.size(), 8u);  // random ones are drawn without replacement
  const ExpertCard again = Card(1, 5);
  EXPECT_EQ(again.contexts[0].row, card.contexts[0].row);
  ExpertCardOptions other;
  other.bootstrap.seed = 2;
  EXPECT_NE(Card(1, 5, other).contexts[0].row, card.contexts[0].row);
}

TEST_F(ExpertCardOfRun, RefusesWhatIsNotThere) {
  WriteTinyRun(Path("run"), 1, 3, 1, {{"a", "u", {{" p", {0}}, {" q", {1}}}}});
  EXPECT_THROW(Card(1, 0), Error);
  EXPECT_THROW(Card(0, 3), Error);
  const ExpertCard unused = Card(0, 2);
  EXPECT_EQ(unused.rows, 0);
  EXPECT_TRUE(unused.contexts.empty());
}

}  // namespace
}  // namespace moescope::study
