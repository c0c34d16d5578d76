#include "engine/model/profile.h"

#include <chrono>

#include "base/error.h"

namespace moescope::engine {
namespace {

int64_t Now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string_view Name(Work work) {
  constexpr std::string_view kNames[kNWorks] = {
      "embedding",        "projections",  "attention",
      "attention output", "norm, router", "expert gate+up",
      "expert down",      "combine",      "head"};
  return kNames[static_cast<size_t>(work)];
}

Profile::Profile(int n_threads, bool keep_tasks)
    : workers_(static_cast<size_t>(n_threads)), keep_tasks_(keep_tasks) {
  MOESCOPE_CHECK(n_threads > 0);
}

void Profile::Clear() {
  for (Worker& worker : workers_) worker = {};
  run_ns_ = 0;
}

Profile::Total Profile::Of(Work work) const {
  Total sum;
  for (const Worker& worker : workers_) {
    const Total& total = worker.totals[static_cast<size_t>(work)];
    sum.n_tasks += total.n_tasks;
    sum.seconds += total.seconds;
    sum.flops += total.flops;
    sum.bytes += total.bytes;
  }
  return sum;
}

std::span<const Profile::Task> Profile::tasks(int worker) const {
  return workers_[static_cast<size_t>(worker)].tasks;
}

int64_t Profile::n_dropped() const {
  int64_t n = 0;
  for (const Worker& worker : workers_) n += worker.n_dropped;
  return n;
}

TaskTimer::TaskTimer(Profile* profile, Work work, int layer, int worker)
    : profile_(profile), work_(work), layer_(layer), worker_(worker) {
  if (profile_ != nullptr) begin_ns_ = Now();
}

TaskTimer::~TaskTimer() {
  if (profile_ == nullptr) return;
  const int64_t end_ns = Now();
  Profile::Worker& worker = profile_->workers_[static_cast<size_t>(worker_)];
  Profile::Total& total = worker.totals[static_cast<size_t>(work_)];
  ++total.n_tasks;
  total.seconds += static_cast<double>(end_ns - begin_ns_) * 1e-9;
  total.flops += flops_;
  total.bytes += bytes_;
  if (!profile_->keep_tasks_) return;
  if (worker.tasks.size() < Profile::kMostTasks) {
    worker.tasks.push_back({work_, static_cast<int16_t>(layer_), begin_ns_, end_ns});
  } else {
    ++worker.n_dropped;
  }
}

void TaskTimer::Count(double flops, double bytes) {
  flops_ += flops;
  bytes_ += bytes;
}

void TaskTimer::CountProduct(const WeightMatrix& w, int64_t n_rows, int64_t n_columns) {
  if (w.rows == 0) return;
  const auto columns = static_cast<double>(n_columns);
  Count(2.0 * static_cast<double>(n_rows) * columns * static_cast<double>(w.cols),
        columns * static_cast<double>(w.n_bytes) / static_cast<double>(w.rows));
}

RunTimer::RunTimer(Profile* profile) : profile_(profile) {
  if (profile_ != nullptr) begin_ns_ = Now();
}

RunTimer::~RunTimer() {
  if (profile_ != nullptr) profile_->run_ns_ += Now() - begin_ns_;
}

}  // namespace moescope::engine
