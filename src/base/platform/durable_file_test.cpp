#include "base/platform/durable_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/error.h"
#include "base/platform/file.h"

namespace moescope {
namespace {

TEST(DurableFile, ReplacesWholeContentOrNothing) {
  std::filesystem::path directory = std::filesystem::path(testing::TempDir()) / "durable_file_test";
  std::filesystem::create_directories(directory);
  std::string path = (directory / "file").string();
  ReplaceFile(path, AsBytes("old"));
  {
    DurableFileWriter abandoned(path);
    abandoned.Append(AsBytes("half of the ne"));
  }
  EXPECT_EQ(ReadWholeFile(path, 100), "old");
  ReplaceFile(path, AsBytes("new"));
  EXPECT_EQ(ReadWholeFile(path, 100), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory), {}), 1);
  std::filesystem::remove_all(directory);
}

TEST(DurableFile, LeavesDevicesAndPipesAlone) {
  std::string pipe = (std::filesystem::path(testing::TempDir()) / "durable_file_pipe").string();
  std::filesystem::remove(pipe);
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(ReplaceFile(pipe, AsBytes("x")), Error);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_THROW(ReplaceFile(testing::TempDir(), AsBytes("x")), Error);
  std::filesystem::remove(pipe);
}

TEST(DurableFile, NamesAFolderThatDoesNotExist) {
  try {
    ReplaceFile("/no/such/folder/file", AsBytes("x"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_NE(std::string(error.what()).find("/no/such/folder/file"), std::string::npos);
  }
}

TEST(DurableFile, ReportsAFullDiskWithBytesNeededAndFree) {
  try {
    FILE* device = fopen("/dev/full", "w");
    ASSERT_NE(device, nullptr);
    WriteFully(fileno(device), AsBytes("12345"), "/dev/full");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_NE(std::string(error.what()).find("disk full: 5 B needed"), std::string::npos);
  }
}

}  // namespace
}  // namespace moescope
