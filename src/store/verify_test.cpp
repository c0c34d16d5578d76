#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/error.h"
#include "base/platform/file.h"
#include "store/run.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

class VerifyTest : public TestDirectory {
 protected:
  void SetUp() override {
    TestDirectory::SetUp();
    SyntheticRun run{.description = SyntheticDescription(3, 8, 2), .n_tokens = 6'000};
    run.description.tokens_per_part = 2'500;
    WriteSynthetic(run, Path("run"), 2'000);
  }
  std::vector<std::string> Problems() const { return VerifyRun(Path("run")).problems; }
};

TEST_F(VerifyTest, DetectsEveryFlippedBit) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(Path("run"))) {
    if (entry.is_regular_file() && entry.path().filename() != "run-log.jsonl") {
      files.push_back(entry.path());
    }
  }
  ASSERT_EQ(files.size(), 2u + 3 * 5);
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    // Every file gets its share, the manifest a third of all.
    fs::path path = i % 3 == 0 ? fs::path(Path("run/manifest.json"))
                               : files[static_cast<size_t>(i) % files.size()];
    std::string content = ReadWholeFile(path.string(), uint64_t{1} << 30);
    std::string damaged = content;
    size_t at = random() % content.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random() % 8)));
    std::ofstream(path, std::ios::binary) << damaged;
    std::vector<std::string> problems = Problems();
    ASSERT_EQ(problems.size(), 1u) << path << " byte " << at;
    EXPECT_NE(problems[0].find(path.filename().string()), std::string::npos);
    std::ofstream(path, std::ios::binary) << content;
  }
  EXPECT_TRUE(Problems().empty());
}

TEST_F(VerifyTest, NamesMissingTruncatedAndUnexpectedFiles) {
  fs::remove(Path("run/tokens/part-00001.parquet"));
  Write("run/tokens/part-00009.parquet", "stray");
  fs::resize_file(Path("run/routes/layer=02/part-00000.parquet"), 100);
  std::vector<std::string> problems = Problems();
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_NE(problems[0].find("routes/layer=02/part-00000.parquet: expected"), std::string::npos);
  EXPECT_NE(problems[1].find("tokens/part-00001.parquet: missing"), std::string::npos);
  EXPECT_NE(problems[2].find("tokens/part-00009.parquet: unexpected"), std::string::npos);
}

TEST_F(VerifyTest, DenseRunsAreVerifiedTooAndRoutesAreUnexpectedThere) {
  SyntheticRun run{.description = SyntheticDescription(3, 0, 0), .n_tokens = 6'000};
  run.description.tokens_per_part = 2'500;
  WriteSynthetic(run, Path("dense"), 2'000);
  EXPECT_TRUE(VerifyRun(Path("dense")).problems.empty());
  EXPECT_EQ(VerifyRun(Path("dense")).n_files, 2 + 3 * 2);
  fs::create_directories(Path("dense/routes/layer=00"));
  Write("dense/routes/layer=00/part-00000.parquet", "stray");
  fs::resize_file(Path("dense/tokens/part-00001.parquet"), 100);
  std::vector<std::string> problems = VerifyRun(Path("dense")).problems;
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_NE(problems[0].find("tokens/part-00001.parquet: expected"), std::string::npos);
  EXPECT_NE(problems[1].find("routes/layer=00/part-00000.parquet: unexpected"), std::string::npos);
}

TEST_F(VerifyTest, NotARunIsSaid) {
  EXPECT_THROW(VerifyRun(Path("absent")), Error);
  EXPECT_THROW(VerifyRun(Path("run/tokens")), Error);
}

}  // namespace
}  // namespace moescope::store
