#include "files/checkpoint_builder.h"

#include <fmt/format.h>

#include "base/error.h"
#include "files/family.h"

namespace moescope::files {
namespace {

std::string Shape(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// The shape a stored tensor must have to become what its role says.
std::vector<int64_t> StoredShape(const TensorRole& role, const ModelConfig& config) {
  std::vector<int64_t> shape = ShapeOf(role.kind, config);
  if (role.slicing == Slicing::kGateUp) shape[0] *= 2;
  if (role.slicing == Slicing::kQkv) shape[0] += 2 * config.kv_dim();
  if (role.slicing == Slicing::kExperts || role.slicing == Slicing::kGateUp) {
    shape.insert(shape.begin(), config.n_experts);
  }
  if (role.transposed) std::swap(shape[0], shape[1]);
  return shape;
}

}  // namespace

CheckpointBuilder::CheckpointBuilder(std::string path, std::string format,
                                     const ModelConfig& config, const NameScheme& names)
    : names_(names) {
  checkpoint_.path_ = std::move(path);
  checkpoint_.format_ = std::move(format);
  checkpoint_.config_ = config;
}

int CheckpointBuilder::AddFile(std::shared_ptr<const RandomAccessFile> file,
                               uint64_t header_bytes) {
  checkpoint_.files_.push_back(file->path());
  checkpoint_.handles_.push_back({std::move(file), header_bytes});
  return static_cast<int>(checkpoint_.files_.size()) - 1;
}

void CheckpointBuilder::AddTensor(int file, const StoredTensor& tensor) {
  const ModelConfig& config = checkpoint_.config_;
  const std::string& path = checkpoint_.files_[static_cast<size_t>(file)];
  std::string shown = tensor.name.substr(0, 100);
  std::optional<TensorRole> role = RoleOf(names_, tensor.name);
  if (role && role->kind == TensorKind::kOutputHead && config.tied_embeddings) return;
  if (!role || !HasTensor(role->kind, config)) {
    if (IsDerived(tensor.name)) return;
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot run this model: {}: tensor '{}' is not one of a {} with this "
                            "configuration; leaving it out would change the answers",
                            path, shown, FamilyOf(config).title));
  }
  if (role->layer >= config.n_layers || role->expert >= config.n_feed_forwards()) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot use checkpoint: {}: tensor '{}': the configuration has {} layers "
                    "and {} experts",
                    path, shown, config.n_layers, config.n_experts));
  }
  std::vector<int64_t> expected = StoredShape(*role, config);
  if (tensor.shape != expected) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot use checkpoint: {}: tensor '{}': the configuration calls for {}, "
                    "found {}",
                    path, shown, Shape(expected), Shape(tensor.shape)));
  }
  TensorLocation location;
  location.id = {role->kind, static_cast<int>(role->layer), static_cast<int>(role->expert)};
  location.name = tensor.name;
  location.dtype = tensor.dtype;
  location.shape = ShapeOf(role->kind, config);
  location.file = file;
  location.offset = tensor.offset;
  location.n_bytes = tensor.n_bytes;
  if (role->transposed) {
    location.column_stride = tensor.n_bytes / static_cast<uint64_t>(expected[0]);
  }
  switch (role->slicing) {
    case Slicing::kWhole:
      return Insert(std::move(location));
    case Slicing::kExperts:
    case Slicing::kGateUp:
      return InsertExperts(std::move(location), role->slicing);
    case Slicing::kQkv:
      return InsertQkv(std::move(location), role->transposed);
  }
}

void CheckpointBuilder::InsertExperts(TensorLocation location, Slicing slicing) {
  const int n_experts = checkpoint_.config_.n_experts;
  const TensorKind kind = location.id.kind;
  const bool gate_up = slicing == Slicing::kGateUp;
  location.n_bytes /= static_cast<uint64_t>(n_experts) * (gate_up ? 2 : 1);
  for (int expert = 0; expert < n_experts; ++expert) {
    location.id.expert = expert;
    location.id.kind = kind;
    Insert(location);
    location.offset += location.n_bytes;
    if (!gate_up) continue;
    location.id.kind = TensorKind::kUpProj;
    Insert(location);
    location.offset += location.n_bytes;
  }
}

// Query, key and value lie one after another along the rows (or, transposed, the columns).
void CheckpointBuilder::InsertQkv(TensorLocation location, bool transposed) {
  const ModelConfig& config = checkpoint_.config_;
  const bool bias = location.id.kind == TensorKind::kQueryBias;
  const auto all_rows = static_cast<uint64_t>(config.query_dim() + 2 * config.kv_dim());
  const uint64_t bytes_per_row = location.n_bytes / all_rows;
  const uint64_t step = transposed ? location.column_stride / all_rows : bytes_per_row;
  const TensorKind kinds[] = {bias ? TensorKind::kQueryBias : TensorKind::kQuery,
                              bias ? TensorKind::kKeyBias : TensorKind::kKey,
                              bias ? TensorKind::kValueBias : TensorKind::kValue};
  for (TensorKind kind : kinds) {
    location.id.kind = kind;
    location.shape = ShapeOf(kind, config);
    const auto rows = static_cast<uint64_t>(location.shape[0]);
    location.n_bytes = rows * bytes_per_row;
    Insert(location);
    location.offset += rows * step;
  }
}

void CheckpointBuilder::Insert(TensorLocation location) {
  auto [at, inserted] = checkpoint_.tensors_.try_emplace(location.id, location);
  if (inserted) return;
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot use checkpoint: {}: tensor '{}' is the same as '{}': expected one",
                  checkpoint_.path_, location.name.substr(0, 100), at->second.name.substr(0, 100)));
}

// Walks what the configuration calls for. Costs no more than the tensors that are there, since it
// stops at the first gap.
void CheckpointBuilder::CheckComplete() const {
  const ModelConfig& config = checkpoint_.config_;
  const auto& tensors = checkpoint_.tensors_;
  uint64_t wanted = 0;
  for (TensorKind kind : AllTensorKinds()) wanted += CountOf(kind, config);
  if (tensors.size() == wanted) return;
  auto require = [&](TensorId id) {
    if (tensors.contains(id)) return;
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot use checkpoint: {}: {} of {} tensors are missing, the first is "
                    "'{}'; fetch the missing files",
                    checkpoint_.path_, wanted - tensors.size(), wanted, ExpectedName(names_, id)));
  };
  auto require_model_tensors = [&](bool behind_layers) {
    for (TensorKind kind : AllTensorKinds()) {
      const bool behind = kind > TensorKind::kRouter;
      if (CountOf(kind, config) == 1 && ScopeOf(kind) == TensorScope::kModel &&
          behind == behind_layers) {
        require({kind});
      }
    }
  };
  require_model_tensors(false);
  for (int layer = 0; layer < config.n_layers; ++layer) {
    for (TensorKind kind : AllTensorKinds()) {
      if (!HasTensor(kind, config) || ScopeOf(kind) == TensorScope::kModel) continue;
      const bool expert = ScopeOf(kind) == TensorScope::kExpert;
      const int n = expert ? config.n_feed_forwards() : 1;
      for (int i = 0; i < n; ++i) require({kind, layer, expert ? i : -1});
    }
  }
  require_model_tensors(true);
  MOESCOPE_CHECK(tensors.size() == wanted);
}

Checkpoint CheckpointBuilder::Finish() {
  auto& tensors = checkpoint_.tensors_;
  if (!checkpoint_.files_.empty()) {
    auto embedding = tensors.find({TensorKind::kTokenEmbedding});
    if (checkpoint_.config_.tied_embeddings && embedding != tensors.end()) {
      TensorLocation head = embedding->second;
      head.id.kind = TensorKind::kOutputHead;
      Insert(head);
    }
    CheckComplete();
  }
  const Vocabulary* vocabulary = checkpoint_.vocabulary_.get();
  auto vocab_size = static_cast<size_t>(checkpoint_.config_.vocab_size);
  if (vocabulary != nullptr && vocabulary->pieces.size() > vocab_size) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot use checkpoint: {}: expected at most {} pieces in the tokenizer, "
                    "found {}: it belongs to another model",
                    checkpoint_.path_, vocab_size, vocabulary->pieces.size()));
  }
  return std::move(checkpoint_);
}

}  // namespace moescope::files
