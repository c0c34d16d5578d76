#include "base/parallel/thread_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/platform/cpu.h"

namespace moescope {
namespace {

// Long enough to bridge the serial code between two loops, short enough not to starve a neighbour.
constexpr auto kSpin = std::chrono::microseconds(20);

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> threads;
  int n_threads = 1;

  // Guarded by mutex; generation is also read without it while spinning.
  std::mutex mutex;
  std::condition_variable work_arrived;
  std::condition_variable work_finished;
  std::atomic<uint64_t> generation{0};
  std::atomic<bool> stopping{false};
  std::exception_ptr first_error;

  // The current loop. Written before generation advances, read by workers after they saw it.
  const FunctionRef<void(int64_t, int)>* fn = nullptr;
  int64_t n_tasks = 0;
  alignas(64) std::atomic<int64_t> next_task{0};
  alignas(64) std::atomic<int> n_busy{0};

  void TakeTasks(int worker) {
    for (;;) {
      int64_t task = next_task.fetch_add(1, std::memory_order_relaxed);
      if (task >= n_tasks) return;
      try {
        (*fn)(task, worker);
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!first_error) first_error = std::current_exception();
        next_task.store(n_tasks, std::memory_order_relaxed);
      }
    }
  }

  void WorkerLoop(int worker) {
    ScopedFlushToZero flush;
    uint64_t seen = 0;
    while (WaitForGeneration(seen)) {
      ++seen;
      TakeTasks(worker);
      if (n_busy.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard lock(mutex);
        work_finished.notify_one();
      }
    }
  }

  // Returns false when the pool is being destroyed.
  bool WaitForGeneration(uint64_t seen) {
    auto ready = [&] { return generation.load(std::memory_order_acquire) != seen || stopping; };
    auto deadline = std::chrono::steady_clock::now() + kSpin;
    while (!ready() && std::chrono::steady_clock::now() < deadline) CpuRelax();
    if (!ready()) {
      std::unique_lock lock(mutex);
      work_arrived.wait(lock, ready);
    }
    return !stopping;
  }

  void Stop() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    work_arrived.notify_all();
    for (std::thread& thread : threads) thread.join();
  }

  void WaitForWorkers() {
    auto done = [&] { return n_busy.load(std::memory_order_acquire) == 0; };
    auto deadline = std::chrono::steady_clock::now() + kSpin;
    while (!done() && std::chrono::steady_clock::now() < deadline) CpuRelax();
    if (!done()) {
      std::unique_lock lock(mutex);
      work_finished.wait(lock, done);
    }
  }
};

ThreadPool::ThreadPool(int n_threads) : state_(std::make_unique<State>()) {
  state_->n_threads = n_threads > 0 ? n_threads : AvailableCores();
  try {
    for (int worker = 1; worker < state_->n_threads; ++worker) {
      state_->threads.emplace_back([state = state_.get(), worker] { state->WorkerLoop(worker); });
    }
  } catch (const std::system_error& error) {
    const size_t n_started = state_->threads.size() + 1;  // this one works too
    state_->Stop();
    throw Error(ErrorKind::kResource, "cannot start " + std::to_string(state_->n_threads) +
                                          " threads, only " + std::to_string(n_started) + ": " +
                                          error.code().message() +
                                          "; use fewer threads or allow the process more memory");
  }
}

ThreadPool::~ThreadPool() {
  state_->Stop();
}

int ThreadPool::n_threads() const {
  return state_->n_threads;
}

void ThreadPool::Run(int64_t n_tasks, FunctionRef<void(int64_t, int)> fn) {
  if (n_tasks <= 0) return;
  ScopedFlushToZero flush;
  State& state = *state_;
  state.fn = &fn;
  state.n_tasks = n_tasks;
  state.next_task.store(0, std::memory_order_relaxed);
  bool share = n_tasks > 1 && state.n_threads > 1;
  if (share) {
    state.n_busy.store(state.n_threads - 1, std::memory_order_relaxed);
    {
      std::lock_guard lock(state.mutex);
      state.generation.fetch_add(1, std::memory_order_release);
    }
    state.work_arrived.notify_all();
  }
  state.TakeTasks(0);
  if (share) state.WaitForWorkers();
  if (std::exception_ptr error = std::exchange(state.first_error, nullptr)) {
    std::rethrow_exception(error);
  }
}

}  // namespace moescope
