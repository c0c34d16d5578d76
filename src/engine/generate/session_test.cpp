#include "engine/generate/session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/model/recording_probe.h"
#include "engine/model/tiny_model.h"

namespace moescope::engine {
namespace {

struct SessionCase {
  const char* name;
  int window;
};

class SessionTest : public testing::TestWithParam<SessionCase> {
 protected:
  void SetUp() override {
    files::ModelConfig config = OddTinyConfig();
    config.context = 2048;
    config.sliding_window = GetParam().window;
    path_ = WriteTinyModel(config, DType::kBF16, 5);
    model_ = Model::Open(path_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::vector<int32_t> Ids(int n) const {
    std::mt19937 random(11);
    std::vector<int32_t> ids;
    for (int i = 0; i < n; ++i) {
      ids.push_back(static_cast<int32_t>(random() % model_->config().vocab_size));
    }
    return ids;
  }
  // Logits of the rows after `first` of a sweep over all ids.
  std::vector<float> SweepLogits(const std::vector<int32_t>& ids, int64_t first,
                                 const KernelTable& kernels) {
    ThreadPool pool(2);
    const auto n = static_cast<int>(ids.size());
    Sweep sweep(*model_, kernels, pool, {.wave_rows = n, .max_sequence = n});
    Wave wave;
    wave.Add(0, 0, ids);
    sweep.Run(wave, {});
    std::vector<int64_t> rows;
    for (int64_t row = first; row < n; ++row) rows.push_back(row);
    return sweep.Logits(rows);
  }
  std::string path_;
  std::unique_ptr<Model> model_;
};

TEST_P(SessionTest, GivesTheBitsOfASweepHoweverItIsFed) {
  // Past 1,024 positions the sums over keys have two blocks.
  const std::vector<int32_t> ids = Ids(1100);
  const int n_prompt = 1060;
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    const KernelTable* kernels = KernelsFor(level);
    if (kernels == nullptr) continue;
    const std::vector<float> expected = SweepLogits(ids, n_prompt - 1, *kernels);
    for (int prefill : {37, 512}) {
      for (int n_threads : {1, 3}) {
        ThreadPool pool(n_threads);
        Session session(*model_, *kernels, pool, {.context = 1200, .prefill_rows = prefill});
        std::vector<float> logits;
        auto take = [&](std::span<const int32_t> part) {
          const std::span<const float> of_last = session.Advance(part);
          logits.insert(logits.end(), of_last.begin(), of_last.end());
        };
        take(std::span(ids).first(n_prompt));
        for (size_t i = n_prompt; i < ids.size(); ++i) take(std::span(ids).subspan(i, 1));
        ASSERT_EQ(logits.size(), expected.size());
        EXPECT_EQ(std::memcmp(logits.data(), expected.data(), logits.size() * sizeof(float)), 0)
            << Name(level) << ", prefill " << prefill << ", threads " << n_threads;
      }
    }
  }
}

TEST_P(SessionTest, GoesOnFromWhereItWasTruncated) {
  const std::vector<int32_t> ids = Ids(80);
  const KernelTable& kernels = SelectKernels();
  ThreadPool pool(2);
  Session session(*model_, kernels, pool, {.context = 100});
  session.Advance(ids);
  session.Truncate(30);
  EXPECT_EQ(session.length(), 30);
  const std::span<const float> logits = session.Advance(std::span(ids).subspan(30));
  EXPECT_EQ(std::vector<float>(logits.begin(), logits.end()), SweepLogits(ids, 79, kernels));
}

TEST_P(SessionTest, ShowsProbesThePositionsOfItsRows) {
  struct Positions : routing::Probe {
    uint32_t sites() const override { return routing::kSiteDecision; }
    void OnDecision(const routing::DecisionBatch& batch) override {
      if (batch.layer == 0) seen.push_back(batch.rows[0].position);
    }
    std::vector<int32_t> seen;
  } positions;
  routing::Probe* probes[] = {&positions};
  ThreadPool pool(1);
  Session session(*model_, SelectKernels(), pool, {.context = 100});
  const std::vector<int32_t> ids = Ids(5);
  session.Advance(std::span(ids).first(3), probes);
  session.Advance(std::span(ids).subspan(3, 1), probes);
  session.Advance(std::span(ids).subspan(4, 1), probes);
  EXPECT_EQ(positions.seen, (std::vector<int32_t>{0, 3, 4}));
}

TEST_P(SessionTest, SaysWhenTheContextIsFullOrCannotBe) {
  ThreadPool pool(1);
  Session session(*model_, SelectKernels(), pool, {.context = 10});
  session.Advance(Ids(8));
  EXPECT_THROW(session.Advance(Ids(3)), Error);
  EXPECT_EQ(session.length(), 8);
  session.Advance(Ids(2));
  EXPECT_THROW(Session(*model_, SelectKernels(), pool, {.context = 4000}), Error);
  try {
    Session(*model_, SelectKernels(), pool, {.context = 2048, .memory_bytes = 1 << 20});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kResource);
  }
}

TEST_P(SessionTest, RefusesLogitsThatAreNotFinite) {
  model_.reset();
  PatchTensor(path_, "model.norm.weight", 3, std::numeric_limits<float>::quiet_NaN());
  model_ = Model::Open(path_);
  ThreadPool pool(1);
  Session session(*model_, SelectKernels(), pool, {.context = 10});
  try {
    session.Advance(Ids(3));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  }
}

INSTANTIATE_TEST_SUITE_P(, SessionTest,
                         testing::Values(SessionCase{"all", 0}, SessionCase{"window", 40}),
                         [](const auto& at) { return std::string(at.param.name); });

}  // namespace
}  // namespace moescope::engine
