#include "files/checkpoint_builder.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/error.h"

namespace moescope::files {
namespace {

bool IsExpert(TensorKind kind) {
  return kind == TensorKind::kGateProj || kind == TensorKind::kUpProj ||
         kind == TensorKind::kDownProj;
}

std::string Shape(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// The kinds in each layer, in the order a forward pass meets them.
constexpr TensorKind kLayerKinds[] = {
    TensorKind::kAttentionNorm,   TensorKind::kQuery,    TensorKind::kKey,    TensorKind::kValue,
    TensorKind::kAttentionOutput, TensorKind::kMoeNorm,  TensorKind::kRouter, TensorKind::kGateProj,
    TensorKind::kUpProj,          TensorKind::kDownProj,
};

}  // namespace

std::vector<int64_t> ShapeOf(TensorKind kind, const ModelConfig& config) {
  int64_t dim = config.model_dim;
  int64_t query_dim = int64_t{config.n_heads} * config.head_dim;
  int64_t kv_dim = int64_t{config.n_kv_heads} * config.head_dim;
  switch (kind) {
    case TensorKind::kTokenEmbedding:
    case TensorKind::kOutputHead:
      return {config.vocab_size, dim};
    case TensorKind::kAttentionNorm:
    case TensorKind::kMoeNorm:
    case TensorKind::kFinalNorm:
      return {dim};
    case TensorKind::kQuery:
      return {query_dim, dim};
    case TensorKind::kKey:
    case TensorKind::kValue:
      return {kv_dim, dim};
    case TensorKind::kAttentionOutput:
      return {dim, query_dim};
    case TensorKind::kRouter:
      return {config.n_experts, dim};
    case TensorKind::kGateProj:
    case TensorKind::kUpProj:
      return {config.ffn_dim, dim};
    case TensorKind::kDownProj:
      return {dim, config.ffn_dim};
  }
  MOESCOPE_CHECK(false);
  return {};
}

CheckpointBuilder::CheckpointBuilder(std::string path, std::string format,
                                     const ModelConfig& config, Layout layout)
    : layout_(layout) {
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
  std::optional<TensorRole> role = RoleOf(layout_, tensor.name);
  if (!role) {
    if (IsDerived(tensor.name)) return;
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("cannot run this model: {}: tensor '{}' is not one of a Mixtral; leaving "
                    "it out would change the answers",
                    path, shown));
  }
  if (role->layer >= config.n_layers || role->expert >= config.n_experts) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot use checkpoint: {}: tensor '{}': the configuration has {} layers "
                    "and {} experts",
                    path, shown, config.n_layers, config.n_experts));
  }
  if (role->kind == TensorKind::kOutputHead && config.tied_embeddings) return;

  std::vector<int64_t> slice = ShapeOf(role->kind, config);
  std::vector<int64_t> expected = slice;
  if (role->slicing == Slicing::kGateUp) expected[0] *= 2;
  if (role->slicing != Slicing::kWhole) expected.insert(expected.begin(), config.n_experts);
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
  location.shape = slice;
  location.file = file;
  location.offset = tensor.offset;
  location.n_bytes = tensor.n_bytes;
  if (role->slicing == Slicing::kWhole) return Insert(std::move(location));

  uint64_t parts =
      static_cast<uint64_t>(config.n_experts) * (role->slicing == Slicing::kGateUp ? 2 : 1);
  location.n_bytes = tensor.n_bytes / parts;
  for (int expert = 0; expert < config.n_experts; ++expert) {
    location.id.expert = expert;
    location.id.kind = role->kind;
    Insert(location);
    location.offset += location.n_bytes;
    if (role->slicing != Slicing::kGateUp) continue;
    location.id.kind = TensorKind::kUpProj;
    Insert(location);
    location.offset += location.n_bytes;
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
  uint64_t wanted = 3 + static_cast<uint64_t>(config.n_layers) *
                            (7 + 3 * static_cast<uint64_t>(config.n_experts));
  if (tensors.size() == wanted) return;
  auto require = [&](TensorId id) {
    if (tensors.contains(id)) return;
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot use checkpoint: {}: {} of {} tensors are missing, the first is "
                    "'{}'; fetch the missing files",
                    checkpoint_.path_, wanted - tensors.size(), wanted, ExpectedName(layout_, id)));
  };
  require({TensorKind::kTokenEmbedding});
  for (int layer = 0; layer < config.n_layers; ++layer) {
    for (TensorKind kind : kLayerKinds) {
      int n = IsExpert(kind) ? config.n_experts : 1;
      for (int i = 0; i < n; ++i) require({kind, layer, IsExpert(kind) ? i : -1});
    }
  }
  require({TensorKind::kFinalNorm});
  require({TensorKind::kOutputHead});
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
