// Every family's configuration in the style of published files, and a checkpoint of it: names,
// shapes, slices and what is refused.
#include "files/family.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "files/checkpoint.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

using Contents = std::map<std::string, std::string>;

struct Published {
  const char* name;
  const char* config;
};

constexpr Published kPublished[] = {
    {"mixtral", R"({"architectures": ["MixtralForCausalLM"], "model_type": "mixtral",
      "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "num_local_experts": 3, "num_experts_per_tok": 2, "vocab_size": 5,
      "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "rope_theta": 1e6,
      "sliding_window": 4})"},
    {"mistral", R"({"architectures": ["MistralForCausalLM"], "model_type": "mistral",
      "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "vocab_size": 5, "max_position_embeddings": 16,
      "rms_norm_eps": 1e-5, "sliding_window": 4})"},
    {"llama", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 1, "vocab_size": 5, "max_position_embeddings": 16,
      "rms_norm_eps": 1e-5, "attention_bias": true, "rope_scaling": {"type": "linear", "factor": 4},
      "tie_word_embeddings": true})"},
    {"gpt2", R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 8,
      "n_layer": 2, "n_head": 2, "n_positions": 16, "n_inner": null, "vocab_size": 5,
      "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5})"},
    {"olmoe", R"({"architectures": ["OlmoeForCausalLM"], "model_type": "olmoe", "hidden_size": 8,
      "intermediate_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2,
      "num_key_value_heads": 2, "num_experts": 3, "num_experts_per_tok": 2, "vocab_size": 5,
      "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "norm_topk_prob": false,
      "clip_qkv": null})"},
    {"qwen3-moe", R"({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
      "hidden_size": 8, "intermediate_size": 60, "moe_intermediate_size": 6, "head_dim": 6,
      "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "num_experts": 3,
      "num_experts_per_tok": 2, "vocab_size": 5, "max_position_embeddings": 16,
      "rms_norm_eps": 1e-6, "rope_theta": 1e6, "norm_topk_prob": true, "mlp_only_layers": [],
      "decoder_sparse_step": 1, "use_sliding_window": false, "sliding_window": 4})"},
};

ModelConfig ConfigOf(std::string_view name) {
  for (const Published& published : kPublished) {
    if (published.name == name) return ParseConfigJson(published.config, "config.json");
  }
  return {};
}

std::string Edited(std::string_view name, const std::string& from, const std::string& to) {
  for (const Published& published : kPublished) {
    if (published.name != name) continue;
    std::string text = published.config;
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return text.replace(text.find(from), from.size(), to);
  }
  return "";
}

ErrorKind KindOf(const std::string& config) {
  try {
    ParseConfigJson(config, "config.json");
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "accepted: " << config;
  return ErrorKind::kInternal;
}

// All tensors of a configuration under their names in Hugging Face's layout (GPT-2's is below).
std::vector<TinyTensor> TensorsOf(const ModelConfig& config) {
  std::vector<TinyTensor> tensors;
  for (TensorKind kind : AllTensorKinds()) {
    if (!HasTensor(kind, config)) continue;
    if (kind == TensorKind::kOutputHead && config.tied_embeddings) continue;
    const TensorScope scope = ScopeOf(kind);
    for (int layer = 0; layer < (scope == TensorScope::kModel ? 1 : config.n_layers); ++layer) {
      const int n = scope == TensorScope::kExpert ? config.n_feed_forwards() : 1;
      for (int expert = 0; expert < n; ++expert) {
        int64_t size = 1;
        for (int64_t dim : ShapeOf(kind, config)) size *= dim;
        tensors.push_back({ExpectedName(*FamilyOf(config).names, {kind, layer, expert}), "F32",
                           ShapeOf(kind, config), std::string(static_cast<size_t>(4 * size), 'x')});
      }
    }
  }
  return tensors;
}

Checkpoint OpenTensors(const char* config, const std::vector<TinyTensor>& tensors) {
  const Contents contents = {{"config.json", config},
                             {"model.safetensors", WriteSafetensors(tensors)}};
  return Checkpoint::Open(*MakeMemoryFolder("model", contents), "");
}

TEST(Family, EveryFamilyOpensWithAllItsTensorsAndNotWithoutOne) {
  for (const Published& published : kPublished) {
    ModelConfig config = ParseConfigJson(published.config, "config.json");
    EXPECT_EQ(config.architecture, published.name);
    if (config.architecture == "gpt2") continue;
    std::vector<TinyTensor> tensors = TensorsOf(config);
    Checkpoint checkpoint = OpenTensors(published.config, tensors);
    uint64_t wanted = 0;
    for (TensorKind kind : AllTensorKinds()) wanted += CountOf(kind, config);
    EXPECT_EQ(checkpoint.tensors().size(), wanted) << published.name;
    for (size_t i = 0; i < tensors.size(); ++i) {
      std::vector<TinyTensor> fewer = tensors;
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(i));
      try {
        OpenTensors(published.config, fewer);
        ADD_FAILURE() << published.name << " opened without " << tensors[i].name;
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(tensors[i].name), std::string::npos)
            << error.what();
      }
    }
  }
}

TEST(Family, ConfigurationsSayWhatFamiliesDifferIn) {
  EXPECT_EQ(ConfigOf("mixtral").sliding_window, 4);
  EXPECT_EQ(ConfigOf("mistral").rope_theta, 10000);
  EXPECT_TRUE(ConfigOf("mistral").dense());
  const ModelConfig llama = ConfigOf("llama");
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias && llama.tied_embeddings);
  EXPECT_EQ(llama.rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(llama.rope_scaling.factor, 4);
  const ModelConfig gpt2 = ConfigOf("gpt2");
  EXPECT_EQ(gpt2.ffn_dim, 32);
  EXPECT_EQ(gpt2.n_kv_heads, 2);
  EXPECT_EQ(gpt2.norm, NormKind::kLayer);
  EXPECT_TRUE(gpt2.tied_embeddings);
  EXPECT_FALSE(ConfigOf("olmoe").normalise_routing_weights);
  EXPECT_EQ(ConfigOf("olmoe").query_key_norm, QueryKeyNorm::kWholeRow);
  const ModelConfig qwen = ConfigOf("qwen3-moe");
  EXPECT_EQ(qwen.ffn_dim, 6);
  EXPECT_EQ(qwen.head_dim, 6);
  EXPECT_EQ(qwen.sliding_window, 0);
  EXPECT_TRUE(qwen.normalise_routing_weights);
}

TEST(Family, EitherNameOfTheNumberOfExpertsIsRead) {
  EXPECT_EQ(
      ParseConfigJson(Edited("qwen3-moe", "num_experts\"", "num_local_experts\""), "c").n_experts,
      3);
  EXPECT_EQ(ParseConfigJson(Edited("mixtral", "num_local_experts", "num_experts"), "c").n_experts,
            3);
}

TEST(Family, WhatWouldChangeTheArithmeticIsRefused) {
  EXPECT_EQ(KindOf(Edited("gpt2", "gelu_new", "relu")), ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Edited("olmoe", "\"clip_qkv\": null", "\"clip_qkv\": 8")),
            ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Edited("qwen3-moe", "\"mlp_only_layers\": []", "\"mlp_only_layers\": [0]")),
            ErrorKind::kUnsupported);
  EXPECT_EQ(
      KindOf(Edited("qwen3-moe", "\"use_sliding_window\": false", "\"use_sliding_window\": true")),
      ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Edited("llama", "linear", "dynamic")), ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Edited("llama", "\"factor\": 4", "\"factor\": 0")), ErrorKind::kBadInput);
  EXPECT_EQ(KindOf(Edited("mistral", "MistralForCausalLM", "LlamaForCausalLM")),
            ErrorKind::kUnsupported);
}

// GPT-2 of one layer: matrices are stored [in, out], query, key and value side by side.
std::vector<TinyTensor> Gpt2Tensors(const std::string& prefix) {
  std::vector<TinyTensor> tensors;
  auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t n = 1;
    for (int64_t dim : shape) n *= dim;
    std::string bytes;
    for (int64_t i = 0; i < n; ++i) {
      const auto value = static_cast<float>(i);
      bytes.append(reinterpret_cast<const char*>(&value), 4);
    }
    tensors.push_back({prefix + name, "F32", std::move(shape), std::move(bytes)});
  };
  add("wte.weight", {5, 8});
  add("wpe.weight", {16, 8});
  for (const char* norm : {"h.0.ln_1", "h.0.ln_2", "ln_f"}) {
    add(std::string(norm) + ".weight", {8});
    add(std::string(norm) + ".bias", {8});
  }
  add("h.0.attn.c_attn.weight", {8, 24});
  add("h.0.attn.c_attn.bias", {24});
  add("h.0.attn.c_proj.weight", {8, 8});
  add("h.0.attn.c_proj.bias", {8});
  add("h.0.mlp.c_fc.weight", {8, 32});
  add("h.0.mlp.c_fc.bias", {32});
  add("h.0.mlp.c_proj.weight", {32, 8});
  add("h.0.mlp.c_proj.bias", {8});
  add("h.0.attn.bias", {1, 1, 16, 16});  // the causal mask of old files
  return tensors;
}

TEST(Family, Gpt2sTransposedMatricesGiveRows) {
  const std::string config = Edited("gpt2", "\"n_layer\": 2", "\"n_layer\": 1");
  for (const char* prefix : {"transformer.", ""}) {
    Checkpoint checkpoint = OpenTensors(config.c_str(), Gpt2Tensors(prefix));
    const TensorLocation& value = checkpoint.tensor({TensorKind::kValue, 0});
    EXPECT_EQ(value.shape, (std::vector<int64_t>{8, 8}));
    std::vector<float> rows(3 * 8);
    checkpoint.ReadRows(value, 2, 3, std::as_writable_bytes(std::span(rows)));
    for (int row = 0; row < 3; ++row) {
      for (int column = 0; column < 8; ++column) {
        // In the file: [in = column, out], of which values begin at 16.
        EXPECT_EQ(rows[row * 8 + column], column * 24 + 16 + 2 + row);
      }
    }
    std::vector<float> bias(8);
    checkpoint.ReadRows(checkpoint.tensor({TensorKind::kKeyBias, 0}), 0, 1,
                        std::as_writable_bytes(std::span(bias)));
    EXPECT_EQ(bias[0], 8);
  }
}

TEST(Family, MistralsOwnLayoutHoldsTheSameModel) {
  Checkpoint classic = Checkpoint::Open(*MakeMemoryFolder("a", TinyFolder()), "");
  Checkpoint own = Checkpoint::Open(*MakeMemoryFolder("b", TinyConsolidatedFolder()), "");
  EXPECT_EQ(own.format(), "consolidated safetensors");
  EXPECT_EQ(own.config().rope_layout, RopeLayout::kInterleaved);
  ASSERT_EQ(own.tensors().size(), classic.tensors().size());
  for (const auto& [id, location] : classic.tensors()) {
    if (id.kind == TensorKind::kQuery || id.kind == TensorKind::kKey) continue;  // reordered
    std::vector<std::byte> a(location.n_bytes), b(location.n_bytes);
    classic.ReadRows(location, 0, location.n_rows(), a);
    own.ReadRows(own.tensor(id), 0, location.n_rows(), b);
    EXPECT_EQ(a, b) << location.name;
  }
}

TEST(Family, OfTwoLayoutsInOneFolderTheOneWithWeightsCounts) {
  Contents both = TinyConsolidatedFolder();
  both["config.json"] = TinyConfigJson();
  EXPECT_EQ(Checkpoint::Open(*MakeMemoryFolder("m", both), "").format(),
            "consolidated safetensors");
  both["model.safetensors"] = TinySafetensors();
  EXPECT_EQ(Checkpoint::Open(*MakeMemoryFolder("m", both), "").format(), "safetensors");
  EXPECT_EQ(Checkpoint::Open(*MakeMemoryFolder("m", both), "consolidated.safetensors").format(),
            "consolidated safetensors");
}

TEST(Family, AnUnknownMemberOfParamsJsonIsRefused) {
  Contents contents = TinyConsolidatedFolder();
  contents["params.json"].insert(1, "\"yarn\": {\"factor\": 2}, ");
  try {
    Checkpoint::Open(*MakeMemoryFolder("m", contents), "");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("yarn"), std::string::npos) << error.what();
  }
}

TEST(Family, AModelSplitIntoGgufFilesIsOneModel) {
  const Contents parts = {{"m-00001-of-00003.gguf", TinyGguf(0, 3).bytes()},
                          {"m-00002-of-00003.gguf", TinyGguf(1, 3).bytes()},
                          {"m-00003-of-00003.gguf", TinyGguf(2, 3).bytes()}};
  const auto folder = MakeMemoryFolder("m", parts);
  Checkpoint whole =
      Checkpoint::Open(*MakeMemoryFolder("m", {{"m.gguf", TinyGguf().bytes()}}), "m.gguf");
  for (const char* name : {"", "m-00001-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    Checkpoint split = Checkpoint::Open(*folder, name);
    EXPECT_EQ(split.files().size(), 3u);
    ASSERT_EQ(split.tensors().size(), whole.tensors().size());
    EXPECT_NE(split.vocabulary(), nullptr);
    for (const auto& [id, location] : whole.tensors()) {
      std::vector<std::byte> a(location.n_bytes), b(location.n_bytes);
      whole.ReadRows(location, 0, location.n_rows(), a);
      split.ReadRows(split.tensor(id), 0, location.n_rows(), b);
      EXPECT_EQ(a, b) << location.name;
    }
  }
}

}  // namespace
}  // namespace moescope::files
