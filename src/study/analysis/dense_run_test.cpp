// Runs of dense models: what needs no routes works, what needs them says so.
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "store/run.h"
#include "store/test_directory.h"
#include "study/analysis/findings.h"
#include "study/analysis/perplexity.h"
#include "study/analysis/repetition.h"
#include "study/analysis/statement.h"
#include "study/analysis/tiny_run.h"
#include "study/analysis/token_views.h"
#include "study/figures/routed_text.h"

namespace moescope::study {
namespace {

class DenseRun : public store::TestDirectory {
 protected:
  void SetUp() override {
    TestDirectory::SetUp();
    WriteTinyRun(Path("run"), 3, 0, 0,
                 {{"d", "u", {{"<s>", {}, 1.0f}, {"abcd", {}, 2.0f}, {"ef", {}}}},
                  {"e", "w", {{"<s>", {}, 4.0f}, {"x", {}}}}});
    run_.emplace(store::Run::Open(Path("run")));
    database_ = run_->OpenViews({});
    rows_ = LoadRows(*run_, *database_);
  }

  // That `call` names the run, the reason, and what works instead.
  template <typename Call>
  void ExpectNoRoutes(Call call) const {
    try {
      call();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      const std::string message = error.what();
      for (const std::string& part :
           {Path("run"), std::string("dense model"), std::string("figure perplexity"),
            std::string("query"), std::string("report")}) {
        EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
      }
    }
  }

  std::optional<store::Run> run_;
  std::unique_ptr<store::Database> database_;
  RowColumns rows_;
  ThreadPool pool_{1};
};

TEST_F(DenseRun, PerplexityIsThatOfItsLosses) {
  const auto rows = PerplexityTable(*run_, *database_, {}, pool_);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].predictions, 2);
  EXPECT_DOUBLE_EQ(rows[0].perplexity, std::exp(1.5));
  EXPECT_DOUBLE_EQ(rows[1].perplexity, std::exp(4.0));
}

TEST_F(DenseRun, WhatNeedsRoutesSaysThatThereAreNone) {
  ExpectNoRoutes([&] { RequireRoutes(*run_); });
  ExpectNoRoutes([&] { LoadLayer(*run_, *database_, rows_, 0); });
  for (const std::vector<int>& layers : {std::vector<int>(), std::vector<int>{0, 2}}) {
    ExpectNoRoutes([&] { ExpertShareTable(*run_, *database_, rows_, layers, {}, pool_); });
    ExpectNoRoutes([&] { RepetitionTable(*run_, *database_, rows_, layers, {}, pool_); });
    ExpectNoRoutes([&] { LoadRoutedTexts(*run_, *database_, layers, {}); });
    ExpectNoRoutes([&] { ExpertsOfToken(*run_, *database_, "x", layers, {}); });
  }
  ExpectNoRoutes([&] { TokensOfExpert(*run_, *database_, 0, 0, ExpertTokenOrder::kLift, {}); });
  ExpectNoRoutes([&] { ComputeFindings(*run_, *database_, rows_, {}, pool_); });
}

TEST_F(DenseRun, TheStatementCallsItDense) {
  std::string all;
  for (const auto& [label, value] : StatementLines(MakeStatement(*run_, rows_, 1, 100))) {
    all += label + ": " + value + "\n";
  }
  EXPECT_NE(all.find("routing: none: a dense model of 3 layers"), std::string::npos) << all;
  EXPECT_NE(all.find("weights: feed-forward BF16"), std::string::npos) << all;
  EXPECT_EQ(all.find("unknown"), std::string::npos) << all;
}

}  // namespace
}  // namespace moescope::study
