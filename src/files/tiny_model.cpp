#include "files/tiny_model.h"

#include <fmt/format.h>

#include <cstring>

namespace moescope::files {
namespace {

// Small values that differ from place to place, as bfloat16.
std::string Bf16Values(size_t n, uint32_t seed) {
  std::string bytes;
  for (size_t i = 0; i < n; ++i) {
    seed = seed * 1'664'525u + 1'013'904'223u;
    float value = static_cast<float>(seed >> 8) / 0x1p24f - 0.5f;
    bytes.append(reinterpret_cast<const char*>(&value) + 2, 2);
  }
  return bytes;
}

void Varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
void NumberField(std::string& out, uint64_t field, uint64_t value) {
  Varint(out, field << 3);
  Varint(out, value);
}
void BytesField(std::string& out, uint64_t field, std::string_view bytes) {
  Varint(out, field << 3 | 2);
  Varint(out, bytes.size());
  out.append(bytes);
}
void Piece(std::string& out, std::string_view text, float score, uint64_t type) {
  std::string piece;
  BytesField(piece, 1, text);
  Varint(piece, 2 << 3 | 5);
  piece.append(reinterpret_cast<const char*>(&score), 4);
  NumberField(piece, 3, type);
  BytesField(out, 1, piece);
}

}  // namespace

std::string TinyConfigJson() {
  return R"({"architectures": ["MixtralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
 "head_dim": 16, "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 32,
 "max_position_embeddings": 64, "model_type": "mixtral", "num_attention_heads": 2,
 "num_experts_per_tok": 1, "num_hidden_layers": 2, "num_key_value_heads": 1,
 "num_local_experts": 2, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": null,
 "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 261})";
}

std::vector<TinyTensor> TinyTensors() {
  std::vector<TinyTensor> tensors;
  auto add = [&tensors](const std::string& name, std::vector<int64_t> shape) {
    size_t n = 1;
    for (int64_t dimension : shape) n *= static_cast<size_t>(dimension);
    tensors.push_back({name, "BF16", shape, Bf16Values(n, static_cast<uint32_t>(tensors.size()))});
  };
  add("lm_head.weight", {261, 32});
  add("model.embed_tokens.weight", {261, 32});
  for (int layer = 0; layer < 2; ++layer) {
    std::string prefix = fmt::format("model.layers.{}.", layer);
    for (int expert = 0; expert < 2; ++expert) {
      for (int w = 1; w <= 3; ++w) {
        add(fmt::format("{}block_sparse_moe.experts.{}.w{}.weight", prefix, expert, w), {32, 32});
      }
    }
    add(prefix + "block_sparse_moe.gate.weight", {2, 32});
    add(prefix + "input_layernorm.weight", {32});
    add(prefix + "post_attention_layernorm.weight", {32});
    add(prefix + "self_attn.k_proj.weight", {16, 32});
    add(prefix + "self_attn.o_proj.weight", {32, 32});
    add(prefix + "self_attn.q_proj.weight", {32, 32});
    add(prefix + "self_attn.v_proj.weight", {16, 32});
  }
  add("model.norm.weight", {32});
  return tensors;
}

std::string WriteSafetensors(const std::vector<TinyTensor>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  std::string data;
  for (const TinyTensor& tensor : tensors) {
    header += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          tensor.name, tensor.dtype, fmt::join(tensor.shape, ","), data.size(),
                          data.size() + tensor.bytes.size());
    data += tensor.bytes;
  }
  header += "}";
  while (header.size() % 8 != 0) header += ' ';
  ByteWriter out;
  out.Number(static_cast<uint64_t>(header.size()));
  out.Raw(header);
  out.Raw(data);
  return out.bytes();
}

std::string TinySafetensors() {
  return WriteSafetensors(TinyTensors());
}

std::string TinyTokenizerModel() {
  std::string model;
  Piece(model, "<unk>", 0, 2);
  Piece(model, "<s>", 0, 3);
  Piece(model, "</s>", 0, 3);
  for (int byte = 0; byte < 256; ++byte) Piece(model, fmt::format("<0x{:02X}>", byte), 0, 6);
  Piece(model, "a", 0, 1);
  Piece(model, "b", -1, 1);
  std::string trainer;
  NumberField(trainer, 3, 2);
  NumberField(trainer, 4, 261);
  NumberField(trainer, 40, 0);
  NumberField(trainer, 41, 1);
  NumberField(trainer, 42, 2);
  NumberField(trainer, 43, ~uint64_t{0});
  BytesField(model, 2, trainer);
  std::string normalizer;
  BytesField(normalizer, 1, "identity");
  BytesField(normalizer, 2, "");
  NumberField(normalizer, 3, 1);
  NumberField(normalizer, 4, 0);
  BytesField(model, 3, normalizer);
  return model;
}

std::map<std::string, std::string> TinyFolder() {
  return {{"config.json", TinyConfigJson()},
          {"model.safetensors", TinySafetensors()},
          {"tokenizer.model", TinyTokenizerModel()}};
}

std::map<std::string, std::string> TinyShardedFolder() {
  std::vector<TinyTensor> shards[2];
  std::string index;
  uint64_t total = 0;
  for (TinyTensor& tensor : TinyTensors()) {
    int shard = shards[0].size() < 12 ? 0 : 1;
    index += fmt::format("{}\"{}\": \"model-0000{}-of-00002.safetensors\"",
                         index.empty() ? "" : ",\n  ", tensor.name, shard + 1);
    total += tensor.bytes.size();
    shards[shard].push_back(std::move(tensor));
  }
  return {{"config.json", TinyConfigJson()},
          {"model-00001-of-00002.safetensors", WriteSafetensors(shards[0])},
          {"model-00002-of-00002.safetensors", WriteSafetensors(shards[1])},
          {"model.safetensors.index.json",
           fmt::format("{{\"metadata\": {{\"total_size\": {}}},\n \"weight_map\": {{{}}}}}", total,
                       index)},
          {"tokenizer.model", TinyTokenizerModel()}};
}

}  // namespace moescope::files
