#include "base/platform/durable_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace moescope {
namespace {

namespace fs = std::filesystem;

class DurableDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "durable_directory_test." + std::to_string(getpid());
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  static ErrorKind KindOfOpening(const std::string& path) {
    try {
      DurableDirectory directory(path);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInternal;
  }
  std::string root_;
};

TEST_F(DurableDirectoryTest, AppearsWhenCommittedAndNotBefore) {
  fs::create_directory(Path("empty"));
  for (const char* name : {"new", "slashes//", "empty"}) {
    DurableDirectory directory(Path(name));
    std::ofstream(directory.PathOf("a")) << "text";
    EXPECT_FALSE(fs::exists(Path(name) + "/a"));
    directory.Commit();
    EXPECT_TRUE(fs::exists(Path(name) + "/a"));
  }
  EXPECT_FALSE(fs::exists(Path("new.partial")));
}

TEST_F(DurableDirectoryTest, LeavesNothingWhenNotCommitted) {
  {
    DurableDirectory directory(Path("new"));
    std::ofstream(directory.PathOf("a")) << "text";
  }
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(DurableDirectoryTest, RefusesWhatIsInTheWay) {
  fs::create_directory(Path("full"));
  std::ofstream(Path("full/a")) << "text";
  std::ofstream(Path("file")) << "text";
  fs::create_directory(Path("left.partial"));
  for (const char* name : {"full", "file", "left"}) {
    EXPECT_EQ(KindOfOpening(Path(name)), ErrorKind::kBadInput) << name;
  }
  EXPECT_TRUE(fs::exists(Path("full/a")));
  EXPECT_TRUE(fs::exists(Path("left.partial")));
  EXPECT_EQ(KindOfOpening(Path("none/new")), ErrorKind::kIo);
}

}  // namespace
}  // namespace moescope
