// The worker threads that every parallel loop of the engine runs on.
#pragma once

#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace moescope {

// A fixed set of threads; the calling thread takes part as worker 0. Tasks are handed out one by
// one, in increasing order, to whoever is free, so uneven tasks balance; results must not depend
// on who ran what. Waiting workers spin for about 20 us, then sleep.
// Subnormals are flushed to zero in every worker and, while Run lasts, in the caller.
class ThreadPool {
 public:
  // n_threads counts the caller; 0 means one per available core.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const;

  // Calls fn(task, worker) for each task in [0, n_tasks), 0 <= worker < n_threads; returns when
  // all have finished. If calls throw, the rest is skipped and the first exception is rethrown.
  // Not reentrant: fn must not call Run, and only one thread may use a pool.
  void Run(int64_t n_tasks, FunctionRef<void(int64_t task, int worker)> fn);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moescope
