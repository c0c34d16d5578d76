// What a checkpoint's configuration says about the network, in our names, checked against limits.
// Families differ by these values alone (files/family.h has the rows): nothing after this asks for
// a name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moescope::files {

// Which dimensions of a head turn together in the rotary embedding.
enum class RopeLayout {
  kHalves,       // d with d + head_dim/2 (Hugging Face)
  kInterleaved,  // 2d with 2d + 1 (GGUF `llama`, Mistral's own files)
};

// How rotary frequencies are stretched for contexts longer than the model was trained on.
struct RopeScaling {
  enum class Kind {
    kNone,
    kLinear,   // all frequencies divided by `factor`
    kLlama3,   // low frequencies divided, high ones kept, blended between
    kYarn,     // the same by number of turns, and longer cosines. Source: arXiv 2309.00071
    kFactors,  // each divided by its number in the tensor kRopeFactors (GGUF's form of kLlama3)
  };
  Kind kind = Kind::kNone;
  double factor = 1;
  double original_context = 0;
  double low_frequency_factor = 1, high_frequency_factor = 4;  // kLlama3
  double beta_fast = 32, beta_slow = 1;                        // kYarn: turns in the old context
  bool truncate = true;                                        // kYarn: bounds are whole pairs
  double attention_factor = 1;  // kYarn: multiplies cosines and sines
  bool operator==(const RopeScaling&) const = default;
};

enum class NormKind { kRms, kLayer };  // kLayer has a bias. Source: arXiv 1910.07467, 1607.06450
enum class PositionKind { kRotary, kLearned };
enum class QueryKeyNorm { kNone, kWholeRow, kPerHead };
// kSwiGlu: down(silu(gate x) * up x); kGelu: down(gelu(up x)), gelu by tanh, without a gate.
// Source: arXiv 2002.05202, 1606.08415.
enum class FeedForwardKind { kSwiGlu, kGelu };

struct ModelConfig {
  std::string architecture = {};  // the family's name: "mixtral", "llama", "gpt2", ...
  int model_dim = 0;
  int n_layers = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  int ffn_dim = 0;  // of one expert, or of the one feed-forward network of a dense layer
  int vocab_size = 0;
  int context = 0;
  int n_experts = 0;  // 0: dense
  int experts_per_token = 0;
  // Routing weights are divided by their sum; else they stay those of the softmax over all experts.
  bool normalise_routing_weights = true;
  double norm_eps = 0;
  NormKind norm = NormKind::kRms;
  PositionKind positions = PositionKind::kRotary;
  double rope_theta = 0;  // kRotary only
  RopeLayout rope_layout = RopeLayout::kHalves;
  RopeScaling rope_scaling = {};
  int sliding_window = 0;  // a token sees itself and the window - 1 before it; 0: all
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  FeedForwardKind feed_forward = FeedForwardKind::kSwiGlu;
  bool qkv_bias = false, output_bias = false, feed_forward_bias = false;
  bool tied_embeddings = false;
  int bos_id = -1;  // -1: none
  int eos_id = -1;
  std::vector<int> end_ids = {};  // all that end a generated text, eos_id included

  bool operator==(const ModelConfig&) const = default;
  // Adds a token to end_ids unless it is there, or -1.
  void AddEndId(int id);
  bool dense() const { return n_experts == 0; }
  // Feed-forward networks of a layer: its experts, or the one of a dense layer.
  int n_feed_forwards() const { return dense() ? 1 : n_experts; }
  int64_t query_dim() const { return int64_t{n_heads} * head_dim; }
  int64_t kv_dim() const { return int64_t{n_kv_heads} * head_dim; }
};

// The limits of files/limits.h (layers <= 1024, experts <= 4096, 1 <= K <= E, heads divisible by
// kv heads, model_dim <= 65,536, vocabulary <= 2^22, context in 1..2^24, even head_dim).
// `origin` names the file in messages. Throws Error(kBadInput) naming the key and its value.
void CheckModelConfig(const ModelConfig& config, const std::string& origin);

// Reads a Hugging Face config.json, old style (`rope_theta`, `torch_dtype`, no `head_dim`) and new
// (`rope_parameters`, `dtype`). Throws Error(kCorrupt) for what is not JSON, kBadInput for a
// refused value, kUnsupported for an architecture we do not run, naming it and the known ones.
ModelConfig ParseConfigJson(const std::string& text, const std::string& path);

// The tokens that end a text according to a generation_config.json. Throws as ParseConfigJson.
std::vector<int> ParseGenerationConfig(const std::string& text, const std::string& path);

// Reads the params.json of Mistral's own layout. Throws as ParseConfigJson; kUnsupported also for a
// member that is not known here, since it might change the arithmetic.
// Source: ModelArgs of Mistral's reference implementation.
ModelConfig ParseParamsJson(const std::string& text, const std::string& path);

// Exact parameter counts. Source: routing-definitions of the Mixtral paper, arXiv 2401.04088.
struct ParameterCounts {
  uint64_t total = 0;
  uint64_t active = 0;  // per token: embeddings, head and K experts counted
  uint64_t one_expert = 0;
  uint64_t all_experts = 0;  // the feed-forward networks, where the model is dense
  uint64_t attention = 0;    // all layers
  uint64_t router = 0;
  uint64_t norms = 0;
  uint64_t embeddings = 0;  // input and output
};
// Counts for `experts_per_token` experts (0: the configuration's own).
ParameterCounts CountParameters(const ModelConfig& config, int experts_per_token = 0);

}  // namespace moescope::files
