// Where weights live: mapped, in memory, or experts in slots; and how many bytes of them were used.
// Knows bytes and identifiers, not arithmetic.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/platform/aligned_buffer.h"
#include "base/platform/file.h"
#include "engine/experts/expert_schedule.h"
#include "engine/experts/weight_matrix.h"
#include "engine/experts/weight_plan.h"
#include "files/checkpoint.h"

namespace moescope::engine {

class WeightStore {
 public:
  // Tensors that are stored transposed are copied into memory even where the rest is mapped.
  // The checkpoint must outlive the store. Throws Error(kNotFound, kIo, kResource, kCorrupt).
  WeightStore(const files::Checkpoint& checkpoint, const WeightPlan& plan,
              const ExpertScheduleOptions& options = {});

  // The matrix of a tensor, valid while the store lives; a vector is [1, n]. Counts its bytes as
  // read once. Of an expert's matrix that is streamed only the shape; the schedule has the bytes.
  // Thread-safe.
  WeightMatrix Acquire(files::TensorId id);
  // Starts reading a mapped tensor in the background; does nothing for weights in memory.
  void Prefetch(files::TensorId id) const;

  // Throws Error(kCorrupt) naming a file that was cut or written to since its header was read. To
  // be called before mapped weights are used. What remains: a file cut between the call and the
  // use. Then the process ends with one line and an exit code (base/platform/lost_mapping.h), and
  // bytes written meanwhile go into sums unseen. Streamed weights are checked after every read.
  void CheckFiles() const;
  bool mapped() const { return !mapped_.empty(); }

  // Null unless experts are streamed.
  ExpertSchedule* experts() const { return schedule_.get(); }

  // Bytes acquired since the store was opened: a wave reads each weight once, so after one wave
  // this is the size of the model.
  uint64_t bytes_acquired() const { return bytes_acquired_.load(std::memory_order_relaxed); }
  const WeightPlan& plan() const { return plan_; }

 private:
  void Map();
  // What the placement wants in memory.
  void Read();
  bool IsInMemory(const files::TensorLocation& location) const;
  const std::byte* Data(const files::TensorLocation& location) const;

  const files::Checkpoint& checkpoint_;
  const WeightPlan plan_;
  std::vector<FileState> file_states_;               // as opened
  std::vector<std::unique_ptr<MappedFile>> mapped_;  // one a file; empty when read into memory
  AlignedBytes memory_;
  std::map<files::TensorId, uint64_t> memory_offset_;
  std::unique_ptr<ExpertLayout> layout_;
  std::unique_ptr<ExpertCache> cache_;
  std::unique_ptr<ExpertSchedule> schedule_;
  std::atomic<uint64_t> bytes_acquired_{0};
};

}  // namespace moescope::engine
