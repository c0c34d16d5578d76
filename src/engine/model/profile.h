// Where the time of sweeps and sessions goes: what each task did, when, and how much arithmetic and
// how many bytes it took. A task takes two readings of the clock; without a profile none.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/experts/weight_store.h"

namespace moescope::engine {

// The kinds of work of a sweep, in the order in which a wave meets them.
enum class Work {
  kEmbedding,        // rows of the embedding, first norm
  kProjections,      // queries, keys and values, rotary embedding
  kAttention,        // scores and sums
  kAttentionOutput,  // back to the residual
  kRouting,          // norm, router, choice; probes there
  kExpertUp,         // gate and up projections, activation function
  kExpertDown,
  kCombine,  // weighted sums of expert outputs, next norm
  kHead,     // logits, losses
};
inline constexpr int kNWorks = 9;
std::string_view Name(Work work);  // "expert gate+up", ...

// One for all sweeps and sessions of one pool, one after another. Not thread-safe but for the
// workers' own records.
class Profile {
 public:
  struct Task {
    Work work;
    int16_t layer;             // -1: none
    int64_t begin_ns, end_ns;  // of the steady clock
  };
  struct Total {
    int64_t n_tasks = 0;
    double seconds = 0;  // of threads
    double flops = 0;    // of products; a multiply-add is two
    double bytes = 0;    // of weights, keys and values, as stored, once a task
  };

  // keep_tasks: for a timeline; at most kMostTasks a worker, and n_dropped() counts the rest.
  explicit Profile(int n_threads, bool keep_tasks = false);
  static constexpr size_t kMostTasks = 1 << 20;

  // Forgets what was recorded, such as a first run that read a file.
  void Clear();
  int n_threads() const { return static_cast<int>(workers_.size()); }
  Total Of(Work work) const;
  // Wall time inside sweeps; what workers did not spend on tasks they waited, or the one thread of
  // the caller ran alone.
  double run_seconds() const { return static_cast<double>(run_ns_) * 1e-9; }
  std::span<const Task> tasks(int worker) const;
  int64_t n_dropped() const;

 private:
  friend class TaskTimer;
  friend class RunTimer;
  struct alignas(64) Worker {
    std::array<Total, kNWorks> totals;
    std::vector<Task> tasks;
    int64_t n_dropped = 0;
  };
  std::vector<Worker> workers_;
  bool keep_tasks_;
  int64_t run_ns_ = 0;
};

// The time of a scope, as one task of a worker. Does nothing where `profile` is null.
class TaskTimer {
 public:
  TaskTimer(Profile* profile, Work work, int layer, int worker);
  ~TaskTimer();
  TaskTimer(const TaskTimer&) = delete;
  TaskTimer& operator=(const TaskTimer&) = delete;

  void Count(double flops, double bytes);
  // A product of n_rows with n_columns rows of the matrix.
  void CountProduct(const WeightMatrix& w, int64_t n_rows, int64_t n_columns);

 private:
  Profile* profile_;
  Work work_;
  int layer_, worker_;
  int64_t begin_ns_ = 0;
  double flops_ = 0, bytes_ = 0;
};

// The time of a scope, as wall time inside a sweep.
class RunTimer {
 public:
  explicit RunTimer(Profile* profile);
  ~RunTimer();
  RunTimer(const RunTimer&) = delete;
  RunTimer& operator=(const RunTimer&) = delete;

 private:
  Profile* profile_;
  int64_t begin_ns_ = 0;
};

}  // namespace moescope::engine
