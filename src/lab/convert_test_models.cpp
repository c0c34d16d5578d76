#include "lab/convert_test_models.h"

#include <cmath>

#include "base/tensor/convert_rows.h"
#include "files/family.h"

namespace moescope::lab {

using files::Checkpoint;
using files::ModelConfig;
using files::TensorId;
using files::TensorKind;
using files::TensorLocation;
using files::TensorScope;
using files::TinyTensor;

const std::vector<FamilyModel>& FamilyModels() {
  static const std::vector<FamilyModel> models = {
      {"mixtral", R"({"architectures": ["MixtralForCausalLM"], "model_type": "mixtral",
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 3,
        "num_experts_per_tok": 2, "vocab_size": 7, "max_position_embeddings": 16,
        "rms_norm_eps": 1e-5, "rope_theta": 1e6, "sliding_window": 4, "bos_token_id": 1})"},
      {"mistral", R"({"architectures": ["MistralForCausalLM"], "model_type": "mistral",
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 7,
        "max_position_embeddings": 16, "rms_norm_eps": 1e-6, "sliding_window": 4})"},
      {"llama", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 7,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "attention_bias": true,
        "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
        "tie_word_embeddings": true, "eos_token_id": [3, 4]})"},
      {"gpt2", R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 32,
        "n_layer": 2, "n_head": 4, "n_positions": 16, "n_inner": null, "vocab_size": 7,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5})"},
      {"olmoe", R"({"architectures": ["OlmoeForCausalLM"], "model_type": "olmoe",
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_experts": 3,
        "num_experts_per_tok": 2, "vocab_size": 7, "max_position_embeddings": 16,
        "rms_norm_eps": 1e-5, "norm_topk_prob": true})"},
      {"qwen3-moe", R"({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
        "hidden_size": 32, "moe_intermediate_size": 64, "head_dim": 16, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_experts": 3,
        "num_experts_per_tok": 2, "vocab_size": 7, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "norm_topk_prob": false,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
        "original_max_position_embeddings": 16, "beta_fast": 30}})"}};
  return models;
}

namespace {

// Eighths from -15.875 to 15.875: seven bits, so both 16-bit types hold them.
std::string Values(uint64_t n, uint32_t seed, DType dtype) {
  std::vector<float> values(n);
  for (float& value : values) {
    seed = seed * 1'664'525u + 1'013'904'223u;
    value = (static_cast<float>(seed >> 24) - 128) / 8;
  }
  std::string bytes(n * static_cast<uint64_t>(Info(dtype).block_bytes), '\0');
  QuantiseRow(dtype, values, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};

// GPT-2's matrices are [in, out]; query, key and value lie side by side.
std::vector<NamedShape> Gpt2Shapes() {
  std::vector<NamedShape> shapes = {{"wte.weight", {7, 32}},
                                    {"wpe.weight", {16, 32}},
                                    {"ln_f.weight", {32}},
                                    {"ln_f.bias", {32}}};
  for (const char* layer : {"h.0.", "h.1."}) {
    const NamedShape of_layer[] = {{"ln_1.weight", {32}},
                                   {"ln_1.bias", {32}},
                                   {"ln_2.weight", {32}},
                                   {"ln_2.bias", {32}},
                                   {"attn.c_attn.weight", {32, 96}},
                                   {"attn.c_attn.bias", {96}},
                                   {"attn.c_proj.weight", {32, 32}},
                                   {"attn.c_proj.bias", {32}},
                                   {"mlp.c_fc.weight", {32, 128}},
                                   {"mlp.c_fc.bias", {128}},
                                   {"mlp.c_proj.weight", {128, 32}},
                                   {"mlp.c_proj.bias", {32}}};
    for (const NamedShape& tensor : of_layer) shapes.push_back({layer + tensor.name, tensor.shape});
  }
  for (NamedShape& tensor : shapes) tensor.name.insert(0, "transformer.");
  return shapes;
}

std::vector<NamedShape> DecoderShapes(const ModelConfig& config) {
  std::vector<NamedShape> shapes;
  for (TensorKind kind : files::AllTensorKinds()) {
    if (!HasTensor(kind, config)) continue;
    if (kind == TensorKind::kOutputHead && config.tied_embeddings) continue;
    const TensorScope scope = ScopeOf(kind);
    for (int layer = 0; layer < (scope == TensorScope::kModel ? 1 : config.n_layers); ++layer) {
      const int n = scope == TensorScope::kExpert ? config.n_feed_forwards() : 1;
      for (int expert = 0; expert < n; ++expert) {
        shapes.push_back(
            {ExpectedName(*FamilyOf(config).names, {kind, layer, expert}), ShapeOf(kind, config)});
      }
    }
  }
  return shapes;
}

bool TurnsWithRope(TensorKind kind) {
  return kind == TensorKind::kQuery || kind == TensorKind::kQueryBias || kind == TensorKind::kKey ||
         kind == TensorKind::kKeyBias;
}

}  // namespace

std::vector<TinyTensor> TensorsOf(const FamilyModel& model, DType dtype) {
  const ModelConfig config = files::ParseConfigJson(model.config, model.name);
  std::vector<TinyTensor> tensors;
  for (const NamedShape& tensor : model.name == "gpt2" ? Gpt2Shapes() : DecoderShapes(config)) {
    uint64_t n = 1;
    for (int64_t dimension : tensor.shape) n *= static_cast<uint64_t>(dimension);
    tensors.push_back({tensor.name, std::string(Name(dtype)), tensor.shape,
                       Values(n, static_cast<uint32_t>(tensors.size()), dtype)});
  }
  return tensors;
}

std::map<std::string, std::string> FolderOf(const FamilyModel& model, DType dtype) {
  return {{"config.json", model.config},
          {"model.safetensors", files::WriteSafetensors(TensorsOf(model, dtype))}};
}

Checkpoint OpenInMemory(const std::map<std::string, std::string>& contents) {
  return Checkpoint::Open(*files::MakeMemoryFolder("in-memory", contents), "");
}

std::vector<float> ValuesOf(const Checkpoint& checkpoint, const TensorLocation& location) {
  std::vector<std::byte> bytes(location.n_bytes);
  checkpoint.ReadRows(location, 0, location.n_rows(), bytes);
  const DTypeInfo& info = Info(location.dtype);
  std::vector<float> values(bytes.size() / static_cast<size_t>(info.block_bytes) *
                            static_cast<size_t>(info.block_elements));
  DequantiseRow(location.dtype, bytes.data(), values);
  return values;
}

std::vector<float> ValuesInHalves(const Checkpoint& checkpoint, TensorId id) {
  const TensorLocation& location = checkpoint.tensor(id);
  std::vector<float> values = ValuesOf(checkpoint, location);
  const ModelConfig& config = checkpoint.config();
  if (!TurnsWithRope(id.kind) || config.rope_layout == files::RopeLayout::kHalves) return values;
  const auto head_dim = static_cast<size_t>(config.head_dim);
  const size_t columns = location.shape.size() == 1 ? 1 : static_cast<size_t>(location.shape[1]);
  std::vector<float> halves(values.size());
  for (size_t row = 0; row < values.size() / columns; ++row) {
    const size_t head = row / head_dim, d = row % head_dim;
    const size_t pair = d % (head_dim / 2), second = d / (head_dim / 2);
    const size_t stored = head * head_dim + 2 * pair + second;
    for (size_t column = 0; column < columns; ++column) {
      halves[row * columns + column] = values[stored * columns + column];
    }
  }
  return halves;
}

}  // namespace moescope::lab
