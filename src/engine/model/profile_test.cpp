#include "engine/model/profile.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/sweep.h"
#include "engine/model/tiny_model.h"

namespace moescope::engine {
namespace {

class ProfileTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { path_ = WriteTinyModel(OddTinyConfig(), DType::kBF16, 1); }
  static void TearDownTestSuite() { std::filesystem::remove_all(path_); }

  // Two sequences of 70 and 9 tokens; returns what the sweep counted.
  static double RunWith(Profile* profile, int n_threads, std::vector<float>* losses = nullptr) {
    const std::unique_ptr<Model> model = Model::Open(path_);
    ThreadPool pool(n_threads);
    Sweep sweep(*model, SelectKernels(), pool,
                {.wave_rows = 128, .max_sequence = 128, .profile = profile});
    Wave wave;
    std::vector<int32_t> ids;
    for (int i = 0; i < 70; ++i) ids.push_back(i * 7 % model->config().vocab_size);
    wave.Add(0, 0, ids);
    ids.resize(9);
    wave.Add(1, 0, ids);
    sweep.Run(wave, {});
    if (losses != nullptr) losses->assign(sweep.losses().begin(), sweep.losses().end() - 1);
    return sweep.flops();
  }
  static double SumOfFlops(const Profile& profile) {
    double flops = 0;
    for (int i = 0; i < kNWorks; ++i) flops += profile.Of(static_cast<Work>(i)).flops;
    return flops;
  }
  static std::string path_;
};
std::string ProfileTest::path_;

TEST_F(ProfileTest, CountsTheArithmeticThatTheSweepCounts) {
  for (int n_threads : {1, 3}) {
    Profile profile(n_threads);
    const double flops = RunWith(&profile, n_threads);
    EXPECT_NEAR(SumOfFlops(profile), flops, 1e-9 * flops) << n_threads << " threads";
    for (int i = 0; i < kNWorks; ++i) {
      EXPECT_GT(profile.Of(static_cast<Work>(i)).n_tasks, 0) << Name(static_cast<Work>(i));
    }
  }
}

TEST_F(ProfileTest, HasTasksThatFollowEachOtherAndFillNoMoreThanTheRun) {
  Profile profile(2, /*keep_tasks=*/true);
  RunWith(&profile, 2);
  double busy = 0;
  size_t n_tasks = 0;
  for (int worker = 0; worker < 2; ++worker) {
    int64_t last = 0;
    for (const Profile::Task& task : profile.tasks(worker)) {
      EXPECT_LE(last, task.begin_ns);
      EXPECT_LE(task.begin_ns, task.end_ns);
      last = task.end_ns;
      busy += static_cast<double>(task.end_ns - task.begin_ns) * 1e-9;
      ++n_tasks;
    }
  }
  EXPECT_LE(busy, 2 * profile.run_seconds());
  EXPECT_EQ(profile.n_dropped(), 0);
  int64_t counted = 0;
  for (int i = 0; i < kNWorks; ++i) counted += profile.Of(static_cast<Work>(i)).n_tasks;
  EXPECT_EQ(static_cast<int64_t>(n_tasks), counted);
}

TEST_F(ProfileTest, ForgetsWhatWasBefore) {
  Profile profile(1, /*keep_tasks=*/true);
  RunWith(&profile, 1);
  profile.Clear();
  EXPECT_EQ(SumOfFlops(profile), 0);
  EXPECT_EQ(profile.run_seconds(), 0);
  EXPECT_TRUE(profile.tasks(0).empty());
}

TEST_F(ProfileTest, ChangesNoBit) {
  std::vector<float> without, with;
  RunWith(nullptr, 2, &without);
  Profile profile(2);
  RunWith(&profile, 2, &with);
  ASSERT_EQ(with.size(), without.size());
  // Bytes, since the last row of a sequence has no loss but NaN.
  EXPECT_EQ(std::memcmp(with.data(), without.data(), with.size() * sizeof(float)), 0);
}

}  // namespace
}  // namespace moescope::engine
