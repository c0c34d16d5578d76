// What survives a crash: abandoned writers, torn journals, killed processes, full disks, locks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/platform/file.h"
#include "store/manifest.h"
#include "store/run.h"
#include "store/run_lock.h"
#include "store/run_log.h"
#include "store/run_writer.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

// All files of a run but its log.
std::map<std::string, std::string> Content(const std::string& directory) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    std::string name = fs::relative(entry.path(), directory).string();
    if (entry.is_directory() || name == kRunLogName) continue;
    content[name] = ReadWholeFile(entry.path().string(), uint64_t{1} << 30);
  }
  return content;
}

class ResumeTest : public TestDirectory {
 protected:
  ResumeTest() {
    run_.description = SyntheticDescription(3, 8, 2);
    run_.description.tokens_per_part = 2'000;
    run_.n_tokens = 9'000;
    run_.mean_document_tokens = 400;
    documents_ = run_.Documents();
  }

  // Commits up to `n_waves` waves of random sizes; true when the run is then complete.
  bool WriteSome(const std::string& directory, int n_waves, std::mt19937& random) const {
    RunWriter writer(directory, run_.description, SyntheticVocabulary(256), uint64_t{32} << 20);
    if (writer.complete()) return true;
    for (int i = 0; i < n_waves && writer.n_tokens() < run_.n_tokens; ++i) {
      int64_t first = writer.n_tokens();
      int64_t end = std::min<int64_t>(first + 1 + random() % 2'500, run_.n_tokens);
      SyntheticWave wave = MakeWave(run_, documents_, writer.n_documents_begun(), first, end);
      writer.CommitWave(wave.documents, wave.tokens, wave.Routes());
    }
    if (writer.n_tokens() < run_.n_tokens) return false;
    if (random() % 2 == 0) return false;  // all committed, not finished
    writer.Finish();
    return true;
  }

  void TearJournals() const;

  ErrorKind OpenFails(const std::string& directory, const RunDescription& description,
                      const std::string& expected) const {
    try {
      RunWriter writer(directory, description, SyntheticVocabulary(256), uint64_t{32} << 20);
      ADD_FAILURE() << "opened";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      return error.kind();
    }
    return ErrorKind::kInternal;
  }

  SyntheticRun run_;
  std::vector<DocumentRecord> documents_;
};

// The last journal file, "" if there is none.
std::string LastSegment(const std::string& directory) {
  std::string last;
  if (!fs::exists(directory + "/journal")) return last;
  for (const auto& entry : fs::directory_iterator(directory + "/journal")) {
    last = std::max(last, entry.path().string());
  }
  return last;
}

// The same of a run without routes.
class DenseResumeTest : public ResumeTest {
 protected:
  DenseResumeTest() {
    run_.description = SyntheticDescription(3, 0, 0);
    run_.description.tokens_per_part = 2'000;
  }
};

TEST_F(ResumeTest, AbandonedWritersEndByteIdentical) {
  WriteSynthetic(run_, Path("whole"), 5'000);
  auto expected = Content(Path("whole"));
  for (unsigned seed = 0; seed < 3; ++seed) {
    std::mt19937 random(seed);
    std::string directory = Path("run" + std::to_string(seed));
    while (!WriteSome(directory, 1 + static_cast<int>(random() % 4), random)) {
    }
    EXPECT_EQ(Content(directory), expected) << seed;
  }
}

// Tears the journal after every few waves: the run ends as if nothing had happened.
void ResumeTest::TearJournals() const {
  WriteSynthetic(run_, Path("whole"), 5'000);
  auto expected = Content(Path("whole"));
  for (unsigned seed = 0; seed < 5; ++seed) {
    std::mt19937 random(seed + 100);
    std::string directory = Path("run" + std::to_string(seed));
    while (!WriteSome(directory, 1 + static_cast<int>(random() % 3), random)) {
      std::string segment = LastSegment(directory);
      if (segment.empty() || fs::file_size(segment) == 0) continue;
      uint64_t size = fs::file_size(segment);
      switch (random() % 4) {
        case 0:  // the end is missing
          fs::resize_file(segment, size - 1 - random() % std::min<uint64_t>(size, 5'000));
          break;
        case 1:  // blocks of a file system come as zeros
          fs::resize_file(segment, size + 1 + random() % 5'000);
          break;
        case 2: {  // the end was written, what is before it was not
          std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
          file.seekp(
              static_cast<std::streamoff>(size - 1 - random() % std::min<uint64_t>(size, 500)));
          file.put(static_cast<char>(random()));
          break;
        }
        default:
          break;
      }
    }
    EXPECT_EQ(Content(directory), expected) << seed;
  }
}

TEST_F(ResumeTest, TornJournalsLoseOnlyTheTornWave) {
  TearJournals();
}

TEST_F(DenseResumeTest, TornJournalsLoseOnlyTheTornWave) {
  TearJournals();
}

TEST_F(DenseResumeTest, AMixtureOfExpertsIsAnotherRun) {
  std::mt19937 random(1);
  WriteSome(Path("run"), 1, random);
  OpenFails(Path("run"), SyntheticDescription(3, 8, 2), "architecture");
  RunDescription other = run_.description;
  other.n_layers = 4;
  OpenFails(Path("run"), other, "n_layers: 3, not 4");
}

TEST_F(ResumeTest, CommittedWavesSurvive) {
  std::mt19937 random(5);
  {
    RunWriter writer(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20);
    SyntheticWave wave = MakeWave(run_, documents_, 0, 0, 1'234);
    writer.CommitWave(wave.documents, wave.tokens, wave.Routes());
    EXPECT_EQ(writer.n_tokens(), 1'234);
  }
  RunWriter writer(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20);
  EXPECT_EQ(writer.n_tokens(), 1'234);
  EXPECT_GT(writer.n_documents_begun(), 0);
}

TEST_F(ResumeTest, RefusesAnotherDescriptionNamingTheField) {
  std::mt19937 random(1);
  WriteSome(Path("run"), 1, random);
  RunDescription other = run_.description;
  other.precision = "fast";
  EXPECT_EQ(OpenFails(Path("run"), other, "precision: \"exact\", not \"fast\""),
            ErrorKind::kBadInput);
  other = run_.description;
  other.kernel_level = "avx2";
  OpenFails(Path("run"), other, "kernel_level");
  other = run_.description;
  other.model_identity = "0000000000000000";
  OpenFails(Path("run"), other, "model_identity");
  other = run_.description;
  other.datasets[1].unit_by = "-";
  OpenFails(Path("run"), other, "datasets");
  Write("full/letter.txt", "dear");
  EXPECT_EQ(OpenFails(Path("full"), run_.description, "letter.txt"), ErrorKind::kBadInput);
}

TEST_F(ResumeTest, CompleteRunsHaveNothingLeftToDo) {
  WriteSynthetic(run_, Path("run"), 5'000);
  auto before = Content(Path("run"));
  RunWriter writer(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20);
  EXPECT_TRUE(writer.complete());
  EXPECT_EQ(writer.n_tokens(), run_.n_tokens);
  EXPECT_EQ(writer.n_documents_begun(), static_cast<int64_t>(documents_.size()));
  fs::remove(Path("run/lock"));
  EXPECT_EQ(Content(Path("run")), before);
}

TEST_F(ResumeTest, RunsWithoutTokensAreRefused) {
  RunWriter writer(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20);
  EXPECT_THROW(writer.Finish(), Error);
  EXPECT_THROW(store::Run::Open(Path("run")), Error);
}

TEST_F(ResumeTest, LivingWriterKeepsItsLock) {
  RunWriter writer(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20);
  EXPECT_EQ(OpenFails(Path("run"), run_.description, "process " + std::to_string(getpid())),
            ErrorKind::kBadInput);
}

TEST_F(ResumeTest, LocksOfDeadProcessesAreTakenOver) {
  auto lock = [&](int64_t pid, const std::string& host, const std::string& start) {
    Write("run/lock", "{\"pid\": " + std::to_string(pid) + ", \"host\": \"" + host +
                          "\", \"process_start\": \"" + start + "\"}\n");
  };
  int64_t parent = getppid();
  lock(parent, HostName(), ProcessStart(parent));
  EXPECT_EQ(OpenFails(Path("run"), run_.description, "process " + std::to_string(parent)),
            ErrorKind::kBadInput);
  lock(7, "another-host", "12");
  OpenFails(Path("run"), run_.description, "another-host");
  lock(parent, HostName(), ProcessStart(parent) + "0");  // its number was used again
  { RunWriter(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20); }
  EXPECT_FALSE(fs::exists(Path("run/lock")));
  Write("run/lock", "{\"pid\": 1");  // died while writing it
  { RunWriter(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20); }
  lock(int64_t{1} << 40, HostName(), "5");
  { RunWriter(Path("run"), run_.description, SyntheticVocabulary(256), uint64_t{32} << 20); }
}

// kill -9 at 25 random moments, whatever is being written then.
TEST_F(ResumeTest, KilledProcessesEndByteIdentical) {
  run_.n_tokens = 30'000;
  WriteSynthetic(run_, Path("whole"), 5'000);
  auto expected = Content(Path("whole"));
  std::mt19937 random(11);
  int n_kills = 0;
  for (int n_runs = 0; n_kills < 25 && n_runs < 40; ++n_runs) {
    std::string directory = Path("run" + std::to_string(n_runs));
    for (bool done = false; !done;) {
      pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        WriteSynthetic(run_, directory, 200);
        _exit(0);
      }
      // Once the runs asked for are dead often enough, the last one may end.
      if (n_kills < 25) {
        usleep(static_cast<useconds_t>(5'000 + random() % 150'000));
        kill(child, SIGKILL);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      done = WIFEXITED(status);
      if (done) {
        ASSERT_EQ(WEXITSTATUS(status), 0);
      } else {
        ++n_kills;
      }
    }
    ASSERT_EQ(Content(directory), expected);
  }
  EXPECT_GE(n_kills, 25);
}

TEST_F(ResumeTest, FullDiskIsSaidAndLosesNothing) {
  WriteSynthetic(run_, Path("whole"), 5'000);
  auto expected = Content(Path("whole"));
  for (int kilobytes : {16, 100, 300, 600, 900}) {
    std::string disk = Path("disk");
    fs::create_directories(disk);
    std::string size = "size=" + std::to_string(kilobytes) + "k";
    if (mount("tmpfs", disk.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      GTEST_SKIP() << "skipped: cannot mount a small disk";
    }
    int64_t committed = 0;
    try {
      WriteSynthetic(run_, disk + "/run", 1'500);
      ADD_FAILURE() << "fitted in " << kilobytes;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kIo) << error.what();
      std::string message = error.what();
      EXPECT_NE(message.find(" needed, "), std::string::npos) << message;
      EXPECT_NE(message.find(" free"), std::string::npos) << message;
    }
    if (fs::exists(disk + "/run/manifest.json")) {
      committed = ReadManifest(disk + "/run").n_tokens();
    }
    EXPECT_EQ(mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
    {
      RunWriter writer(disk + "/run", run_.description, SyntheticVocabulary(256),
                       uint64_t{32} << 20);
      EXPECT_GE(writer.n_tokens(), committed);
    }
    WriteSynthetic(run_, disk + "/run", 1'500);
    EXPECT_EQ(Content(disk + "/run"), expected) << kilobytes;
    EXPECT_EQ(umount(disk.c_str()), 0);
  }
}

}  // namespace
}  // namespace moescope::store
