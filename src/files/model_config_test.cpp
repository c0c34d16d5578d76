#include "files/model_config.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace moescope::files {
namespace {

// The published configurations of the two open Mixtrals.
constexpr const char* kMixtral8x7B = R"({"architectures": ["MixtralForCausalLM"],
  "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
  "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mixtral",
  "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32,
  "num_key_value_heads": 8, "num_local_experts": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
  "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "vocab_size": 32000})";

std::string Edited(const std::string& from, const std::string& to) {
  std::string text = kMixtral8x7B;
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

ErrorKind KindOf(const std::string& text, std::string* message = nullptr) {
  try {
    ParseConfigJson(text, "config.json");
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.kind();
  }
  ADD_FAILURE() << "accepted: " << text;
  return ErrorKind::kInternal;
}

TEST(ModelConfig, CountsOfMixtral8x7BAreThePublishedOnes) {
  ModelConfig config = ParseConfigJson(kMixtral8x7B, "config.json");
  EXPECT_EQ(config.head_dim, 128);
  ParameterCounts counts = CountParameters(config);
  EXPECT_EQ(counts.total, 46'702'792'704u);
  EXPECT_EQ(counts.active, 12'879'925'248u);
  EXPECT_EQ(counts.one_expert, 176'160'768u);
  EXPECT_EQ(counts.all_experts, 45'097'156'608u);
  EXPECT_EQ(CountParameters(config, 1).active, 7'242'780'672u);
  EXPECT_EQ(CountParameters(config, 3).active, 18'517'069'824u);
}

TEST(ModelConfig, CountsOfMixtral8x22BAreThePublishedOnes) {
  ModelConfig config = ParseConfigJson(kMixtral8x7B, "config.json");
  config.model_dim = 6144;
  config.n_layers = 56;
  config.n_heads = 48;
  config.ffn_dim = 16384;
  ParameterCounts counts = CountParameters(config);
  EXPECT_EQ(counts.total, 140'620'634'112u);
  EXPECT_EQ(counts.active, 39'152'031'744u);
}

TEST(ModelConfig, PartsOfTheCountAddUpToTheTotal) {
  ParameterCounts counts = CountParameters(ParseConfigJson(kMixtral8x7B, "config.json"));
  EXPECT_EQ(
      counts.attention + counts.router + counts.norms + counts.embeddings + counts.all_experts,
      counts.total);
}

TEST(ModelConfig, ReadsTheNewStyleOfRopeParameters) {
  std::string text = Edited(R"("rope_theta": 1000000.0)",
                            R"("rope_parameters": {"rope_theta": 5e5, "rope_type": "default"})");
  EXPECT_EQ(ParseConfigJson(text, "config.json").rope_theta, 5e5);
}

TEST(ModelConfig, TakesTheFirstOfSeveralEndTokens) {
  EXPECT_EQ(ParseConfigJson(Edited("\"eos_token_id\": 2", "\"eos_token_id\": [7, 2]"), "c").eos_id,
            7);
  EXPECT_EQ(ParseConfigJson(Edited("\"eos_token_id\": 2", "\"eos_token_id\": null"), "c").eos_id,
            -1);
}

TEST(ModelConfig, NamesAnUnknownArchitectureAndTheKnownOnes) {
  std::string message;
  EXPECT_EQ(KindOf(Edited("\"mixtral\"", "\"qwen9\""), &message), ErrorKind::kUnsupported);
  EXPECT_NE(message.find("qwen9"), std::string::npos) << message;
  EXPECT_NE(message.find("MixtralForCausalLM"), std::string::npos) << message;
  EXPECT_NE(message.find("GPT2LMHeadModel"), std::string::npos) << message;
}

TEST(ModelConfig, RefusesValuesOutOfRangeNamingTheKey) {
  struct Case {
    const char *from, *to, *key;
  };
  const Case cases[] = {
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": 4294967295", "num_hidden_layers"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": 0", "num_hidden_layers"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": \"32\"", "num_hidden_layers"},
      {"\"num_hidden_layers\": 32", "\"num_hidden_layers\": 32.5", "num_hidden_layers"},
      {"\"num_hidden_layers\": 32,", "", "num_hidden_layers"},
      {"\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 9", "num_experts_per_tok"},
      {"\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 0", "num_experts_per_tok"},
      {"\"max_position_embeddings\": 32768", "\"max_position_embeddings\": 0",
       "max_position_embeddings"},
      {"\"num_key_value_heads\": 8", "\"num_key_value_heads\": 5", "n_kv_heads"},
      {"\"vocab_size\": 32000", "\"vocab_size\": 18446744073709551616", "vocab_size"},
      {"\"vocab_size\": 32000", "\"vocab_size\": -1", "vocab_size"},
      {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 0", "norm_eps"},
      {"\"rope_theta\": 1000000.0", "\"rope_theta\": -1", "rope_theta"},
      {"\"bos_token_id\": 1", "\"bos_token_id\": 32000", "bos_id"},
  };
  for (const Case& bad : cases) {
    std::string message;
    EXPECT_EQ(KindOf(Edited(bad.from, bad.to), &message), ErrorKind::kBadInput) << bad.to;
    EXPECT_NE(message.find(bad.key), std::string::npos) << message;
  }
}

TEST(ModelConfig, RefusesWhatWouldChangeTheArithmetic) {
  EXPECT_EQ(KindOf(Edited("\"silu\"", "\"gelu\"")), ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Edited("\"sliding_window\": null",
                          "\"rope_scaling\": {\"type\": \"longrope\", \"factor\": 2}")),
            ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Edited("\"sliding_window\": null", "\"rope_scaling\": {\"factor\": 2}")),
            ErrorKind::kBadInput);
  EXPECT_EQ(KindOf(Edited("\"sliding_window\": null", "\"partial_rotary_factor\": 0.5")),
            ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Edited("\"sliding_window\": null", "\"quantization_config\": {}")),
            ErrorKind::kUnsupported);
}

TEST(ModelConfig, RefusesWhatIsNotOneJsonDocument) {
  EXPECT_EQ(KindOf(""), ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf("[]"), ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(std::string(kMixtral8x7B) + "x"), ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(std::string(kMixtral8x7B).substr(0, 200)), ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(Edited("\"sliding_window\": null", "\"vocab_size\": 32000")),
            ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(Edited("null", std::string(100, '[') + std::string(100, ']'))),
            ErrorKind::kCorrupt);
  EXPECT_EQ(KindOf(std::string(900'000, '[')), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace moescope::files
