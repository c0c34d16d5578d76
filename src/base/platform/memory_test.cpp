// What a limit on the address space (ulimit -v) does. Sanitizers reserve terabytes of it, so their
// builds leave these out.
#include "base/platform/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/parallel/thread_pool.h"
#include "base/platform/aligned_buffer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOESCOPE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MOESCOPE_SANITIZED 1
#endif
#endif

namespace moescope {
namespace {

#ifndef MOESCOPE_SANITIZED

// Leaves this process so much address space, runs `work`, and ends as main would.
template <typename Work>
[[noreturn]] void EndUnderLimit(uint64_t bytes_left, const Work& work) {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit limit = {};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + bytes_left;
  setrlimit(RLIMIT_AS, &limit);
  try {
    work();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s", error.what());
    _exit(ExitCode(error.kind()));
  }
  _exit(0);
}

constexpr uint64_t kLeft = uint64_t{100} << 20;

TEST(AddressSpaceLimit, CountsAsAvailableMemory) {
  EXPECT_EXIT(EndUnderLimit(kLeft,
                            [] {
                              const uint64_t available = AvailableMemoryBytes();
                              if (available > kLeft || available < kLeft / 2) _exit(9);
                            }),
              testing::ExitedWithCode(0), "");
}

TEST(AddressSpaceLimit, AnAllocationBeyondItSaysWhatIsNeededAndAvailable) {
  EXPECT_EXIT(EndUnderLimit(kLeft, [] { AlignedBytes(kLeft * 2, "the test"); }),
              testing::ExitedWithCode(3), "for the test: needed 210 MB, available [0-9.]+ MB");
}

TEST(AddressSpaceLimit, ThreadsThatCannotStartAreAnErrorAndTheOthersEnd) {
  EXPECT_EXIT(EndUnderLimit(kLeft, [] { ThreadPool pool(64); }), testing::ExitedWithCode(3),
              "cannot start 64 threads, only [0-9]+: ");
}

#endif

}  // namespace
}  // namespace moescope
