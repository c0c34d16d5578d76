// `convert` to a folder in Hugging Face's layout.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/platform/durable_directory.h"
#include "base/progress.h"
#include "files/config_json_writer.h"
#include "files/family.h"
#include "files/safetensors_writer.h"
#include "lab/convert.h"
#include "lab/folder_tokenizer.h"
#include "lab/rope_divisors.h"
#include "lab/safetensors_types.h"
#include "lab/tensor_copier.h"

namespace moescope::lab {
namespace {

using files::Checkpoint;
using files::ModelConfig;
using files::RopeScaling;

// GGUF rounds numbers to float32; the shortest decimal that rounds to the same is what the model
// was published with: 1e-05 rather than 9.999999747378752e-06.
double AsPublished(double value) {
  const auto rounded = static_cast<float>(value);
  if (static_cast<double>(rounded) != value) return value;
  return std::strtod(fmt::format("{}", rounded).c_str(), nullptr);
}

void RestoreNumbers(ModelConfig& config) {
  RopeScaling& scaling = config.rope_scaling;
  for (double* number : {&config.norm_eps, &config.rope_theta, &scaling.factor, &scaling.beta_fast,
                         &scaling.beta_slow, &scaling.attention_factor}) {
    *number = AsPublished(*number);
  }
}

RopeScaling ScalingOfFactors(const Checkpoint& checkpoint) {
  const files::TensorLocation& location = checkpoint.tensor({files::TensorKind::kRopeFactors});
  std::vector<float> divisors(static_cast<size_t>(location.shape[0]));
  if (location.dtype == DType::kF32) {
    checkpoint.ReadRows(location, 0, 1, std::as_writable_bytes(std::span(divisors)));
    if (auto scaling = ScalingOfDivisors(checkpoint.config(), divisors)) return *scaling;
  }
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot write config.json: {}: rope_freqs.weight is not what a Llama 3 "
                          "scaling gives, and there is no member for others; write GGUF",
                          checkpoint.path()));
}

// The checkpoint's configuration as Hugging Face's layout has it.
ModelConfig HuggingFaceConfig(const Checkpoint& checkpoint) {
  ModelConfig config = ConfigWithTokenIds(checkpoint);
  config.rope_layout = files::RopeLayout::kHalves;
  // GGUF calls Mistral `llama`; of the two only Mistral has a window.
  if (config.architecture == "llama" && config.sliding_window > 0) config.architecture = "mistral";
  if (config.rope_scaling.kind == RopeScaling::Kind::kFactors) {
    config.rope_scaling = ScalingOfFactors(checkpoint);
  }
  if (checkpoint.format() == "gguf") RestoreNumbers(config);
  return config;
}

// One file of weights: tensors [begin, end) of the plan.
struct Shard {
  size_t begin = 0, end = 0;
  std::string name;
};

uint64_t BytesOf(const OutputTensor& tensor) {
  auto n_bytes = static_cast<uint64_t>(Info(tensor.dtype).block_bytes);
  for (int64_t dimension : tensor.shape) n_bytes *= static_cast<uint64_t>(dimension);
  return n_bytes;
}

std::vector<Shard> SplitIntoShards(const std::vector<OutputTensor>& tensors, uint64_t max_bytes) {
  std::vector<Shard> shards(1);
  uint64_t n_bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t more = BytesOf(tensors[i]);
    if (n_bytes > 0 && (more > max_bytes || n_bytes > max_bytes - more)) {
      shards.emplace_back().begin = i;
      n_bytes = 0;
    }
    n_bytes += more;
    shards.back().end = i + 1;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].name = shards.size() == 1
                         ? "model.safetensors"
                         : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  }
  return shards;
}

std::string IndexJson(const std::vector<OutputTensor>& tensors, const std::vector<Shard>& shards) {
  nlohmann::json weight_map = nlohmann::json::object();
  uint64_t total_bytes = 0;
  for (const Shard& shard : shards) {
    for (size_t i = shard.begin; i < shard.end; ++i) {
      weight_map[tensors[i].name] = shard.name;
      total_bytes += BytesOf(tensors[i]);
    }
  }
  const nlohmann::json index = {{"metadata", {{"total_size", total_bytes}}},
                                {"weight_map", weight_map}};
  return index.dump(2) + "\n";
}

// Writes the folder's files one after another.
class FolderWriter {
 public:
  FolderWriter(const std::string& path, ConvertSummary& summary)
      : directory_(path), summary_(summary) {}

  void AddText(const std::string& name, const std::string& text) {
    ReplaceFile(directory_.PathOf(name), AsBytes(text));
    Count(name, text.size());
  }

  // The writer that tensors' bytes go to from now on. Requires: the one before is finished.
  void BeginShard(const Shard& shard, const std::vector<OutputTensor>& tensors) {
    writer_.emplace();
    for (size_t i = shard.begin; i < shard.end; ++i) {
      writer_->DeclareTensor(tensors[i].name, tensors[i].dtype, tensors[i].shape);
    }
    writer_->Begin(directory_.PathOf(shard.name));
  }
  void Append(ByteSpan bytes) { writer_->Append(bytes); }
  void FinishShard(const Shard& shard) {
    writer_->Commit();
    Count(shard.name, writer_->TotalBytes());
    writer_.reset();
  }

  std::string PathOf(const std::string& name) const { return directory_.PathOf(name); }
  void Commit() { directory_.Commit(); }

 private:
  void Count(const std::string& name, uint64_t n_bytes) {
    summary_.files.push_back(name);
    summary_.bytes_written += n_bytes;
  }
  DurableDirectory directory_;  // outlives the writer, which removes its file from it
  ConvertSummary& summary_;
  std::optional<files::SafetensorsWriter> writer_;
};

void CheckType(std::optional<DType> dtype) {
  if (!dtype || Info(*dtype).block_elements == 1) return;
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot write safetensors: expected the type f32, f16 or bf16, found {}; "
                          "quantised types need --to gguf",
                          Name(*dtype)));
}

}  // namespace

ConvertSummary ConvertToSafetensors(const Checkpoint& checkpoint, const std::string& output,
                                    const SafetensorsOptions& options) {
  CheckType(options.dtype);
  const auto start = std::chrono::steady_clock::now();
  ConvertSummary summary;
  const ModelConfig config = HuggingFaceConfig(checkpoint);
  std::vector<OutputTensor> tensors = PlanTensors(checkpoint, {*FamilyOf(config).names, config});
  ProgressBar progress("convert", BytesToRead(tensors) / 1'000'000, "MB");
  FolderWriter* folder = nullptr;
  auto append = [&](ByteSpan bytes, uint64_t bytes_read) {
    folder->Append(bytes);
    progress.Update(bytes_read / 1'000'000);
  };
  TensorCopier copier(checkpoint, append);
  summary.dtype = ChooseSafetensorsTypes(options.dtype, checkpoint.format() == "gguf", copier,
                                         tensors, summary.kept);
  const std::string config_json = WriteConfigJson(config, summary.dtype, checkpoint.path());
  FolderTokenizer tokenizer = TokenizerOf(checkpoint);
  summary.tokenizer_note = std::move(tokenizer.note);

  FolderWriter writer(output, summary);
  folder = &writer;
  uint64_t bytes_needed = 0;
  for (const OutputTensor& tensor : tensors) bytes_needed += BytesOf(tensor);
  RequireFreeSpace(writer.PathOf("model.safetensors"), bytes_needed);
  writer.AddText("config.json", config_json);
  for (const FolderFile& file : tokenizer.files) writer.AddText(file.name, file.content);
  const std::vector<Shard> shards = SplitIntoShards(tensors, options.max_file_bytes);
  if (shards.size() > 1) {
    writer.AddText("model.safetensors.index.json", IndexJson(tensors, shards));
  }
  for (const Shard& shard : shards) {
    writer.BeginShard(shard, tensors);
    for (size_t i = shard.begin; i < shard.end; ++i) copier.Copy(tensors[i]);
    writer.FinishShard(shard);
  }
  writer.Commit();
  summary.n_tensors = tensors.size();
  summary.bytes_read = copier.bytes_read();
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

}  // namespace moescope::lab
