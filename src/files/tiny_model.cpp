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
  auto add = [&tensors](const std::string& name, const std::vector<int64_t>& shape) {
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

namespace {

void GgufText(ByteWriter& out, std::string_view text) {
  out.Number(static_cast<uint64_t>(text.size()));
  out.Text(text);
}
template <typename T>
void GgufKey(ByteWriter& out, std::string_view key, uint32_t type, T value) {
  out.BeginRecord(key);
  GgufText(out, key);
  out.Number(type);
  out.Number(value);
}
void GgufTextKey(ByteWriter& out, std::string_view key, std::string_view value) {
  out.BeginRecord(key);
  GgufText(out, key);
  out.Number(uint32_t{8});
  GgufText(out, value);
}
void GgufArrayKey(ByteWriter& out, std::string_view key, uint32_t type, uint64_t count) {
  out.BeginRecord(key);
  GgufText(out, key);
  out.Number(uint32_t{9});
  out.Number(type);
  out.Number(count);
}

std::string Concatenated(const std::vector<TinyTensor>& tensors, const std::string& part) {
  std::string bytes;
  for (const TinyTensor& tensor : tensors) {
    if (tensor.name.find(part) != std::string::npos) bytes += tensor.bytes;
  }
  return bytes;
}

// Rows of each head from halves (d, d + 8) to pairs (2d, 2d + 1).
std::string InterleavedRows(const std::string& bytes, size_t n_heads) {
  constexpr size_t kHeadDim = 16, kRowBytes = 64;
  std::string out;
  for (size_t head = 0; head < n_heads; ++head) {
    for (size_t d = 0; d < kHeadDim; ++d) {
      size_t source = head * kHeadDim + (d % 2) * kHeadDim / 2 + d / 2;
      out += bytes.substr(source * kRowBytes, kRowBytes);
    }
  }
  return out;
}

// The tensors under GGUF's names, shapes fastest dimension first.
std::vector<TinyTensor> TinyGgufTensors() {
  std::vector<TinyTensor> source = TinyTensors();
  auto find = [&](const std::string& part) { return Concatenated(source, part); };
  std::vector<TinyTensor> tensors = {
      {"token_embd.weight", "BF16", {32, 261}, find("embed_tokens")}};
  for (int layer = 0; layer < 2; ++layer) {
    std::string from = fmt::format("layers.{}.", layer);
    std::string to = fmt::format("blk.{}.", layer);
    auto add = [&](const char* name, std::vector<int64_t> shape, std::string bytes) {
      tensors.push_back({to + name + ".weight", "BF16", std::move(shape), std::move(bytes)});
    };
    auto experts = [&](int w) {
      return find(fmt::format("{}block_sparse_moe.experts.0.w{}", from, w)) +
             find(fmt::format("{}block_sparse_moe.experts.1.w{}", from, w));
    };
    add("attn_norm", {32}, find(from + "input_layernorm"));
    add("ffn_norm", {32}, find(from + "post_attention"));
    add("attn_q", {32, 32}, InterleavedRows(find(from + "self_attn.q_proj"), 2));
    add("attn_k", {32, 16}, InterleavedRows(find(from + "self_attn.k_proj"), 1));
    add("attn_v", {32, 16}, find(from + "self_attn.v_proj"));
    add("attn_output", {32, 32}, find(from + "self_attn.o_proj"));
    add("ffn_gate_inp", {32, 2}, find(from + "block_sparse_moe.gate"));
    add("ffn_gate_exps", {32, 32, 2}, experts(1));
    add("ffn_down_exps", {32, 32, 2}, experts(2));
    add("ffn_up_exps", {32, 32, 2}, experts(3));
  }
  tensors.push_back({"output_norm.weight", "BF16", {32}, find("model.norm")});
  tensors.push_back({"output.weight", "BF16", {32, 261}, find("lm_head")});
  return tensors;
}

void TinyGgufKeys(ByteWriter& out) {
  GgufTextKey(out, "general.architecture", "llama");
  GgufKey(out, "general.alignment", 4, uint32_t{32});
  const std::pair<const char*, uint32_t> numbers[] = {{"vocab_size", 261},
                                                      {"block_count", 2},
                                                      {"context_length", 64},
                                                      {"embedding_length", 32},
                                                      {"feed_forward_length", 32},
                                                      {"attention.head_count", 2},
                                                      {"attention.head_count_kv", 1},
                                                      {"rope.dimension_count", 16},
                                                      {"expert_count", 2},
                                                      {"expert_used_count", 1}};
  for (const auto& [key, value] : numbers) {
    GgufKey(out, std::string("llama.") + key, 4, value);
  }
  GgufKey(out, "llama.attention.layer_norm_rms_epsilon", 6, 1e-5f);
  GgufKey(out, "llama.rope.freq_base", 6, 10000.0f);
  GgufTextKey(out, "tokenizer.ggml.model", "llama");
  GgufArrayKey(out, "tokenizer.ggml.tokens", 8, 261);
  GgufText(out, "<unk>");
  GgufText(out, "<s>");
  GgufText(out, "</s>");
  for (int byte = 0; byte < 256; ++byte) GgufText(out, fmt::format("<0x{:02X}>", byte));
  GgufText(out, "a");
  GgufText(out, "b");
  GgufArrayKey(out, "tokenizer.ggml.scores", 6, 261);
  for (int id = 0; id < 261; ++id) out.Number(id == 260 ? -1.0f : 0.0f);
  GgufArrayKey(out, "tokenizer.ggml.token_type", 5, 261);
  for (int id = 0; id < 261; ++id) {
    out.Number(id == 0 ? int32_t{2} : id < 3 ? int32_t{3} : id < 259 ? int32_t{6} : int32_t{1});
  }
  GgufKey(out, "tokenizer.ggml.bos_token_id", 4, uint32_t{1});
  GgufKey(out, "tokenizer.ggml.eos_token_id", 4, uint32_t{2});
  GgufKey(out, "tokenizer.ggml.unknown_token_id", 4, uint32_t{0});
  GgufKey(out, "tokenizer.ggml.add_space_prefix", 7, uint8_t{1});
}

}  // namespace

ByteWriter TinyGguf(int part, int n_parts) {
  constexpr uint64_t kAlignment = 32, kBf16 = 30, kNKeys = 22;
  std::vector<TinyTensor> all = TinyGgufTensors(), tensors;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto owner = static_cast<int>(i * static_cast<size_t>(n_parts) / all.size());
    if (owner == part) tensors.push_back(all[i]);
  }
  ByteWriter out;
  out.BeginRecord("header");
  out.Text("GGUF");
  out.Number(uint32_t{3});
  out.Number(static_cast<uint64_t>(tensors.size()));
  out.Number((part == 0 ? kNKeys : 0) + (n_parts > 1 ? 3 : 0));
  if (part == 0) TinyGgufKeys(out);
  if (n_parts > 1) {
    GgufKey(out, "split.no", 2, static_cast<uint16_t>(part));
    GgufKey(out, "split.count", 2, static_cast<uint16_t>(n_parts));
    GgufKey(out, "split.tensors.count", 5, static_cast<int32_t>(all.size()));
  }
  auto padding = [](uint64_t n) { return (kAlignment - n % kAlignment) % kAlignment; };
  uint64_t offset = 0;
  for (const TinyTensor& tensor : tensors) {
    out.BeginRecord(tensor.name);
    GgufText(out, tensor.name);
    out.Number(static_cast<uint32_t>(tensor.shape.size()));
    for (int64_t dimension : tensor.shape) out.Number(static_cast<uint64_t>(dimension));
    out.Number(static_cast<uint32_t>(kBf16));
    out.Number(offset);
    offset += tensor.bytes.size() + padding(tensor.bytes.size());
  }
  out.BeginRecord("data");
  out.Raw(std::string(padding(out.bytes().size()), '\0'));
  for (const TinyTensor& tensor : tensors) {
    out.Raw(tensor.bytes);
    out.Raw(std::string(padding(tensor.bytes.size()), '\0'));
  }
  return out;
}

namespace {

// One added token with all its flags.
std::string AddedTokenJson(int id, const std::string& text, bool special) {
  return "{\"id\": " + std::to_string(id) + ", \"content\": \"" + text +
         "\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
         "\"special\": " +
         (special ? "true" : "false") + "}";
}

std::string VocabularyJson(const std::vector<std::string>& pieces) {
  std::string json;
  for (size_t id = 0; id < pieces.size(); ++id) {
    json += (id == 0 ? "{\"" : ", \"") + pieces[id] + "\": " + std::to_string(id);
  }
  return json + "}";
}

}  // namespace

std::string TinyTokenizerJson() {
  std::vector<std::string> pieces = {"<unk>", "<s>", "</s>"};
  const char* const digits = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    pieces.push_back({'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'});
  }
  pieces.insert(pieces.end(), {"a", "\u2581", "\u2581a", "aa"});
  return R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [)" +
         AddedTokenJson(0, "<unk>", true) + ", " + AddedTokenJson(1, "<s>", true) + ", " +
         AddedTokenJson(2, "</s>", true) + ", " + AddedTokenJson(263, "<tool>", false) +
         R"(], "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": ")"
         "\u2581"
         R"("}, {"type": "Replace", "pattern": {"String": " "}, "content": ")"
         "\u2581"
         R"("}, {"type": "NFC"}, {"type": "Strip", "strip_left": false, "strip_right": true}]}, )"
         R"("pre_tokenizer": {"type": "Metaspace", "replacement": ")"
         "\u2581"
         R"(", "prepend_scheme": "never", "split": true}, "post_processor": {"type": )"
         R"("TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, )"
         R"({"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<s>": )"
         R"({"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}, "decoder": {"type": "Sequence", )"
         R"("decoders": [{"type": "Replace", "pattern": {"String": ")"
         "\u2581"
         R"("}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", )"
         R"("content": " ", "start": 1, "stop": 0}]}, "model": {"type": "BPE", "dropout": null, )"
         R"("unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null, )"
         R"("fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": )" +
         VocabularyJson(pieces) + R"(, "merges": [["\u2581", "a"], ["a", "a"]]}})";
}

std::string TinyByteLevelJson() {
  const std::vector<std::string> pieces = {"a", "b", "1", "\u0120", "\u010a", "\u0120a", "ab"};
  return R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [)" +
         AddedTokenJson(7, "<|end|>", true) +
         R"(], "normalizer": null, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [)"
         R"({"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s+"}, "behavior": "Isolated", )"
         R"("invert": false}, {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", )"
         R"("add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}, )"
         R"("post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, )"
         R"("use_regex": true}, "decoder": {"type": "ByteLevel", "add_prefix_space": true, )"
         R"("trim_offsets": true, "use_regex": true}, "model": {"type": "BPE", "dropout": null, )"
         R"("unk_token": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true, )"
         R"("vocab": )" +
         VocabularyJson(pieces) + R"(, "merges": ["\u0120 a", "a b"]}})";
}

std::map<std::string, std::string> TinyFolder() {
  return {{"config.json", TinyConfigJson()},
          {"model.safetensors", TinySafetensors()},
          {"tokenizer.model", TinyTokenizerModel()}};
}

std::string TinyParamsJson() {
  return R"({"dim": 32, "n_layers": 2, "head_dim": 16, "hidden_dim": 32, "n_heads": 2,
 "n_kv_heads": 1, "norm_eps": 1e-05, "vocab_size": 261, "rope_theta": 10000.0,
 "moe": {"num_experts_per_tok": 1, "num_experts": 2}})";
}

std::map<std::string, std::string> TinyConsolidatedFolder() {
  constexpr std::pair<std::string_view, std::string_view> kRenamed[] = {
      {"model.embed_tokens", "tok_embeddings"},
      {"model.layers", "layers"},
      {"input_layernorm", "attention_norm"},
      {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attention.wq"},
      {"self_attn.k_proj", "attention.wk"},
      {"self_attn.v_proj", "attention.wv"},
      {"self_attn.o_proj", "attention.wo"},
      {"block_sparse_moe", "feed_forward"},
      {"model.norm", "norm"},
      {"lm_head", "output"}};
  std::vector<TinyTensor> tensors = TinyTensors();
  for (TinyTensor& tensor : tensors) {
    for (const auto& [from, to] : kRenamed) {
      if (size_t at = tensor.name.find(from); at != std::string::npos) {
        tensor.name.replace(at, from.size(), to);
      }
    }
    const size_t n_heads = tensor.name.ends_with("wq.weight")   ? 2
                           : tensor.name.ends_with("wk.weight") ? 1
                                                                : 0;
    if (n_heads > 0) tensor.bytes = InterleavedRows(tensor.bytes, n_heads);
  }
  return {{"params.json", TinyParamsJson()},
          {"consolidated.safetensors", WriteSafetensors(tensors)},
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
