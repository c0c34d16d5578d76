#include "files/gguf_checkpoint.h"

#include <fmt/format.h>

#include "base/error.h"
#include "files/checkpoint_builder.h"
#include "files/gguf.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

// Typed access to the metadata; messages name file and key.
class Keys {
 public:
  explicit Keys(const GgufFile& file) : file_(file) {}

  int Integer(const std::string& key, int64_t low, int64_t high) const {
    const GgufValue* value = file_.Find(key);
    if (value == nullptr)
      Refuse(key, fmt::format("an integer from {} to {}", low, high), "no such key");
    return Checked(key, *value, low, high);
  }
  int IntegerOr(const std::string& key, int64_t low, int64_t high, int fallback) const {
    const GgufValue* value = file_.Find(key);
    return value == nullptr ? fallback : Checked(key, *value, low, high);
  }
  double NumberOr(const std::string& key, double fallback) const {
    const GgufValue* value = file_.Find(key);
    if (value == nullptr) return fallback;
    const double* number = std::get_if<double>(value);
    if (number == nullptr) Refuse(key, "a floating-point number", Found(*value));
    return *number;
  }
  double Number(const std::string& key) const {
    if (file_.Find(key) == nullptr) Refuse(key, "a floating-point number", "no such key");
    return NumberOr(key, 0);
  }
  std::string TextOr(const std::string& key, const std::string& fallback) const {
    const GgufValue* value = file_.Find(key);
    if (value == nullptr) return fallback;
    const std::string* text = std::get_if<std::string>(value);
    if (text == nullptr) Refuse(key, "a string", Found(*value));
    return *text;
  }
  bool BooleanOr(const std::string& key, bool fallback) const {
    const GgufValue* value = file_.Find(key);
    if (value == nullptr) return fallback;
    const bool* flag = std::get_if<bool>(value);
    if (flag == nullptr) Refuse(key, "true or false", Found(*value));
    return *flag;
  }
  const GgufArray& Array(const std::string& key) const {
    const GgufValue* value = file_.Find(key);
    const GgufArray* array = value == nullptr ? nullptr : std::get_if<GgufArray>(value);
    if (array == nullptr) Refuse(key, "an array", value == nullptr ? "no such key" : Found(*value));
    return *array;
  }
  bool Has(const std::string& key) const { return file_.Find(key) != nullptr; }
  [[noreturn]] void Refuse(const std::string& key, const std::string& expected,
                           const std::string& found) const {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot use configuration: {}: {}: expected {}, found {}", file_.path(),
                            key, expected, found));
  }
  [[noreturn]] void Unsupported(const std::string& key, const std::string& supported,
                                const std::string& found) const {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot run this model: {}: {}: supported is {}, found {}",
                            file_.path(), key, supported, found));
  }

 private:
  static std::string Found(const GgufValue& value) {
    if (const auto* n = std::get_if<uint64_t>(&value)) return std::to_string(*n);
    if (const auto* n = std::get_if<int64_t>(&value)) return std::to_string(*n);
    if (const auto* n = std::get_if<double>(&value)) return fmt::format("{}", *n);
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    return std::holds_alternative<std::string>(value) ? "a string" : "an array";
  }
  int Checked(const std::string& key, const GgufValue& value, int64_t low, int64_t high) const {
    int64_t number = -1;
    bool integer = false;
    if (const auto* n = std::get_if<uint64_t>(&value)) {
      integer = *n <= uint64_t{INT64_MAX};
      number = integer ? static_cast<int64_t>(*n) : 0;
    } else if (const auto* s = std::get_if<int64_t>(&value)) {
      integer = true;
      number = *s;
    }
    if (!integer || number < low || number > high) {
      Refuse(key, fmt::format("an integer from {} to {}", low, high), Found(value));
    }
    return static_cast<int>(number);
  }
  const GgufFile& file_;
};

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

std::vector<PieceType> ReadPieceTypes(const Keys& keys, const GgufFile& file) {
  const char* key = "tokenizer.ggml.token_type";
  const GgufArray& array = keys.Array(key);
  if (array.type != GgufType::kI32 && array.type != GgufType::kU32) {
    keys.Refuse(key, "32-bit integers", "another type");
  }
  std::vector<PieceType> types;
  for (int32_t type : file.ReadI32s(array)) {
    if (type < 1 || type > 6) keys.Refuse(key, "types from 1 to 6", std::to_string(type));
    types.push_back(static_cast<PieceType>(type));
  }
  return types;
}

Vocabulary ReadVocabulary(const Keys& keys, const GgufFile& file) {
  const GgufArray& tokens = keys.Array("tokenizer.ggml.tokens");
  const GgufArray& scores = keys.Array("tokenizer.ggml.scores");
  const GgufArray& types = keys.Array("tokenizer.ggml.token_type");
  if (tokens.type != GgufType::kString || tokens.count < 1 ||
      tokens.count > static_cast<uint64_t>(kMaxVocabSize)) {
    keys.Refuse("tokenizer.ggml.tokens", fmt::format("1 to {} strings", kMaxVocabSize),
                fmt::format("{} elements", tokens.count));
  }
  if (scores.type != GgufType::kF32 || scores.count != tokens.count) {
    keys.Refuse("tokenizer.ggml.scores", fmt::format("{} float32 numbers", tokens.count),
                fmt::format("{} elements", scores.count));
  }
  if (types.count != tokens.count) {
    keys.Refuse("tokenizer.ggml.token_type", fmt::format("{} elements", tokens.count),
                std::to_string(types.count));
  }
  Vocabulary vocabulary;
  for (std::string& text : file.ReadStrings(tokens, kMaxVocabularyBytes)) {
    vocabulary.pieces.push_back({.text = std::move(text)});
  }
  std::vector<float> piece_scores = file.ReadF32s(scores);
  std::vector<PieceType> piece_types = ReadPieceTypes(keys, file);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    vocabulary.pieces[id].score = piece_scores[id];
    vocabulary.pieces[id].type = piece_types[id];
  }
  int64_t last = static_cast<int64_t>(tokens.count) - 1;
  vocabulary.unknown_id = keys.IntegerOr("tokenizer.ggml.unknown_token_id", 0, last, 0);
  int default_bos = keys.BooleanOr("tokenizer.ggml.add_bos_token", true) ? 1 : -1;
  vocabulary.bos_id = keys.IntegerOr("tokenizer.ggml.bos_token_id", 0, last, default_bos);
  vocabulary.eos_id = keys.IntegerOr("tokenizer.ggml.eos_token_id", 0, last, 2);
  vocabulary.add_space_prefix = keys.BooleanOr("tokenizer.ggml.add_space_prefix", true);
  vocabulary.remove_extra_whitespaces =
      keys.BooleanOr("tokenizer.ggml.remove_extra_whitespaces", false);
  CheckVocabulary(vocabulary, file.path());
  return vocabulary;
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
    vocabulary = std::make_shared<const Vocabulary>(ReadVocabulary(keys, gguf));
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
