#include "study/analysis/run_diff.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"
#include "study/analysis/tiny_run.h"

namespace moescope::study {
namespace {

using Edit = std::function<void(store::SyntheticWave&)>;

class DiffOfRuns : public store::TestDirectory {
 protected:
  static store::SyntheticRun Synthetic(int n_layers, int n_experts, int experts_per_token) {
    store::SyntheticRun synthetic;
    synthetic.description = store::SyntheticDescription(n_layers, n_experts, experts_per_token);
    synthetic.n_tokens = 5000;
    synthetic.mean_document_tokens = 100;
    return synthetic;
  }
  void WriteEdited(const store::SyntheticRun& synthetic, const std::string& name,
                   const Edit& edit) {
    const auto documents = synthetic.Documents();
    store::SyntheticWave wave = MakeWave(synthetic, documents, 0, 0, synthetic.n_tokens);
    edit(wave);
    store::RunWriter writer(Path(name), synthetic.description,
                            store::SyntheticVocabulary(synthetic.description.vocab_size),
                            uint64_t{64} << 20);
    writer.CommitWave(wave.documents, wave.tokens, wave.Routes());
    writer.Finish();
  }
  RunDiff Diff(const std::string& name_a, const std::string& name_b,
               const std::vector<int>& layers = {}) {
    const store::Run a = store::Run::Open(Path(name_a)), b = store::Run::Open(Path(name_b));
    auto database_a = a.OpenViews({}), database_b = b.OpenViews({});
    const RowColumns rows = LoadRows(a, *database_a);
    ThreadPool pool(2);
    return DiffRuns({a, *database_a}, {b, *database_b}, rows, layers, {}, pool);
  }
  std::string ErrorOf(const std::string& a, const std::string& b) {
    try {
      Diff(a, b);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      return error.what();
    }
    return "no error";
  }
};

TEST_F(DiffOfRuns, OfARunWithItselfIsZero) {
  WriteEdited(Synthetic(2, 8, 2), "run", [](store::SyntheticWave&) {});
  const RunDiff diff = Diff("run", "run");
  EXPECT_EQ(diff.why_no_decisions, "");
  ASSERT_EQ(diff.cells.size(), 6u);  // 2 layers x (all, a, b)
  for (const DiffCell& cell : diff.cells) {
    EXPECT_GT(cell.decisions, 0);
    EXPECT_EQ(cell.sets_changed, 0);
    EXPECT_EQ(cell.first_changed, 0);
    EXPECT_EQ(cell.saturation, 1);
    EXPECT_TRUE(std::isnan(cell.largest_changed_margin));
    EXPECT_EQ(cell.expert, -1);
    ASSERT_TRUE(cell.set_change_interval);
    EXPECT_EQ(cell.set_change_interval->high, 0);
  }
  ASSERT_EQ(diff.losses.size(), 3u);
  EXPECT_EQ(diff.losses[0].difference, 0);
  EXPECT_EQ(diff.losses[0].loss_a, diff.losses[0].loss_b);
  EXPECT_GT(diff.losses[0].loss_a, 0);
}

// Every decision whose margin is below a threshold gets another second expert.
TEST_F(DiffOfRuns, FindsTheMarginBelowWhichDecisionsWereFlipped) {
  constexpr float kThreshold = 0.25f;
  const store::SyntheticRun synthetic = Synthetic(2, 8, 2);
  WriteEdited(synthetic, "a", [](store::SyntheticWave&) {});
  int64_t n_flipped = 0;
  float largest = 0;
  WriteEdited(synthetic, "b", [&](store::SyntheticWave& wave) {
    auto& layer = wave.layers[1];
    for (size_t row = 0; row < layer.margins.size(); ++row) {
      if (layer.margins[row] >= kThreshold) continue;
      int16_t* experts = layer.experts.data() + 2 * row;
      const auto other = [&](int step) { return static_cast<int16_t>((experts[1] + step) % 8); };
      experts[1] = other(1) == experts[0] ? other(2) : other(1);
      if (wave.tokens[row].special) continue;
      ++n_flipped;
      largest = std::max(largest, layer.margins[row]);
    }
  });
  const RunDiff diff = Diff("a", "b");
  EXPECT_EQ(diff.cells[0].sets_changed, 0);  // layer 0
  const DiffCell& all = diff.cells[3];
  EXPECT_EQ(all.layer, 1);
  EXPECT_EQ(all.dataset, "");
  EXPECT_EQ(all.sets_changed, n_flipped);
  EXPECT_EQ(all.first_changed, 0);
  const auto n = static_cast<double>(all.decisions);
  EXPECT_DOUBLE_EQ(all.saturation, 1 - static_cast<double>(n_flipped) / n / 2);
  // Margins are stored with 12 bits.
  EXPECT_NEAR(all.largest_changed_margin, largest, largest * 1.3e-4);
  EXPECT_LE(all.kept_below, 0.01);  // all decisions up to there, but for that rounding
  EXPECT_LT(all.margin_changed[4], kThreshold);
  EXPECT_GT(all.margin_kept[0], kThreshold);
  EXPECT_EQ(diff.cells[4].sets_changed + diff.cells[5].sets_changed, n_flipped);
  ASSERT_TRUE(all.set_change_interval);
  EXPECT_LT(all.set_change_interval->low, all.set_change);
  EXPECT_GT(all.set_change_interval->high, all.set_change);
}

TEST_F(DiffOfRuns, CountsByHand) {
  const auto write = [&](const std::string& name, const std::vector<TinyToken>& tokens) {
    WriteTinyRun(Path(name), 1, 4, 2, {{"a", "u", tokens}});
  };
  write("a", {{"<s>", {0, 1}, 1.0f},
              {" x", {0, 1}, 2.0f, {0.5f}},    // order only
              {" y", {2, 3}, 3.0f, {0.25f}},   // one expert of two
              {" z", {2, 3}, 4.0f, {0.125f}},  // both
              {" w", {1, 2}, NAN, {2.0f}}});   // kept
  write("b", {{"<s>", {2, 3}, 1.5f},
              {" x", {1, 0}, 2.0f},
              {" y", {2, 0}, 2.0f},
              {" z", {0, 1}, 6.0f},
              {" w", {1, 2}, NAN}});
  const RunDiff diff = Diff("a", "b");
  const DiffCell& cell = diff.cells[0];
  EXPECT_EQ(cell.decisions, 4);  // BOS left out
  EXPECT_EQ(cell.sets_changed, 2);
  EXPECT_EQ(cell.first_changed, 2);
  EXPECT_DOUBLE_EQ(cell.saturation, 5.0 / 8);
  EXPECT_DOUBLE_EQ(cell.largest_changed_margin, 0.25);
  EXPECT_DOUBLE_EQ(cell.kept_below, 0);
  EXPECT_DOUBLE_EQ(cell.margin_kept[2], 1.25);
  // Expert 0: 1 of 8 and 3 of 8; experts 2 and 3 lose 1 and 2. The first of the largest.
  EXPECT_EQ(cell.expert, 0);
  EXPECT_DOUBLE_EQ(cell.share_a, 1.0 / 8);
  EXPECT_DOUBLE_EQ(cell.share_b, 3.0 / 8);
  EXPECT_EQ(cell.why_no_interval, "1 unit, fewer than 10");
  // BOS has a loss: that of the first token.
  EXPECT_EQ(diff.losses[0].predictions, 4);
  EXPECT_DOUBLE_EQ(diff.losses[0].loss_a, 2.5);
  EXPECT_DOUBLE_EQ(diff.losses[0].difference, (11.5 - 10) / 4);
}

TEST_F(DiffOfRuns, NamesTheFirstDifferenceOfTexts) {
  const store::SyntheticRun synthetic = Synthetic(1, 4, 1);
  WriteEdited(synthetic, "a", [](store::SyntheticWave&) {});
  WriteEdited(synthetic, "b", [](store::SyntheticWave& wave) {
    wave.tokens[321].token_id = wave.tokens[321].token_id == 9 ? 8 : 9;
  });
  EXPECT_NE(ErrorOf("a", "b").find("token 321 (document "), std::string::npos);
  EXPECT_NE(ErrorOf("a", "b").find("found token id "), std::string::npos);
  store::SyntheticRun longer = synthetic;
  longer.n_tokens = 5001;
  WriteEdited(longer, "c", [](store::SyntheticWave&) {});
  EXPECT_NE(ErrorOf("a", "c").find("expected 5000 tokens as in the first, found 5001"),
            std::string::npos)
      << ErrorOf("a", "c");
  EXPECT_NE(ErrorOf("c", "a").find("expected 5001 tokens as in the first, found 5000"),
            std::string::npos);
  WriteEdited(synthetic, "d", [](store::SyntheticWave& wave) {
    for (auto& token : wave.tokens) token.special = 0;
  });
  EXPECT_NE(ErrorOf("a", "d").find("token 0 (document "), std::string::npos);
}

TEST_F(DiffOfRuns, OfModelsOfAnotherShapeHasLossesAndShares) {
  WriteEdited(Synthetic(2, 8, 2), "a", [](store::SyntheticWave&) {});
  WriteEdited(Synthetic(2, 8, 1), "b", [](store::SyntheticWave&) {});
  WriteEdited(Synthetic(1, 4, 2), "c", [](store::SyntheticWave&) {});
  WriteEdited(Synthetic(2, 0, 0), "dense", [](store::SyntheticWave&) {});
  const RunDiff fewer = Diff("a", "b");
  EXPECT_EQ(fewer.why_no_decisions, "experts per token: 2 and 1");
  ASSERT_EQ(fewer.cells.size(), 6u);
  EXPECT_EQ(fewer.cells[0].decisions, 0);
  EXPECT_GE(fewer.cells[0].expert, 0);
  EXPECT_EQ(fewer.losses.size(), 3u);
  const RunDiff smaller = Diff("a", "c");
  EXPECT_EQ(smaller.why_no_decisions, "layers: 2 and 1");
  ASSERT_EQ(smaller.cells.size(), 3u);  // the layer both have
  EXPECT_TRUE(std::isnan(smaller.shares[7].share_b));
  const RunDiff dense = Diff("a", "dense");
  EXPECT_EQ(dense.why_no_decisions, "a run is of a dense model");
  EXPECT_TRUE(dense.cells.empty());
  EXPECT_EQ(dense.losses.size(), 3u);
}

}  // namespace
}  // namespace moescope::study
