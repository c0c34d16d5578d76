#include "files/safetensors_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "files/chat_template_source.h"
#include "files/checkpoint_builder.h"
#include "files/family.h"
#include "files/folder_vocabulary.h"
#include "files/json_events.h"
#include "files/limits.h"
#include "files/safetensors.h"

namespace moescope::files {
namespace {

// Where each layout keeps what.
struct FolderLayout {
  const char* config;
  const char* weights;
  const char* index;
  const char* format;
};
constexpr FolderLayout kHuggingFace = {"config.json", "model.safetensors",
                                       "model.safetensors.index.json", "safetensors"};
constexpr FolderLayout kConsolidated = {"params.json", "consolidated.safetensors",
                                        "consolidated.safetensors.index.json",
                                        "consolidated safetensors"};

using WeightMap = std::unordered_map<std::string, std::string>;  // tensor name to file name

// Collects { metadata: {..}, weight_map: { tensor: file } }; other members are passed over.
class IndexHandler : public JsonHandler {
 public:
  IndexHandler(const std::string& path, WeightMap& weights) : path_(path), weights_(weights) {}
  void BeginObject() override {
    if (depth_ == 1 && section_ == "weight_map") found_ = true;
    if (depth_ >= 1 && InMap() && depth_ != 1) Misplaced("an object");
    ++depth_;
  }
  void EndObject() override { --depth_; }
  void BeginArray() override {
    if (depth_ == 0 || InMap()) Misplaced("a list");
    ++depth_;
  }
  void EndArray() override { --depth_; }
  void Key(const std::string& key) override {
    if (depth_ == 1) section_ = key;
    key_ = key;
  }
  void String(const std::string& value) override {
    if (!InMap()) return;
    if (depth_ != 2) Misplaced("a string");
    // A shard lies beside its index: a path would let a file point anywhere.
    if (value.empty() || value.find('/') != std::string::npos || value[0] == '.') {
      Misplaced("'" + value.substr(0, 60) + "'");
    }
    weights_[key_] = value;
  }
  void Unsigned(uint64_t) override { Scalar("a number"); }
  void Other(std::string_view what) override { Scalar(what); }
  bool found() const { return found_; }

 private:
  bool InMap() const { return depth_ >= 1 && section_ == "weight_map"; }
  void Scalar(std::string_view what) const {
    if (depth_ == 0 || InMap()) Misplaced(what);
  }
  [[noreturn]] void Misplaced(std::string_view what) const {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read index: {}: near '{}': expected weight_map with names of "
                            "files, found {}; fetch the file again",
                            path_, key_.substr(0, 100), what.substr(0, 80)));
  }
  const std::string& path_;
  WeightMap& weights_;
  int depth_ = 0;
  bool found_ = false;
  std::string section_, key_;
};

WeightMap ReadIndex(const Folder& folder, const char* name) {
  std::string path = folder.PathOf(name);
  WeightMap weights;
  IndexHandler handler(path, weights);
  ReadJson(folder.ReadText(name, kMaxIndexBytes), path, handler);
  if (!handler.found() || weights.empty()) {
    throw Error(
        ErrorKind::kCorrupt,
        fmt::format("cannot read index: {}: expected a weight_map with tensors, found none; "
                    "fetch the file again",
                    path));
  }
  return weights;
}

StoredTensor ToStored(const SafetensorsTensor& tensor, const std::string& path) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    if (tensor.dtype != Name(dtype)) continue;
    return {tensor.name, dtype, tensor.shape, tensor.offset, tensor.n_bytes};
  }
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("cannot run this model: {}: tensor '{}' is {}; supported are F32, F16, BF16",
                  path, tensor.name.substr(0, 100), tensor.dtype));
}

void AddWholeFile(const Folder& folder, const std::string& name, CheckpointBuilder& builder) {
  std::shared_ptr<const RandomAccessFile> file = folder.Open(name);
  SafetensorsFile tensors(file);
  int index = builder.AddFile(file, tensors.header_bytes());
  for (const SafetensorsTensor& tensor : tensors.tensors()) {
    if (!IsDerived(tensor.name)) builder.AddTensor(index, ToStored(tensor, file->path()));
  }
}

void CheckShardsPresent(const Folder& folder, const std::set<std::string>& shards) {
  auto absent = [&](const std::string& name) { return !folder.Has(name); };
  auto first = std::find_if(shards.begin(), shards.end(), absent);
  if (first == shards.end()) return;
  throw Error(
      ErrorKind::kNotFound,
      fmt::format("cannot open checkpoint: {}: {} of {} files are missing, the first is {}; "
                  "fetch the missing files",
                  folder.path(), std::count_if(shards.begin(), shards.end(), absent), shards.size(),
                  first->substr(0, 100)));
}

void AddShards(const Folder& folder, const char* index_name, CheckpointBuilder& builder) {
  WeightMap weights = ReadIndex(folder, index_name);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weights) shards.insert(shard);
  CheckShardsPresent(folder, shards);
  size_t n_found = 0;
  for (const std::string& shard : shards) {
    std::shared_ptr<const RandomAccessFile> file = folder.Open(shard);
    SafetensorsFile tensors(file);
    int index = builder.AddFile(file, tensors.header_bytes());
    for (const SafetensorsTensor& tensor : tensors.tensors()) {
      auto at = weights.find(tensor.name);
      if (at == weights.end() || at->second != shard) continue;  // the index says where to look
      ++n_found;
      if (!IsDerived(tensor.name)) builder.AddTensor(index, ToStored(tensor, file->path()));
    }
  }
  if (n_found == weights.size()) return;
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot use checkpoint: {}: {} of {} tensors are not in the file the index "
                  "names; fetch the index and the files again",
                  folder.PathOf(index_name), weights.size() - n_found, weights.size()));
}

// Weights under names we do not open by ourselves: say so rather than "no weights".
void RefuseOtherWeights(const Folder& folder, const FolderLayout& layout) {
  for (const std::string& name : folder.names()) {
    std::string_view view = name;
    if (view.ends_with(".bin") || view.ends_with(".pth") || view.ends_with(".pt")) {
      ThrowPickle(folder.PathOf(name));
    }
    if (view.ends_with(".safetensors")) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("cannot open checkpoint: {}: expected {} or {}, found {}; name the file "
                      "itself if it holds all weights",
                      folder.path(), layout.weights, layout.index, name));
    }
  }
}

// Instruct models say in generation_config.json what ends a turn.
void AddEndTokens(const Folder& folder, ModelConfig& config) {
  constexpr const char* kName = "generation_config.json";
  if (!folder.Has(kName)) return;
  const std::string path = folder.PathOf(kName);
  for (int id : ParseGenerationConfig(folder.ReadText(kName, kMaxConfigBytes), path)) {
    config.AddEndId(id);
  }
  CheckModelConfig(config, path);
}

// Mistral publishes both layouts in one folder: Hugging Face's counts when its weights are there.
const FolderLayout& LayoutOf(const Folder& folder, const std::string& name) {
  const bool has_params = folder.Has(kConsolidated.config);
  if (!name.empty()) {
    const bool consolidated = name.starts_with("consolidated") || name == kConsolidated.config;
    return has_params && (consolidated || !folder.Has(kHuggingFace.config)) ? kConsolidated
                                                                            : kHuggingFace;
  }
  const bool has_weights = folder.Has(kHuggingFace.weights) || folder.Has(kHuggingFace.index);
  const bool has_consolidated =
      folder.Has(kConsolidated.weights) || folder.Has(kConsolidated.index);
  const bool prefer = !folder.Has(kHuggingFace.config) || (!has_weights && has_consolidated);
  return has_params && prefer ? kConsolidated : kHuggingFace;
}

}  // namespace

void ThrowPickle(const std::string& path) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot open checkpoint: {}: pickles can run any program and are not "
                          "read; convert the model to safetensors (save_pretrained with "
                          "safe_serialization=True)",
                          path));
}

Checkpoint OpenSafetensorsCheckpoint(const Folder& folder, const std::string& name) {
  const FolderLayout& layout = LayoutOf(folder, name);
  if (!folder.Has(layout.config)) {
    RefuseOtherWeights(folder, layout);
    throw Error(
        ErrorKind::kNotFound,
        fmt::format("cannot open checkpoint: {}: expected {} beside the weights, found none",
                    folder.path(), layout.config));
  }
  const bool consolidated = &layout == &kConsolidated;
  const std::string text = folder.ReadText(layout.config, kMaxConfigBytes);
  const std::string config_path = folder.PathOf(layout.config);
  ModelConfig config =
      consolidated ? ParseParamsJson(text, config_path) : ParseConfigJson(text, config_path);
  AddEndTokens(folder, config);
  std::string path = name.empty() ? folder.path() : folder.PathOf(name);
  CheckpointBuilder builder(path, layout.format, config,
                            consolidated ? kConsolidatedNames : *FamilyOf(config).names);
  if (!name.empty() && name != layout.config) {
    AddWholeFile(folder, name, builder);
  } else if (name.empty() && folder.Has(layout.weights)) {
    AddWholeFile(folder, layout.weights, builder);
  } else if (name.empty() && folder.Has(layout.index)) {
    AddShards(folder, layout.index, builder);
  } else if (name.empty()) {
    RefuseOtherWeights(folder, layout);
  }
  AddFolderVocabulary(folder, builder);
  builder.SetChatTemplate(FindChatTemplate(folder));
  return builder.Finish();
}

}  // namespace moescope::files
