#include "files/hub_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/error.h"
#include "files/checkpoint.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

namespace fs = std::filesystem;

void Write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << content;
}

class HubCache : public testing::Test {
 protected:
  HubCache() : root_(fs::temp_directory_path() / ("moescope_hub_" + std::to_string(getpid()))) {
    fs::remove_all(root_);
    fs::create_directories(root_);
    variables_["HF_HUB_CACHE"] = root_.string();
  }
  ~HubCache() override { fs::remove_all(root_); }

  fs::path Entry() const { return root_ / "models--some-org--Model_1.5"; }
  std::string Snapshot(const std::string& commit) const {
    return (Entry() / "snapshots" / commit).string();
  }
  void MakeEntry() const {
    Write(Entry() / "refs" / "main", "abc123\n");
    Write(Entry() / "refs" / "refs" / "pr" / "1", "def456");
    Write(Entry() / "snapshots" / "abc123" / "config.json", "{}");
    Write(Entry() / "snapshots" / "def456" / "config.json", "{}");
  }
  Environment Variables() const {
    return [this](const std::string& name) {
      const auto at = variables_.find(name);
      return at == variables_.end() ? std::nullopt : std::optional(at->second);
    };
  }
  std::string Resolve(const std::string& name) const { return ResolveModelPath(name, Variables()); }
  std::string ErrorOf(const std::string& name) const {
    try {
      return "resolved: " + Resolve(name);
    } catch (const Error& error) {
      return std::string(Name(error.kind())) + ": " + error.what();
    }
  }

  fs::path root_;
  std::map<std::string, std::string> variables_;
};

TEST_F(HubCache, FindsTheSnapshotOfMain) {
  MakeEntry();
  EXPECT_EQ(Resolve("some-org/Model_1.5"), Snapshot("abc123"));
  EXPECT_EQ(Resolve("some-org/Model_1.5@main"), Snapshot("abc123"));
}

TEST_F(HubCache, FindsARevisionByBranchOrCommit) {
  MakeEntry();
  EXPECT_EQ(Resolve("some-org/Model_1.5@refs/pr/1"), Snapshot("def456"));
  EXPECT_EQ(Resolve("some-org/Model_1.5@def456"), Snapshot("def456"));
}

TEST_F(HubCache, AnEntryNamedByItsPathIsItsSnapshot) {
  MakeEntry();
  EXPECT_EQ(Resolve(Entry().string()), Snapshot("abc123"));
  EXPECT_EQ(Resolve(Snapshot("def456")), Snapshot("def456"));
}

TEST_F(HubCache, AnExistingPathWins) {
  MakeEntry();
  const fs::path before = fs::current_path();
  fs::current_path(root_);
  Write("some-org/Model_1.5/config.json", "{}");
  EXPECT_EQ(Resolve("some-org/Model_1.5"), "some-org/Model_1.5");
  fs::current_path(before);
}

TEST_F(HubCache, AMissSaysWhereItLookedAndWhatDownloads) {
  const std::string missing = ErrorOf("some-org/Model_1.5");
  EXPECT_TRUE(missing.starts_with("not found: ")) << missing;
  EXPECT_NE(missing.find(Entry().string()), std::string::npos) << missing;
  EXPECT_NE(missing.find("`hf download some-org/Model_1.5`"), std::string::npos) << missing;
  MakeEntry();
  const std::string revision = ErrorOf("some-org/Model_1.5@v2");
  EXPECT_TRUE(revision.starts_with("not found: ")) << revision;
  EXPECT_NE(revision.find("hf download some-org/Model_1.5 --revision v2"), std::string::npos)
      << revision;
}

TEST_F(HubCache, ARevisionFileCannotLeadOutOfTheEntry) {
  MakeEntry();
  Write(root_ / "elsewhere" / "config.json", "{}");
  Write(Entry() / "refs" / "evil", "../../elsewhere");
  Write(Entry() / "refs" / "empty", "");
  Write(Entry() / "refs" / "long", std::string(1000, 'a'));
  EXPECT_TRUE(ErrorOf("some-org/Model_1.5@evil").starts_with("not found: "));
  EXPECT_TRUE(ErrorOf("some-org/Model_1.5@empty").starts_with("not found: "));
  EXPECT_FALSE(ErrorOf("some-org/Model_1.5@long").starts_with("resolved"));
}

TEST_F(HubCache, NamesWithTricksAreLeftAsTheyAre) {
  MakeEntry();
  for (const std::string name : {"../x/y", "some-org/..", "./y", "/abs/y", "a/b/c", "a//b",
                                 "model.gguf", "a/b@", "a/b@../c", "a/b@/c", "a/b@c/", "a\\b/c",
                                 "a b/c", "a/b@c@d", "a/b.gguf", "a--b/c", ".a/b", "a/b.", ""}) {
    EXPECT_EQ(Resolve(name), name);
  }
}

TEST_F(HubCache, TheFirstVariableThatIsSetNamesTheFolder) {
  variables_ = {{"HOME", "/h"}};
  EXPECT_EQ(HubCacheFolder(Variables()), "/h/.cache/huggingface/hub");
  variables_["XDG_CACHE_HOME"] = "/x";
  EXPECT_EQ(HubCacheFolder(Variables()), "/x/huggingface/hub");
  variables_["HF_HOME"] = "/f";
  EXPECT_EQ(HubCacheFolder(Variables()), "/f/hub");
  variables_["HUGGINGFACE_HUB_CACHE"] = "/old";
  EXPECT_EQ(HubCacheFolder(Variables()), "/old");
  variables_["HF_HUB_CACHE"] = "/new";
  EXPECT_EQ(HubCacheFolder(Variables()), "/new");
  variables_.clear();
  EXPECT_EQ(HubCacheFolder(Variables()), "");
  EXPECT_EQ(Resolve("some-org/Model_1.5"), "some-org/Model_1.5");
}

TEST_F(HubCache, ACheckpointOpensThroughIt) {
  for (const auto& [name, content] : TinyFolder()) {
    Write(Entry() / "snapshots" / "abc123" / name, content);
  }
  Write(Entry() / "refs" / "main", "abc123");
  EXPECT_TRUE(Checkpoint::Open(Entry().string()).has_weights());
}

}  // namespace
}  // namespace moescope::files
