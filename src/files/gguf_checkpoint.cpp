#include "files/gguf_checkpoint.h"

#include <fmt/format.h>

#include "base/error.h"
#include "files/checkpoint_builder.h"
#include "files/gguf.h"
#include "files/gguf_keys.h"
#include "files/gguf_vocabulary.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

using Keys = GgufKeys;

void CheckArchitecture(const Keys& keys, const GgufFile& file) {
  if (!keys.Has("general.architecture")) {
    keys.Refuse("general.architecture", "'llama'", "no such key");
  }
  std::string architecture = keys.TextOr("general.architecture", "");
  if (architecture != "llama") {
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("cannot run this model: {}: unknown architecture '{}'; known: llama with "
                    "experts (Mixtral)",
                    file.path(), architecture.substr(0, 60)));
  }
  if (!keys.Has("llama.expert_count")) {
    keys.Unsupported("llama.expert_count", "a mixture of experts", "a dense model");
  }
  if (keys.IntegerOr("split.count", 0, UINT16_MAX, 1) > 1) {
    keys.Unsupported("split.count", "a single file",
                     "a split one; join it with llama-gguf-split --merge");
  }
}

// Settings that change the arithmetic in ways we do not follow are refused, never ignored.
void CheckUnsupported(const Keys& keys, const ModelConfig& config) {
  std::string scaling = keys.TextOr("llama.rope.scaling.type", "none");
  double factor =
      keys.NumberOr("llama.rope.scaling.factor", keys.NumberOr("llama.rope.scale_linear", 1));
  if (scaling != "none" && factor != 1) {
    keys.Unsupported("llama.rope.scaling.type", "none", scaling.substr(0, 60));
  }
  auto require = [&](const std::string& key, int value, const std::string& meaning) {
    int found = keys.IntegerOr(key, 0, INT32_MAX, value);
    if (found != value)
      keys.Unsupported(key, fmt::format("{} ({})", value, meaning), std::to_string(found));
  };
  require("llama.rope.dimension_count", config.head_dim, "the whole head");
  require("llama.attention.value_length", config.head_dim, "as the keys");
  require("llama.expert_gating_func", 1, "softmax");
  require("llama.expert_shared_count", 0, "no shared experts");
  double scale = keys.NumberOr("llama.expert_weights_scale", 1);
  if (scale != 1) keys.Unsupported("llama.expert_weights_scale", "1", fmt::format("{}", scale));
  if (!keys.BooleanOr("llama.expert_weights_norm", true)) {
    keys.Unsupported("llama.expert_weights_norm", "true", "false");
  }
  int window = keys.IntegerOr("llama.attention.sliding_window", 0, INT32_MAX, 0);
  if (window != 0 && window < config.context) {
    keys.Unsupported("llama.attention.sliding_window", "none", std::to_string(window));
  }
}

// Rows of the embedding: the key, else the number of tokens, else the tensor itself.
int VocabSize(const Keys& keys, const GgufFile& file) {
  if (keys.Has("llama.vocab_size")) return keys.Integer("llama.vocab_size", 1, kMaxVocabSize);
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name == "token_embd.weight" && tensor.shape[0] <= kMaxVocabSize) {
      return static_cast<int>(tensor.shape[0]);
    }
  }
  return keys.Integer("llama.vocab_size", 1, kMaxVocabSize);
}

ModelConfig ReadConfig(const Keys& keys, const GgufFile& file) {
  ModelConfig config;
  config.architecture = "mixtral";
  config.rope_layout = RopeLayout::kInterleaved;
  config.model_dim = keys.Integer("llama.embedding_length", 1, kMaxModelDim);
  config.n_layers = keys.Integer("llama.block_count", 1, kMaxLayers);
  config.n_heads = keys.Integer("llama.attention.head_count", 1, kMaxHeads);
  config.n_kv_heads =
      keys.IntegerOr("llama.attention.head_count_kv", 1, config.n_heads, config.n_heads);
  if (!keys.Has("llama.attention.key_length") && config.model_dim % config.n_heads != 0) {
    keys.Refuse("llama.attention.head_count",
                fmt::format("a divisor of embedding_length {}", config.model_dim),
                std::to_string(config.n_heads));
  }
  config.head_dim = keys.IntegerOr("llama.attention.key_length", 1, kMaxHeadDim,
                                   config.model_dim / config.n_heads);
  config.ffn_dim = keys.Integer("llama.feed_forward_length", 1, kMaxFfnDim);
  config.vocab_size = VocabSize(keys, file);
  config.context = keys.Integer("llama.context_length", 1, kMaxContext);
  config.n_experts = keys.Integer("llama.expert_count", 1, kMaxExperts);
  config.experts_per_token = keys.Integer("llama.expert_used_count", 1, config.n_experts);
  config.rms_eps = keys.Number("llama.attention.layer_norm_rms_epsilon");
  config.rope_theta = keys.NumberOr("llama.rope.freq_base", 10000);
  config.tied_embeddings = true;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name == "output.weight") config.tied_embeddings = false;
  }
  CheckUnsupported(keys, config);
  return config;
}

void AddTensors(const GgufFile& file, int index, CheckpointBuilder& builder) {
  for (const GgufTensor& tensor : file.tensors()) {
    if (!tensor.type->dtype) {
      throw Error(
          ErrorKind::kUnsupported,
          fmt::format("cannot run this model: {}: tensor '{}' is {}; supported are F32, F16, "
                      "BF16 and Q8_0",
                      file.path(), tensor.name.substr(0, 100), tensor.type->name));
    }
    builder.AddTensor(
        index, {tensor.name, *tensor.type->dtype, tensor.shape, tensor.offset, tensor.n_bytes});
  }
}

}  // namespace

Checkpoint OpenGgufCheckpoint(std::shared_ptr<const RandomAccessFile> file) {
  GgufFile gguf(file);
  Keys keys(gguf);
  CheckArchitecture(keys, gguf);
  ModelConfig config = ReadConfig(keys, gguf);
  std::shared_ptr<const Vocabulary> vocabulary;
  std::string tokenizer = keys.TextOr("tokenizer.ggml.model", "none");
  if (tokenizer == "llama") {
    vocabulary = std::make_shared<const Vocabulary>(ReadGgufVocabulary(keys, gguf));
    config.bos_id = vocabulary->bos_id;
    config.eos_id = vocabulary->eos_id;
  } else {
    config.bos_id = keys.IntegerOr("tokenizer.ggml.bos_token_id", 0, config.vocab_size - 1, -1);
    config.eos_id = keys.IntegerOr("tokenizer.ggml.eos_token_id", 0, config.vocab_size - 1, -1);
  }
  CheckModelConfig(config, gguf.path());
  CheckpointBuilder builder(gguf.path(), "gguf", config, Layout::kGguf);
  if (vocabulary == nullptr) {
    builder.SetTokenizerNote(fmt::format("{} has a tokenizer of kind '{}'; read is 'llama'",
                                         gguf.path(), tokenizer.substr(0, 40)));
  }
  builder.SetVocabulary(std::move(vocabulary));
  int index = builder.AddFile(std::move(file), gguf.header_bytes());
  AddTensors(gguf, index, builder);
  if (gguf.tensors().empty()) {
    throw Error(
        ErrorKind::kBadInput,
        fmt::format("cannot use checkpoint: {}: expected tensors, found none", gguf.path()));
  }
  return builder.Finish();
}

}  // namespace moescope::files
