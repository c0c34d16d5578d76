#include "lab/disk_rate.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <memory>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/platform/aligned_buffer.h"
#include "base/platform/direct_file.h"
#include "base/platform/durable_file.h"
#include "base/random.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// As the engine's reader of experts.
constexpr int kReaders = 4;
constexpr uint64_t kPartBytes = uint64_t{2} << 20;
constexpr uint64_t kFileBytes = uint64_t{256} << 20;
constexpr double kSeconds = 1;

}  // namespace

double MeasureDiskRate(const std::string& path) {
  const std::unique_ptr<DirectFile> file = OpenDirectFile(path);
  const FileState state = file->State();
  const uint64_t n_parts = state.n_bytes / kPartBytes;
  if (n_parts < 2 * kReaders) return 0;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  const Clock::time_point start = Clock::now();
  auto elapsed = [start] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  auto read = [&] {
    try {
      const AlignedBytes buffer(2 * kPartBytes, "a read");  // aligned to a huge page
      for (;;) {
        const uint64_t part = next.fetch_add(1);
        if (part >= n_parts || elapsed() > kSeconds) break;
        const uint64_t begin = part * kPartBytes;
        ReadDirect(*file, state, begin, begin + kPartBytes, {buffer.data(), kPartBytes});
      }
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kReaders; ++i) threads.emplace_back(read);
  for (std::thread& thread : threads) thread.join();
  const double seconds = elapsed();
  if (error) std::rethrow_exception(error);
  // Each thread took one part that it did not read.
  const uint64_t n_read = std::min(next.load() - kReaders, n_parts);
  return static_cast<double>(n_read * kPartBytes) / seconds / 1e9;
}

double MeasureDiskRate() {
  std::error_code error;
  const fs::path folder = fs::temp_directory_path(error);
  if (error) return 0;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available < 4 * kFileBytes) return 0;
  const std::string path = (folder / fmt::format("moescope-disk-{}", getpid())).string();
  // Random bytes: a disk that compresses would flatter itself.
  std::vector<uint64_t> block(kPartBytes / sizeof(uint64_t));
  Random random(1);
  DurableFileWriter file(path);
  for (uint64_t written = 0; written < kFileBytes; written += kPartBytes) {
    for (uint64_t& word : block) word = random.Next();
    file.Append(std::as_bytes(std::span(block)));
  }
  file.Commit();
  const double rate = MeasureDiskRate(path);
  fs::remove(path, error);
  return rate;
}

}  // namespace moescope::lab
