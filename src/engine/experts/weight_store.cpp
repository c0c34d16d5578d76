#include "engine/experts/weight_store.h"

#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"

namespace moescope::engine {
namespace {

constexpr uint64_t kTensorAlignment = 64;  // a cache line, and the widest vector

uint64_t Align(uint64_t offset) {
  return (offset + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
}

}  // namespace

WeightStore::WeightStore(const files::Checkpoint& checkpoint, const WeightPlan& plan,
                         const ExpertScheduleOptions& options)
    : checkpoint_(checkpoint), plan_(plan) {
  for (size_t i = 0; i < checkpoint.files().size(); ++i) {
    file_states_.push_back(checkpoint.file(static_cast<int>(i)).State());
  }
  if (plan.placement == WeightPlacement::kMapped) Map();
  Read();
  if (plan.placement != WeightPlacement::kStreamed) return;
  layout_ = std::make_unique<ExpertLayout>(checkpoint);
  cache_ = std::make_unique<ExpertCache>(checkpoint, *layout_, OpenExpertFiles(checkpoint),
                                         plan.n_slots);
  schedule_ = std::make_unique<ExpertSchedule>(*cache_, options);
}

bool WeightStore::IsInMemory(const files::TensorLocation& location) const {
  switch (plan_.placement) {
    case WeightPlacement::kMapped:
      return location.column_stride != 0;
    case WeightPlacement::kRead:
      return true;
    case WeightPlacement::kStreamed:
      return !IsExpertMatrix(location.id.kind);
  }
  return false;
}

void WeightStore::CheckFiles() const {
  for (size_t i = 0; i < file_states_.size(); ++i) {
    const RandomAccessFile& file = checkpoint_.file(static_cast<int>(i));
    const FileState now = file.State();
    if (now == file_states_[i]) continue;
    throw Error(ErrorKind::kCorrupt, "cannot read: " + file.path() + "@0: expected the file of " +
                                         std::to_string(file_states_[i].n_bytes) +
                                         " bytes that was opened, found it written to since, now " +
                                         std::to_string(now.n_bytes) +
                                         " bytes; restore the file and run the same command again");
  }
}

void WeightStore::Map() {
  for (const std::string& path : checkpoint_.files()) {
    mapped_.push_back(std::make_unique<MappedFile>(path));
  }
  // The file may have shrunk since its header was read; a mapping must not be read past its end.
  for (const auto& [id, location] : checkpoint_.tensors()) {
    if (IsInMemory(location)) continue;
    const MappedFile& file = *mapped_[location.file];
    if (location.offset + location.n_bytes > file.bytes().size()) {
      throw Error(ErrorKind::kCorrupt,
                  "cannot map " + location.name + ": " + file.path() + "@" +
                      std::to_string(location.offset) + ": expected " +
                      std::to_string(location.n_bytes) + " bytes, found a file of " +
                      std::to_string(file.bytes().size()) + "; was it replaced?");
    }
  }
}

void WeightStore::Read() {
  uint64_t total = 0;
  for (const auto& [id, location] : checkpoint_.tensors()) {
    if (!IsInMemory(location)) continue;
    memory_offset_[id] = total;
    total = Align(total + location.n_bytes);
  }
  if (total == 0) return;
  uint64_t available = AvailableMemoryBytes();
  if (total > available) {
    throw Error(ErrorKind::kResource, "cannot read the weights of " + checkpoint_.path() +
                                          " into memory: needed " + FormatBytes(total) +
                                          ", available " + FormatBytes(available) +
                                          (plan_.placement == WeightPlacement::kMapped
                                               ? "; convert the model to GGUF, which is mapped"
                                               : "; give a smaller --memory"));
  }
  memory_ = AlignedBytes(total, "the weights");
  for (const auto& [id, offset] : memory_offset_) {
    const files::TensorLocation& location = checkpoint_.tensor(id);
    checkpoint_.ReadRows(location, 0, location.n_rows(),
                         {memory_.data() + offset, location.n_bytes});
  }
}

const std::byte* WeightStore::Data(const files::TensorLocation& location) const {
  if (auto at = memory_offset_.find(location.id); at != memory_offset_.end()) {
    return memory_.data() + at->second;
  }
  return mapped_[location.file]->bytes().data() + location.offset;
}

WeightMatrix WeightStore::Acquire(files::TensorId id) {
  const files::TensorLocation& location = checkpoint_.tensor(id);
  bytes_acquired_.fetch_add(location.n_bytes, std::memory_order_relaxed);
  const bool is_vector = location.shape.size() == 1;
  MOESCOPE_CHECK(is_vector || location.shape.size() == 2);
  return {.data = layout_ && IsExpertMatrix(id.kind) ? nullptr : Data(location),
          .dtype = location.dtype,
          .rows = is_vector ? 1 : location.shape[0],
          .cols = is_vector ? location.shape[0] : location.shape[1],
          .n_bytes = location.n_bytes};
}

void WeightStore::Prefetch(files::TensorId id) const {
  if (mapped_.empty() || memory_offset_.contains(id)) return;
  const files::TensorLocation& location = checkpoint_.tensor(id);
  PrefetchMapped({Data(location), location.n_bytes});
}

}  // namespace moescope::engine
