#include "base/platform/cpu_time.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace moescope {
namespace {

// Works until the process has used so much processor time, however long that takes.
void UseCpu(double seconds) {
  const double start = ProcessCpuSeconds();
  volatile uint64_t state = 1;
  while (ProcessCpuSeconds() - start < seconds) {
    for (int i = 0; i < 10'000; ++i) state = state * 6364136223846793005u + 1;
  }
}

TEST(CpuTime, CountsThreadsThatHaveEnded) {
  const double before = ProcessCpuSeconds();
  std::thread([] { UseCpu(0.02); }).join();
  EXPECT_GE(ProcessCpuSeconds() - before, 0.02);
}

TEST(CpuTime, SleepingCostsNone) {
  const double before = ProcessCpuSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(ProcessCpuSeconds() - before, 0.1);
}

}  // namespace
}  // namespace moescope
