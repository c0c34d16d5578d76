// What a profile of the engine says: kinds of work with their share of time and of the machine's
// limits, and the tasks as a timeline.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/kernels/machine_limits.h"
#include "engine/model/profile.h"
#include "engine/ops/precision.h"
#include "files/checkpoint.h"

namespace moescope::lab {

// One kind of work, or `waiting`: what the threads did not spend on tasks.
struct ProfileRow {
  std::string work;
  int64_t n_tasks = 0;
  double seconds = 0;        // of threads, so that all rows add up to threads x wall time
  double share_of_time = 0;  // of the same sum
  double gflops = 0;         // 10^9 operations per second, as if all threads did this work
  std::string limit;         // "fp32", "int8", "amx"; empty: no products
  double share_of_limit = 0;
  double gb_per_s = 0;  // 10^9 bytes, likewise
  double share_of_dram = 0;
};

// The kinds that took any time, in the order of a layer, then `waiting`.
// `machine` with all limits measured.
std::vector<ProfileRow> SummariseProfile(const engine::Profile& profile,
                                         const files::Checkpoint& checkpoint,
                                         engine::Precision precision,
                                         const engine::MachineLimits& machine);

// Writes the tasks kept in the trace event format that Chrome and Perfetto open; a row a worker.
// Source: "Trace Event Format", complete events. Throws Error(kIo).
void WriteTimeline(const engine::Profile& profile, const std::string& path);

}  // namespace moescope::lab
