#include "files/gguf_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "files/family.h"

namespace moescope::files {
namespace {

// ggml's number for "mostly this type" (enum llama_ftype).
uint32_t FileType(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:
      return 0;  // F32
  }
}

// Adds one architecture's keys, which all begin with its name.
class ConfigWriter {
 public:
  ConfigWriter(const Family& family, GgufWriter& writer) : family_(family), writer_(writer) {}

  void AddSizes(const ModelConfig& config) {
    Number("vocab_size", config.vocab_size);
    Number("block_count", config.n_layers);
    Number("context_length", config.context);
    Number("embedding_length", config.model_dim);
    Number("feed_forward_length", config.ffn_dim);
    Number("attention.head_count", config.n_heads);
    Number("attention.head_count_kv", config.n_kv_heads);
    Number("attention.key_length", config.head_dim);
    Number("attention.value_length", config.head_dim);
    Real(config.norm == NormKind::kLayer ? "attention.layer_norm_epsilon"
                                         : "attention.layer_norm_rms_epsilon",
         config.norm_eps);
    if (config.positions == PositionKind::kRotary) {
      Real("rope.freq_base", config.rope_theta);
      Number("rope.dimension_count", config.head_dim);
    }
    if (config.dense()) return;
    Number("expert_count", config.n_experts);
    Number("expert_used_count", config.experts_per_token);
  }

  void AddWhatIsParticular(const ModelConfig& config) {
    if (family_.gguf_names_expert_ffn_dim) Number("expert_feed_forward_length", config.ffn_dim);
    if (!config.dense() &&
        config.normalise_routing_weights != family_.gguf_normalises_routing_weights) {
      writer_.AddBool(Key("expert_weights_norm"), config.normalise_routing_weights);
    }
    if (config.sliding_window > 0) Number("attention.sliding_window", config.sliding_window);
  }

  void AddRopeScaling(const RopeScaling& scaling, const std::string& origin) {
    if (scaling.kind == RopeScaling::Kind::kLinear) {
      writer_.AddText(Key("rope.scaling.type"), "linear");
      Real("rope.scaling.factor", scaling.factor);
    }
    if (scaling.kind != RopeScaling::Kind::kYarn) return;
    if (!scaling.truncate) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("cannot write GGUF: {}: it has no key for a YaRN scaling with "
                              "truncate false; write safetensors",
                              origin));
    }
    writer_.AddText(Key("rope.scaling.type"), "yarn");
    Real("rope.scaling.factor", scaling.factor);
    Number("rope.scaling.original_context_length", static_cast<int>(scaling.original_context));
    // Readers multiply it by what YaRN's paper says for the factor.
    Real("rope.scaling.attn_factor",
         scaling.attention_factor / (0.1 * std::log(std::max(scaling.factor, 1.0)) + 1));
    Real("rope.scaling.yarn_beta_fast", scaling.beta_fast);
    Real("rope.scaling.yarn_beta_slow", scaling.beta_slow);
  }

 private:
  std::string Key(const char* name) const {
    return fmt::format("{}.{}", family_.gguf_architecture, name);
  }
  void Number(const char* name, int value) {
    writer_.AddU32(Key(name), static_cast<uint32_t>(value));
  }
  void Real(const char* name, double value) {
    writer_.AddF32(Key(name), static_cast<float>(value));
  }
  const Family& family_;
  GgufWriter& writer_;
};

}  // namespace

void AddGgufConfig(const ModelConfig& config, DType dtype, const std::string& origin,
                   GgufWriter& writer) {
  MOESCOPE_CHECK(config.rope_scaling.kind != RopeScaling::Kind::kLlama3);
  const Family& family = FamilyOf(config);
  writer.AddText("general.architecture", family.gguf_architecture);
  writer.AddText("general.type", "model");
  writer.AddU32("general.file_type", FileType(dtype));
  writer.AddU32("general.quantization_version", 2);
  ConfigWriter keys(family, writer);
  keys.AddSizes(config);
  keys.AddWhatIsParticular(config);
  keys.AddRopeScaling(config.rope_scaling, origin);
}

void AddGgufVocabulary(const Vocabulary& vocabulary, const ModelConfig& config,
                       GgufWriter& writer) {
  std::vector<Vocabulary::Piece> pieces = vocabulary.pieces;
  for (auto id = static_cast<int>(pieces.size()); id < config.vocab_size; ++id) {
    pieces.push_back({fmt::format("[PAD{}]", id), 0, PieceType::kUnused});
  }
  std::vector<std::string_view> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const auto& piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  writer.AddText("tokenizer.ggml.model", "llama");
  writer.AddText("tokenizer.ggml.pre", "default");
  writer.AddTexts("tokenizer.ggml.tokens", texts);
  writer.AddF32s("tokenizer.ggml.scores", scores);
  writer.AddI32s("tokenizer.ggml.token_type", types);
  writer.AddU32("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(vocabulary.unknown_id));
  writer.AddBool("tokenizer.ggml.add_bos_token", config.bos_id >= 0);
  writer.AddBool("tokenizer.ggml.add_eos_token", false);
  writer.AddBool("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  writer.AddBool("tokenizer.ggml.remove_extra_whitespaces", vocabulary.remove_extra_whitespaces);
}

void AddGgufTokenIds(const ModelConfig& config, GgufWriter& writer) {
  auto add = [&writer](const char* key, int id) {
    if (id >= 0) writer.AddU32(key, static_cast<uint32_t>(id));
  };
  add("tokenizer.ggml.bos_token_id", config.bos_id);
  add("tokenizer.ggml.eos_token_id", config.eos_id);
  // The format has names for three; llama.cpp takes each of them for an end.
  if (config.end_ids.size() > 1) add("tokenizer.ggml.eot_token_id", config.end_ids[1]);
  if (config.end_ids.size() > 2) add("tokenizer.ggml.eom_token_id", config.end_ids[2]);
}

}  // namespace moescope::files
