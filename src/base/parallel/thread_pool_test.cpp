#include "base/parallel/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace moescope {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int n_threads : {1, 2, 5}) {
    ThreadPool pool(n_threads);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(round));
      pool.Run(round, [&](int64_t task, int worker) {
        ASSERT_LT(worker, n_threads);
        ++runs[static_cast<size_t>(task)];
      });
      for (auto& count : runs) EXPECT_EQ(count.load(), 1);
    }
  }
}

TEST(ThreadPool, RethrowsTheFirstExceptionAndStaysUsable) {
  ThreadPool pool(3);
  auto fails = [](int64_t task, int) {
    if (task == 7) throw std::runtime_error("seven");
  };
  EXPECT_THROW(pool.Run(100, fails), std::runtime_error);
  std::atomic<int64_t> sum{0};
  pool.Run(10, [&](int64_t task, int) { sum += task; });
  EXPECT_EQ(sum.load(), 45);
}

TEST(ThreadPool, FlushesSubnormalsInEveryWorkerAndRestoresTheCaller) {
  ThreadPool pool(2);
  volatile float smallest_normal = 0x1p-126f;
  std::atomic<int> unflushed{0};
  pool.Run(64, [&](int64_t, int) {
    if (smallest_normal * 0.5f != 0) ++unflushed;
  });
  EXPECT_EQ(unflushed.load(), 0);
  EXPECT_NE(smallest_normal * 0.5f, 0);
}

}  // namespace
}  // namespace moescope
