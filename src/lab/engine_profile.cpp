#include "lab/engine_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>

#include "base/error.h"

namespace moescope::lab {
namespace {

using engine::Work;
using files::TensorKind;

// The type of the matrices that a kind of work multiplies with; F32 where it has none of its own.
DType TypeOf(Work work, const files::Checkpoint& checkpoint) {
  const TensorKind head =
      checkpoint.config().tied_embeddings ? TensorKind::kTokenEmbedding : TensorKind::kOutputHead;
  switch (work) {
    case Work::kProjections:
      return checkpoint.tensor({TensorKind::kQuery, 0}).dtype;
    case Work::kAttentionOutput:
      return checkpoint.tensor({TensorKind::kAttentionOutput, 0}).dtype;
    case Work::kExpertUp:
      return checkpoint.tensor({TensorKind::kUpProj, 0, 0}).dtype;
    case Work::kExpertDown:
      return checkpoint.tensor({TensorKind::kDownProj, 0, 0}).dtype;
    case Work::kHead:
      return checkpoint.tensor({head}).dtype;
    case Work::kEmbedding:
    case Work::kAttention:
    case Work::kRouting:
    case Work::kCombine:
      break;
  }
  return DType::kF32;
}

}  // namespace

std::vector<ProfileRow> SummariseProfile(const engine::Profile& profile,
                                         const files::Checkpoint& checkpoint,
                                         engine::Precision precision,
                                         const engine::MachineLimits& machine) {
  const double all = profile.run_seconds() * profile.n_threads();
  std::vector<ProfileRow> rows;
  double busy = 0;
  for (int i = 0; i < engine::kNWorks; ++i) {
    const auto work = static_cast<Work>(i);
    const engine::Profile::Total total = profile.Of(work);
    if (total.n_tasks == 0) continue;
    busy += total.seconds;
    ProfileRow row;
    row.work = Name(work);
    row.n_tasks = total.n_tasks;
    row.seconds = total.seconds;
    row.share_of_time = total.seconds / all;
    const double wall = total.seconds / profile.n_threads();
    if (total.flops > 0) {
      const DType dtype = TypeOf(work, checkpoint);
      const bool rounds = engine::RoundsActivations(precision, dtype);
      row.limit = rounds ? "int8" : "fp32";
      row.gflops = total.flops / wall / 1e9;
      row.share_of_limit = row.gflops / (rounds ? machine.Int8Gops(dtype) : machine.fp32_gflops);
      row.gb_per_s = total.bytes / wall / 1e9;
      row.share_of_dram = row.gb_per_s / machine.dram_gb_per_s;
    }
    rows.push_back(row);
  }
  if (all > 0) {
    ProfileRow waiting;
    waiting.work = "waiting";
    waiting.seconds = std::max(0.0, all - busy);
    waiting.share_of_time = waiting.seconds / all;
    rows.push_back(waiting);
  }
  return rows;
}

void WriteTimeline(const engine::Profile& profile, const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"),
                                                             std::fclose);
  if (!file) ThrowErrno(errno, "write", path);
  int64_t start = std::numeric_limits<int64_t>::max();
  for (int worker = 0; worker < profile.n_threads(); ++worker) {
    for (const auto& task : profile.tasks(worker)) start = std::min(start, task.begin_ns);
  }
  fmt::print(file.get(), "{{\"displayTimeUnit\":\"ms\",\"droppedTasks\":{},\"traceEvents\":[",
             profile.n_dropped());
  const char* separator = "\n";
  for (int worker = 0; worker < profile.n_threads(); ++worker) {
    fmt::print(file.get(),
               "{}{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":{},"
               "\"args\":{{\"name\":\"worker {}\"}}}}",
               separator, worker, worker);
    separator = ",\n";
    for (const auto& task : profile.tasks(worker)) {
      fmt::print(file.get(),
                 ",\n{{\"name\":\"{}\",\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{:.3f},"
                 "\"dur\":{:.3f},\"args\":{{\"layer\":{}}}}}",
                 Name(task.work), worker, static_cast<double>(task.begin_ns - start) / 1e3,
                 static_cast<double>(task.end_ns - task.begin_ns) / 1e3, task.layer);
    }
  }
  fmt::print(file.get(), "\n]}}\n");
  if (std::fflush(file.get()) != 0) ThrowErrno(errno, "write", path);
}

}  // namespace moescope::lab
