#include "files/safetensors_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "files/checkpoint_builder.h"
#include "files/folder_vocabulary.h"
#include "files/json_events.h"
#include "files/limits.h"
#include "files/safetensors.h"

namespace moescope::files {
namespace {

constexpr const char* kConfigName = "config.json";
constexpr const char* kWeightsName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";

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

WeightMap ReadIndex(const Folder& folder) {
  std::string path = folder.PathOf(kIndexName);
  WeightMap weights;
  IndexHandler handler(path, weights);
  ReadJson(folder.ReadText(kIndexName, kMaxIndexBytes), path, handler);
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

void AddShards(const Folder& folder, CheckpointBuilder& builder) {
  WeightMap weights = ReadIndex(folder);
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
                  folder.PathOf(kIndexName), weights.size() - n_found, weights.size()));
}

// Weights under names we do not open by ourselves: say so rather than "no weights".
void RefuseOtherWeights(const Folder& folder) {
  for (const std::string& name : folder.names()) {
    std::string_view view = name;
    if (view.ends_with(".bin") || view.ends_with(".pth") || view.ends_with(".pt")) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("cannot open checkpoint: {}: pickles can run any program and are not "
                              "read; convert the model to safetensors (save_pretrained with "
                              "safe_serialization=True)",
                              folder.PathOf(name)));
    }
    if (view.ends_with(".safetensors")) {
      throw Error(
          ErrorKind::kBadInput,
          fmt::format("cannot open checkpoint: {}: expected {} or {}, found {}; name the file "
                      "itself if it holds all weights",
                      folder.path(), kWeightsName, kIndexName, name));
    }
  }
}

}  // namespace

Checkpoint OpenSafetensorsCheckpoint(const Folder& folder, const std::string& name) {
  if (!folder.Has(kConfigName) && folder.Has("params.json")) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot open checkpoint: {}: Mistral's own layout (params.json) is not "
                            "read; fetch the Hugging Face layout of the same model",
                            folder.PathOf("params.json")));
  }
  if (!folder.Has(kConfigName)) {
    throw Error(
        ErrorKind::kNotFound,
        fmt::format("cannot open checkpoint: {}: expected {} beside the weights, found none",
                    folder.path(), kConfigName));
  }
  ModelConfig config =
      ParseConfigJson(folder.ReadText(kConfigName, kMaxConfigBytes), folder.PathOf(kConfigName));
  std::string path = name.empty() ? folder.path() : folder.PathOf(name);
  CheckpointBuilder builder(path, "safetensors", config, Layout::kHuggingFace);
  if (!name.empty() && name != kConfigName) {
    AddWholeFile(folder, name, builder);
  } else if (name.empty() && folder.Has(kWeightsName)) {
    AddWholeFile(folder, kWeightsName, builder);
  } else if (name.empty() && folder.Has(kIndexName)) {
    AddShards(folder, builder);
  } else if (name.empty()) {
    RefuseOtherWeights(folder);
  }
  AddFolderVocabulary(folder, builder);
  return builder.Finish();
}

}  // namespace moescope::files
