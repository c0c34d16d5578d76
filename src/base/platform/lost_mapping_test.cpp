#include "base/platform/lost_mapping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/platform/durable_file.h"
#include "base/platform/file.h"

namespace moescope {
namespace {

constexpr uint64_t kFileBytes = 1 << 20;

class LostMapping : public testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    path_ = testing::TempDir() + "lost_mapping." + std::to_string(getpid());
    Fill();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void Fill() const { ReplaceFile(path_, AsBytes(std::string(kFileBytes, 'x'))); }
  // Removed as well, since the process that touches it has no chance to.
  void Cut() const {
    std::filesystem::resize_file(path_, kFileBytes / 2);
    std::filesystem::remove(path_);
  }

  std::string path_;
};

std::byte Touch(ByteSpan bytes, uint64_t offset) {
  return *const_cast<const volatile std::byte*>(bytes.data() + offset);
}

// Killed, as by default, or stopped by a sanitizer that was asked first: not ended by us.
bool EndedByOthers(int status) {
  return WIFSIGNALED(status) ? WTERMSIG(status) == SIGBUS
                             : WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
                                   WEXITSTATUS(status) != ExitCode(ErrorKind::kIo);
}

TEST_F(LostMapping, AFileCutWhileMappedIsNamedInOneLine) {
  EXPECT_EXIT(
      {
        MappedFile file(path_);
        Cut();
        Touch(file.bytes(), 0);  // what is left can still be read
        Touch(file.bytes(), kFileBytes - 1);
      },
      testing::ExitedWithCode(4), "^error: cannot read: [^\n]*lost_mapping[^\n]*cut[^\n]*\n$");
}

TEST_F(LostMapping, OneLineFromManyThreads) {
  EXPECT_EXIT(
      {
        MappedFile file(path_);
        Cut();
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i) {
          threads.emplace_back([&] { Touch(file.bytes(), kFileBytes - 1); });
        }
        for (std::thread& thread : threads) thread.join();
      },
      testing::ExitedWithCode(4), "^error: cannot read: [^\n]*\n$");
}

TEST_F(LostMapping, TheRightOneOfSeveralFilesIsNamed) {
  const std::string other = path_ + ".other";
  ReplaceFile(other, AsBytes(std::string(kFileBytes, 'y')));
  EXPECT_EXIT(
      {
        MappedFile intact(other);
        MappedFile file(path_);
        MappedFile intact_too(other);
        std::filesystem::remove(other);
        Cut();
        Touch(file.bytes(), kFileBytes / 2);
      },
      testing::ExitedWithCode(4), "^error: cannot read: [^\n]*lost_mapping\\.[0-9]+: [^\n]*\n$");
  std::filesystem::remove(other);
}

TEST_F(LostMapping, APathCannotMoveTheCursor) {
  const std::string odd = path_ + "\x1b[2J";
  ReplaceFile(odd, AsBytes(std::string(kFileBytes, 'y')));
  EXPECT_EXIT(
      {
        MappedFile file(odd);
        std::filesystem::resize_file(odd, 0);
        std::filesystem::remove(odd);
        std::filesystem::remove(path_);
        Touch(file.bytes(), 0);
      },
      testing::ExitedWithCode(4), "^error: cannot read: [^\n]*\\?\\[2J: [^\n]*\n$");
  std::filesystem::remove(odd);
}

TEST_F(LostMapping, FaultsElsewhereKeepTheirAction) {
  EXPECT_EXIT(
      {
        MappedFile ours(path_);
        const std::string other = path_ + ".other";
        ReplaceFile(other, AsBytes(std::string(kFileBytes, 'y')));
        int fd = open(other.c_str(), O_RDONLY);
        void* theirs = mmap(nullptr, kFileBytes, PROT_READ, MAP_SHARED, fd, 0);
        std::filesystem::remove(other);
        std::filesystem::remove(path_);
        std::filesystem::resize_file("/proc/self/fd/" + std::to_string(fd), 0);
        Touch({static_cast<const std::byte*>(theirs), kFileBytes}, 0);
      },
      EndedByOthers, "");
}

TEST_F(LostMapping, ASignalThatIsSentKeepsItsAction) {
  EXPECT_EXIT(
      {
        MappedFile ours(path_);
        std::filesystem::remove(path_);
        raise(SIGBUS);
      },
      EndedByOthers, "");
}

TEST_F(LostMapping, AMappingThatHasEndedIsNotBlamed) {
  EXPECT_EXIT(
      {
        { MappedFile ours(path_); }
        int fd = open(path_.c_str(), O_RDONLY);
        void* theirs = mmap(nullptr, kFileBytes, PROT_READ, MAP_SHARED, fd, 0);
        Cut();
        Touch({static_cast<const std::byte*>(theirs), kFileBytes}, kFileBytes - 1);
      },
      EndedByOthers, "");
}

}  // namespace
}  // namespace moescope
