#include "files/config_json_writer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "files/family.h"

namespace moescope::files {
namespace {

ModelConfig Small(const Family& family) {
  ModelConfig config = family.defaults;
  config.architecture = family.name;
  config.model_dim = 8;
  config.n_layers = 2;
  config.n_heads = 2;
  config.n_kv_heads = family.keys.n_kv_heads == nullptr ? 2 : 1;
  config.head_dim = 4;
  config.ffn_dim = 6;
  config.vocab_size = 5;
  config.context = 64;
  config.norm_eps = 1e-5;
  if (family.has_experts()) {
    config.n_experts = 3;
    config.experts_per_token = 2;
  }
  if (config.positions == PositionKind::kRotary) config.rope_theta = 12345.5;
  return config;
}

void ExpectReadBackEqual(const ModelConfig& config) {
  const std::string text = WriteConfigJson(config, DType::kBF16, "model");
  EXPECT_TRUE(ParseConfigJson(text, "written") == config) << text;
}

ErrorKind KindOfWriting(const ModelConfig& config) {
  try {
    WriteConfigJson(config, DType::kF32, "model");
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kInternal;
}

TEST(ConfigJsonWriter, EveryFamilyReadsBackEqual) {
  for (const Family& family : Families()) {
    ModelConfig config = Small(family);
    ExpectReadBackEqual(config);
    config.bos_id = 0;
    config.eos_id = 4;
    config.AddEndId(4);
    config.tied_embeddings = !config.tied_embeddings;
    if (family.keys.sliding_window != nullptr) config.sliding_window = 7;
    if (family.keys.normalise_routing_weights != nullptr) {
      config.normalise_routing_weights = !config.normalise_routing_weights;
    }
    ExpectReadBackEqual(config);
  }
}

TEST(ConfigJsonWriter, EveryRotaryScalingReadsBackEqual) {
  ModelConfig config = Small(*FindFamilyByModelType("llama"));
  config.qkv_bias = config.output_bias = true;
  using Kind = RopeScaling::Kind;
  config.rope_scaling = {.kind = Kind::kLinear, .factor = 2.5, .original_context = 64};
  ExpectReadBackEqual(config);
  config.rope_scaling = {.kind = Kind::kLlama3,
                         .factor = 8,
                         .original_context = 32,
                         .low_frequency_factor = 1.5,
                         .high_frequency_factor = 3};
  ExpectReadBackEqual(config);
  config.rope_scaling = {.kind = Kind::kYarn,
                         .factor = 4,
                         .original_context = 16,
                         .beta_fast = 30,
                         .beta_slow = 2,
                         .truncate = false,
                         .attention_factor = 0.1 * std::log(4.0) + 1};
  ExpectReadBackEqual(config);
}

TEST(ConfigJsonWriter, WhatTheFamilyCannotSayIsRefused) {
  ModelConfig mixtral = Small(*FindFamilyByModelType("mixtral"));
  mixtral.qkv_bias = true;
  EXPECT_EQ(KindOfWriting(mixtral), ErrorKind::kUnsupported);
  ModelConfig llama = Small(*FindFamilyByModelType("llama"));
  llama.sliding_window = 7;
  EXPECT_EQ(KindOfWriting(llama), ErrorKind::kUnsupported);
  llama.sliding_window = 0;
  llama.qkv_bias = true;  // and none behind the attention
  EXPECT_EQ(KindOfWriting(llama), ErrorKind::kUnsupported);
  llama.qkv_bias = false;
  llama.rope_scaling.kind = RopeScaling::Kind::kFactors;
  EXPECT_EQ(KindOfWriting(llama), ErrorKind::kUnsupported);
  ModelConfig gpt2 = Small(*FindFamilyByModelType("gpt2"));
  gpt2.head_dim = 6;
  EXPECT_EQ(KindOfWriting(gpt2), ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace moescope::files
